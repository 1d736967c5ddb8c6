//! A JSON document that is served as prepared bytes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Bytes and their entity tag (RFC 9110 §8.8.3).
#[derive(Debug, Clone)]
pub struct Document {
    pub bytes: Vec<u8>,
    /// Strong, with its quotes.
    pub etag: String,
}

impl Document {
    pub(super) fn new(value: &Value) -> Self {
        let bytes = value.to_string().into_bytes();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&bytes)[..12]));
        Self { bytes, etag }
    }
}
