//! Envelope encryption of keys at rest: AES-256-GCM under one master key, and how that key is found.

mod file;
mod key;
mod mac;
mod obtain;

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::domain::clock::EntropyUnavailable;
use crate::domain::{Entropy, KeyHomeError};

pub use file::KeyFile;
pub use key::MasterKey;
pub use mac::Mac;
pub use obtain::{Obtained, obtain};

/// What can go wrong with keys at rest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to make a key or a nonce")]
    Entropy(#[from] EntropyUnavailable),
    #[error("failed to reach the master key")]
    Home(#[from] KeyHomeError),
    #[error("the master key in {place} is not 32 bytes in base64")]
    Malformed { place: String },
    #[error("the database is sealed with a master key, and there is none in {place}; put it back, nothing was created")]
    Missing { place: String },
    #[error("the master key in {place} is not the one that the database is sealed with; nothing was changed")]
    Other { place: String },
    #[error("the master key in {place} was gone right after it was made")]
    Lost { place: String },
    #[error("failed to seal")]
    Seal,
    #[error("failed to open what is sealed: it was changed, belongs elsewhere, or is under another master key")]
    Open,
}

/// The first byte of everything sealed: which layout follows.
const LAYOUT: u8 = 1;

/// Seals and opens small things, each bound to a context that it cannot be moved from.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<LessSafeKey>,
    derived: Mac,
    entropy: Arc<dyn Entropy>,
}

impl Sealer {
    pub fn new(key: &MasterKey, entropy: Arc<dyn Entropy>) -> Result<Self, Error> {
        let derived = Mac::root(key);
        let key = UnboundKey::new(&AES_256_GCM, key.bytes()).map_err(|_| Error::Seal)?;
        Ok(Self { key: Arc::new(LessSafeKey::new(key)), derived, entropy })
    }

    /// Keyed digests for one purpose, the same on every replica.
    pub fn mac(&self, purpose: &str) -> Mac {
        self.derived.of(purpose)
    }

    /// Layout byte, 96-bit random nonce, ciphertext and tag. `context` says what it is and whose, e.g. `signing-key:<kid>`.
    pub fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, Error> {
        let mut nonce = [0u8; NONCE_LEN];
        self.entropy.fill(&mut nonce)?;
        let mut body = Zeroizing::new(plain.to_vec());
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context.as_bytes()), &mut body)
            .map_err(|_| Error::Seal)?;
        Ok([&[LAYOUT], nonce.as_slice(), body.as_slice(), tag.as_ref()].concat())
    }

    /// What was sealed, if it is whole and was sealed for this very context.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (&layout, rest) = sealed.split_first().ok_or(Error::Open)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::Open)?;
        if layout != LAYOUT {
            return Err(Error::Open);
        }
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(context.as_bytes());
        let plain = self.key.open_in_place(nonce, aad, &mut body).map_err(|_| Error::Open)?.len();
        body.truncate(plain);
        Ok(body)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

#[cfg(test)]
mod tests;
