//! The master key itself, and the fingerprint by which a database knows it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::Error;
use crate::domain::{Entropy, SecretText};

/// 256 bits. `Debug` hides them, dropping wipes them.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        entropy.fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// From what lies in `place`: base64 of 32 bytes, white space around it allowed.
    pub fn parse(text: &SecretText, place: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed { place: place.to_owned() };
        let mut decoded = STANDARD.decode(text.expose().trim()).map_err(|_| malformed())?;
        let mut bytes = Zeroizing::new([0u8; 32]);
        let fits = decoded.len() == bytes.len();
        if fits {
            bytes.copy_from_slice(&decoded);
        }
        decoded.zeroize();
        fits.then_some(Self(bytes)).ok_or_else(malformed)
    }

    /// As it is kept: base64.
    pub fn text(&self) -> SecretText {
        SecretText::new(STANDARD.encode(*self.0))
    }

    /// Names the key without giving anything of it away: SHA-256 in hex, under a label of its own.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update(b"holdfast master key 1\0").chain_update(*self.0).finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}
