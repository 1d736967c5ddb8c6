//! Time and chance as arguments.

use jiff::Timestamp;

/// Says what time it is. Everything that needs the time takes one; tests advance their own.
pub trait Clock: Send + Sync {
    /// The present moment, UTC.
    fn now(&self) -> Timestamp;
}

/// `at` in whole seconds, as the API of Kubernetes and people write times: a finer one would never compare equal.
pub fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` from a cryptographically secure source, or says that it could not.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable>;
}

/// The system's random source failed; nothing may be generated.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("failed to read random bytes")]
pub struct EntropyUnavailable;

/// A UUIDv7 (RFC 9562 §5.7) for `now`: time-ordered, 74 random bits.
pub fn uuid_v7(now: Timestamp, entropy: &dyn Entropy) -> Result<uuid::Uuid, EntropyUnavailable> {
    let mut random = [0u8; 10];
    entropy.fill(&mut random)?;
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}
