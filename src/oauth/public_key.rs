//! The public half of one of our keys: its place in the key set, and the verification of what it signed.
//!
//! Nothing but our own tokens is verified here, so a token must begin, byte for byte, with the header of one of our
//! keys: no algorithm, key or type is ever taken from what a stranger wrote.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::jws::{Algorithm, Key};
use super::signer::KeyError;
use crate::domain::resource_server::SigningAlgorithm;

/// `typ` of an access token (RFC 9068 §2.1); whatever else is signed has another (RFC 8725 §3.11).
pub(super) const ACCESS_TOKEN: &str = "at+jwt";

/// A public key, with everything about it that is the same for every token.
pub(super) struct PublicKey {
    pub algorithm: SigningAlgorithm,
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// Public members only (RFC 7517 §4).
    pub jwk: Value,
    /// [`PublicKey::header`] of an access token.
    prefix: String,
    key: Key,
}

impl PublicKey {
    /// From the members of a JWK that its type demands; whatever else is in it is not taken over.
    pub fn parse(algorithm: SigningAlgorithm, jwk: &Value) -> Result<Self, KeyError> {
        let given = jwk.as_object().ok_or(KeyError::Parse)?;
        let key = Key::parse(given).map_err(|_| KeyError::Parse)?;
        if !key.is_for(jws(algorithm)) {
            return Err(KeyError::Parse);
        }
        let kid = key.thumbprint.clone();
        let demanded = members(algorithm).iter().filter_map(|name| given.get_key_value(*name));
        let mut jwk: Map<_, _> = demanded.map(|(name, value)| (name.clone(), value.clone())).collect();
        jwk.insert("kid".to_owned(), kid.as_str().into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("alg".to_owned(), algorithm.as_str().into());
        let prefix = header(ACCESS_TOKEN, algorithm, &kid);
        Ok(Self { algorithm, kid, jwk: jwk.into(), prefix, key })
    }

    /// base64url of the JWS header of this type, and the dot behind it.
    pub fn header(&self, typ: &str) -> Cow<'_, str> {
        match typ {
            ACCESS_TOKEN => Cow::Borrowed(&self.prefix),
            other => Cow::Owned(header(other, self.algorithm, &self.kid)),
        }
    }

    /// The claims of an access token that this key signed; `None` for anything else.
    pub fn verify(&self, token: &str) -> Option<Vec<u8>> {
        let (payload, signature) = token.strip_prefix(&self.prefix)?.split_once('.')?;
        let message = &token.as_bytes()[..self.prefix.len() + payload.len()];
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !self.has_signed(message, &signature) {
            return None;
        }
        URL_SAFE_NO_PAD.decode(payload).ok()
    }

    /// Whether the signature is this key's for these very bytes.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verifies(jws(self.algorithm), message, signature)
    }
}

fn header(typ: &str, algorithm: SigningAlgorithm, kid: &str) -> String {
    let header = json!({"typ": typ, "alg": algorithm.as_str(), "kid": kid}).to_string();
    format!("{}.", URL_SAFE_NO_PAD.encode(header))
}

const fn jws(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::ES256 => Algorithm::ES256,
        SigningAlgorithm::EdDSA => Algorithm::EdDSA,
        SigningAlgorithm::RS256 => Algorithm::RS256,
    }
}

/// What is published of a key (RFC 7518 §6, RFC 8037 §2).
const fn members(algorithm: SigningAlgorithm) -> &'static [&'static str] {
    match algorithm {
        SigningAlgorithm::ES256 => &["crv", "kty", "x", "y"],
        SigningAlgorithm::EdDSA => &["crv", "kty", "x"],
        SigningAlgorithm::RS256 => &["e", "kty", "n"],
    }
}

#[cfg(test)]
mod tests;
