//! Private halves that are held in memory: made, read and used for compact JWS (RFC 7515), parsed once.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::domain::resource_server::SigningAlgorithm;

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

/// A key pair in memory.
pub(super) struct Signer {
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
        Ok(Self { pair: pair.map_err(|_| KeyError::Parse)?, random: SystemRandom::new() })
    }

    /// The public members of a JWK (RFC 7517 §4).
    pub fn jwk(&self) -> Result<Value, KeyError> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Ok(match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.strip_prefix(&[4]).and_then(|p| p.split_at_checked(32)).ok_or(KeyError::Parse)?;
                json!({"crv": "P-256", "kty": "EC", "x": text(x), "y": text(y)})
            }
            Pair::EdDsa(pair) => json!({"crv": "Ed25519", "kty": "OKP", "x": text(pair.public_key().as_ref())}),
            Pair::Rs256(pair) => {
                let key = pair.public_key();
                let exponent = key.exponent().big_endian_without_leading_zero();
                let modulus = key.modulus().big_endian_without_leading_zero();
                json!({"e": text(exponent), "kty": "RSA", "n": text(modulus)})
            }
        })
    }

    /// Signs what stands in `token` and appends a dot and the signature.
    pub fn sign(&self, token: &mut String) -> Result<(), KeyError> {
        let message = token.as_bytes();
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&self.random, message).map_err(|_| KeyError::Sign)?;
                append(token, signature.as_ref());
            }
            Pair::EdDsa(pair) => {
                let signature = pair.try_sign(message).map_err(|_| KeyError::Sign)?;
                append(token, signature.as_ref());
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature).map_err(|_| KeyError::Sign)?;
                append(token, &signature);
            }
        }
        Ok(())
    }
}

/// The last part of a compact JWS.
pub(super) fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}

#[cfg(test)]
mod tests;
