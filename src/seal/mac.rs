//! Keyed digests under keys that follow from the master key, one for each purpose.

use aws_lc_rs::hmac::{self, Context, HMAC_SHA256, Key};

use super::MasterKey;

/// HMAC-SHA256 under a key of its own; no two purposes share one.
#[derive(Clone)]
pub struct Mac(Key);

impl Mac {
    /// The key of all those keys.
    pub(super) fn root(master: &MasterKey) -> Self {
        let root = hmac::sign(&Key::new(HMAC_SHA256, master.bytes()), b"holdfast derived keys 1");
        Self(Key::new(HMAC_SHA256, root.as_ref()))
    }

    /// The key of one purpose.
    pub(super) fn of(&self, purpose: &str) -> Self {
        Self(Key::new(HMAC_SHA256, hmac::sign(&self.0, purpose.as_bytes()).as_ref()))
    }

    /// The digest of these parts, each with its length in front, so that no two lists of parts are one text.
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mac(…)")
    }
}
