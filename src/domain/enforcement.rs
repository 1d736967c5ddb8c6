//! Enforcement points: who decides about calls by a policy, and which version of it they say that they run.

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::owner::OwnerKey;
use super::resource_server::ResourceServer;

/// The longest name of an enforcement point.
const MAX_INSTANCE: usize = 128;

/// What an enforcement point calls itself: one process, by a name of its own choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(String);

impl Instance {
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let good = (1..=MAX_INSTANCE).contains(&text.len()) && text.bytes().all(plain);
        good.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A version of a policy and what its text hashes to. A database that was restored counts versions anew, and never the
/// same version with the same hash for another text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyTag {
    pub version: i64,
    /// base64url of the first 12 bytes of the SHA-256.
    pub hash: String,
}

impl PolicyTag {
    const HASH: usize = 16;

    /// From `<version>-<hash>`; `None` for a text that no policy of ours ever had.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, hash) = text.split_once('-')?;
        let digits = (1..=19).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_digit());
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !digits || hash.len() != Self::HASH || !hash.bytes().all(word) {
            return None;
        }
        Some(Self { version: version.parse().ok()?, hash: hash.to_owned() })
    }
}

impl std::fmt::Display for PolicyTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.version, self.hash)
    }
}

/// How far the enforcement points of one resource server are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Heard of lately.
    pub reporting: i64,
    /// Of these, those that run the policy in force.
    pub current: i64,
    /// When the oldest version came into force that the slowest of them lacks.
    pub lacking_since: Option<Timestamp>,
}

/// What is known of a resource server from those who enforce its policy and publish its tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    pub coverage: Coverage,
    /// Tools that were published and that policy does not list: denied.
    pub unmapped: i64,
    /// Tools whose publisher suggests something else than what is effective.
    pub suggested: i64,
}

/// Whoever hears from enforcement points.
pub trait Enforcement: Send + Sync {
    /// How a resource server stands whose policy has this revision; `None` when nobody can tell now.
    fn standing<'a>(
        &'a self,
        id: &'a str,
        policy: &'a ResourceServer,
        revision: i64,
    ) -> BoxFuture<'a, Option<Standing>>;

    /// Word of objects whose standing is not what it was. A receiver that lags must look at everything.
    fn changes(&self) -> broadcast::Receiver<OwnerKey>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        let long = "a".repeat(MAX_INSTANCE);
        assert!(["a", "pod-0.Billing_7", long.as_str()].into_iter().all(|name| Instance::parse(name).is_some()));
        let longer = "a".repeat(MAX_INSTANCE + 1);
        let strange = ["", "a b", "a/b", "é", "a\n", longer.as_str()];
        assert!(strange.into_iter().all(|name| Instance::parse(name).is_none()));
    }

    #[test]
    fn a_tag_is_read_as_it_is_written() {
        let tag = PolicyTag { version: 17, hash: "abc_-0123456789A".to_owned() };
        assert_eq!(PolicyTag::parse(&tag.to_string()), Some(tag));
        for text in ["", "17", "17-short", "-17-abc_-0123456789A", "17-abc_-0123456789!", "x-abc_-0123456789A"] {
            assert_eq!(PolicyTag::parse(text), None, "{text}");
        }
        assert_eq!(PolicyTag::parse("99999999999999999999-abc_-0123456789A"), None);
    }
}
