//! The public half of one of our keys: its place in the key set, and the verification of what it signed.
//!
//! Nothing but our own tokens is verified here, so a token must begin, byte for byte, with the header of one of our
//! keys: no algorithm, key or type is ever taken from what a stranger wrote.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::signer::KeyError;
use crate::domain::resource_server::SigningAlgorithm;

/// RFC 9068 §2.1.
const TYPE: &str = "at+jwt";

enum Material {
    /// The uncompressed point.
    Es256([u8; 65]),
    EdDsa([u8; 32]),
    Rs256 {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

/// A public key, with everything about it that is the same for every token.
pub(super) struct PublicKey {
    pub algorithm: SigningAlgorithm,
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// Public members only (RFC 7517 §4).
    pub jwk: Value,
    /// base64url of the JWS header, and the dot behind it.
    pub prefix: String,
    material: Material,
}

impl PublicKey {
    /// From the members of a JWK that its type demands; whatever else is in it is not taken over.
    pub fn parse(algorithm: SigningAlgorithm, jwk: &Value) -> Result<Self, KeyError> {
        let (mut jwk, material) = read(algorithm, jwk).ok_or(KeyError::Parse)?;
        // the members of a thumbprint in their order; serde_json keeps a map sorted
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(jwk.to_string()));
        jwk["kid"] = kid.as_str().into();
        jwk["use"] = "sig".into();
        jwk["alg"] = algorithm.as_str().into();
        let header = json!({"typ": TYPE, "alg": algorithm.as_str(), "kid": kid}).to_string();
        let prefix = format!("{}.", URL_SAFE_NO_PAD.encode(header));
        Ok(Self { algorithm, kid, jwk, prefix, material })
    }

    /// The claims of a token that this key signed; `None` for anything else.
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
        let verified = match &self.material {
            Material::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::EdDsa(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Material::Rs256 { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        verified.is_ok()
    }
}

fn read(algorithm: SigningAlgorithm, jwk: &Value) -> Option<(Value, Material)> {
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(member(name)?).ok();
    let is = |name: &str, text: &str| (member(name) == Some(text)).then_some(());
    Some(match algorithm {
        SigningAlgorithm::ES256 => {
            is("kty", "EC").and(is("crv", "P-256"))?;
            let (x, y): ([u8; 32], [u8; 32]) = (bytes("x")?.try_into().ok()?, bytes("y")?.try_into().ok()?);
            let mut point = [4; 65];
            point[1..33].copy_from_slice(&x);
            point[33..].copy_from_slice(&y);
            (json!({"crv": "P-256", "kty": "EC", "x": member("x")?, "y": member("y")?}), Material::Es256(point))
        }
        SigningAlgorithm::EdDSA => {
            is("kty", "OKP").and(is("crv", "Ed25519"))?;
            let key = bytes("x")?.try_into().ok()?;
            (json!({"crv": "Ed25519", "kty": "OKP", "x": member("x")?}), Material::EdDsa(key))
        }
        SigningAlgorithm::RS256 => {
            is("kty", "RSA")?;
            let (n, e) = (bytes("n")?, bytes("e")?);
            (json!({"e": member("e")?, "kty": "RSA", "n": member("n")?}), Material::Rs256 { n, e })
        }
    })
}
