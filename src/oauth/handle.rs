//! Opaque access tokens: 256 random bits behind a prefix that says what they are; only their SHA-256 is kept.

use crate::domain::clock::{Entropy, EntropyUnavailable};
use crate::domain::secret::SecretText;

/// Tells an opaque access token from everything else that is random text.
const PREFIX: &str = "hfat_";
/// 32 bytes in base64url.
const LENGTH: usize = PREFIX.len() + 43;

/// A new one.
pub(super) fn new(entropy: &dyn Entropy) -> Result<SecretText, EntropyUnavailable> {
    let random = SecretText::generate(entropy)?;
    Ok(SecretText::new([PREFIX, random.expose()].concat()))
}

/// The text as a handle, when it has that form.
pub(super) fn read(token: &str) -> Option<SecretText> {
    (token.len() == LENGTH && token.starts_with(PREFIX)).then(|| SecretText::new(token))
}
