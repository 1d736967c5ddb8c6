//! Signing keys at work: compact JWS (RFC 7515) over key pairs that are parsed once.
//!
//! Nothing but our own tokens is verified here, so a token must begin, byte for byte, with the header of one of our
//! keys: no algorithm, key or type is ever taken from what a stranger wrote.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::resource_server::SigningAlgorithm;

/// RFC 9068 §2.1.
const TYPE: &str = "at+jwt";

/// A key cannot be made, read or used. No part of the key is in the message.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum KeyError {
    #[error("failed to generate a signing key")]
    Generate,
    #[error("failed to parse a signing key")]
    Parse,
    #[error("failed to sign a token")]
    Sign,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

/// One key, with everything about it that is the same for every token.
pub(super) struct Signer {
    pub algorithm: SigningAlgorithm,
    /// RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// Public members only (RFC 7517 §4).
    pub jwk: Value,
    /// base64url of the JWS header, and the dot behind it.
    prefix: String,
    pair: Pair,
    random: SystemRandom,
}

/// A new private key in PKCS#8.
pub(super) fn generate(algorithm: SigningAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let random = SystemRandom::new();
    let document = match algorithm {
        SigningAlgorithm::ES256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map(|d| Zeroizing::new(d.as_ref().to_vec())),
        SigningAlgorithm::EdDSA => Ed25519KeyPair::generate_pkcs8(&random).map(|d| Zeroizing::new(d.as_ref().to_vec())),
        SigningAlgorithm::RS256 => RsaKeyPair::generate(KeySize::Rsa2048)
            .and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map(|d| Zeroizing::new(d.as_ref().to_vec()))),
    };
    document.map_err(|_| KeyError::Generate)
}

impl Signer {
    /// From PKCS#8.
    pub fn parse(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = match algorithm {
            SigningAlgorithm::ES256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Pair::Es256)
            }
            SigningAlgorithm::EdDSA => Ed25519KeyPair::from_pkcs8(pkcs8).map(Pair::EdDsa),
            SigningAlgorithm::RS256 => RsaKeyPair::from_pkcs8(pkcs8).map(Box::new).map(Pair::Rs256),
        };
        let pair = pair.map_err(|_| KeyError::Parse)?;
        let (mut jwk, thumbprint) = pair.public().ok_or(KeyError::Parse)?;
        jwk["kid"] = thumbprint.as_str().into();
        jwk["use"] = "sig".into();
        jwk["alg"] = algorithm.as_str().into();
        let header = json!({"typ": TYPE, "alg": algorithm.as_str(), "kid": thumbprint}).to_string();
        let prefix = format!("{}.", URL_SAFE_NO_PAD.encode(header));
        Ok(Self { algorithm, kid: thumbprint, jwk, prefix, pair, random: SystemRandom::new() })
    }

    /// Signs `claims` as an access token.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let payload = serde_json::to_vec(claims).map_err(|_| KeyError::Sign)?;
        let mut token = String::with_capacity(self.prefix.len() + payload.len() * 4 / 3 + 352);
        token.push_str(&self.prefix);
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let message = token.as_bytes();
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&self.random, message).map_err(|_| KeyError::Sign)?;
                append(&mut token, signature.as_ref());
            }
            Pair::EdDsa(pair) => {
                let signature = pair.try_sign(message).map_err(|_| KeyError::Sign)?;
                append(&mut token, signature.as_ref());
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature).map_err(|_| KeyError::Sign)?;
                append(&mut token, &signature);
            }
        }
        Ok(token)
    }

    /// The claims of a token that this key signed; `None` for anything else.
    pub fn verify(&self, token: &str) -> Option<Vec<u8>> {
        let (payload, signature) = token.strip_prefix(&self.prefix)?.split_once('.')?;
        let message = &token.as_bytes()[..self.prefix.len() + payload.len()];
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let (algorithm, key): (&dyn signature::VerificationAlgorithm, &[u8]) = match &self.pair {
            Pair::Es256(pair) => (&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()),
            Pair::EdDsa(pair) => (&ED25519, pair.public_key().as_ref()),
            Pair::Rs256(pair) => (&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()),
        };
        UnparsedPublicKey::new(algorithm, key).verify(message, &signature).ok()?;
        URL_SAFE_NO_PAD.decode(payload).ok()
    }
}

fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}

impl Pair {
    /// The public key as a JWK, and its RFC 7638 thumbprint.
    fn public(&self) -> Option<(Value, String)> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        // the members of a thumbprint in their order; serde_json keeps a map sorted
        let jwk = match self {
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
                json!({"crv": "P-256", "kty": "EC", "x": text(x), "y": text(y)})
            }
            Self::EdDsa(pair) => json!({"crv": "Ed25519", "kty": "OKP", "x": text(pair.public_key().as_ref())}),
            Self::Rs256(pair) => {
                let key = pair.public_key();
                let exponent = key.exponent().big_endian_without_leading_zero();
                let modulus = key.modulus().big_endian_without_leading_zero();
                json!({"e": text(exponent), "kty": "RSA", "n": text(modulus)})
            }
        };
        let thumbprint = text(&Sha256::digest(jwk.to_string()));
        Some((jwk, thumbprint))
    }
}

#[cfg(test)]
mod tests;
