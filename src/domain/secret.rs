//! Machine secrets: 256 random bits as text, and the SHA-256 that is kept of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::clock::{Entropy, EntropyUnavailable};

/// The shortest client secret that is accepted from a referenced Secret, in characters.
pub const MIN_SECRET_LENGTH: usize = 32;

/// A secret in clear. `Debug` hides it, dropping it wipes it.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// 256 random bits in 43 characters of `[A-Za-z0-9_-]`, which survive Basic with and without encoding.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let mut bits = Zeroizing::new([0u8; 32]);
        entropy.fill(&mut *bits)?;
        Ok(Self::new(URL_SAFE_NO_PAD.encode(*bits)))
    }

    /// The text itself. Each call is a place to look at in review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Long enough, and only of the unreserved characters `[A-Za-z0-9._~-]` (RFC 3986 §2.3).
    pub fn is_acceptable(&self) -> bool {
        self.0.len() >= MIN_SECRET_LENGTH
            && self.0.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'))
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// SHA-256 of a machine secret. Equality takes the same time whatever the values.
#[derive(Clone, Copy, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash from 32 stored bytes; `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// A SHA-256 that was computed elsewhere.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;
    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            bytes.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
            Ok(())
        }
    }

    #[test]
    fn a_generated_secret_is_long_unreserved_and_hidden() {
        let secret = SecretText::generate(&Counting).unwrap();
        assert_eq!(secret.expose().len(), 43);
        assert!(secret.is_acceptable());
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "SecretText(…) SecretHash(…)");
        assert_eq!(secret.hash(), SecretText::new(secret.expose()).hash());
    }

    #[test]
    fn short_or_strange_secrets_are_not_acceptable() {
        assert!(!SecretText::new("short").is_acceptable());
        assert!(!SecretText::new("a b".repeat(20)).is_acceptable());
    }
}
