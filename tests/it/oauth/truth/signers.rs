//! A key for every algorithm of RFC 7518 §3.1 and RFC 8037, those that are never taken among them.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair};
use serde_json::{Value, json};

use crate::oauth::prover::text;

/// What a JWS might be signed with.
pub const ALGORITHMS: [&str; 14] = [
    "ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "HS256", "HS384",
    "HS512", "none",
];

pub struct Signers {
    curves: [EcdsaKeyPair; 3],
    edwards: Ed25519KeyPair,
    rsa: RsaKeyPair,
}

fn curve(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap()
}

impl Signers {
    pub fn new() -> Self {
        let curves = [
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        ];
        let edwards = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            curves: curves.map(curve),
            edwards: Ed25519KeyPair::from_pkcs8(edwards.as_ref()).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    /// The public half, or for the symmetric ones the whole.
    pub fn jwk(&self, algorithm: &str) -> Value {
        let ec = |at: usize, crv: &str| {
            let point = &self.curves[at].public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({"kty": "EC", "crv": crv, "x": text(x), "y": text(y)})
        };
        match algorithm {
            "ES384" => ec(1, "P-384"),
            "ES512" => ec(2, "P-521"),
            "EdDSA" => json!({"kty": "OKP", "crv": "Ed25519", "x": text(self.edwards.public_key())}),
            _ if algorithm.starts_with("HS") => json!({"kty": "oct", "k": text([7; 32])}),
            _ if algorithm.starts_with(['R', 'P']) => {
                let key = self.rsa.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                let number = |bytes: &[u8]| text(bytes);
                json!({
                    "kty": "RSA", "n": number(n.big_endian_without_leading_zero()),
                    "e": number(e.big_endian_without_leading_zero()),
                })
            }
            _ => ec(0, "P-256"),
        }
    }

    /// The keys that a client publishes.
    pub fn set(&self) -> Value {
        let keys = ["ES256", "ES384", "ES512", "EdDSA", "RS256"].map(|algorithm| self.jwk(algorithm));
        json!({ "keys": keys })
    }

    /// A compact JWS. The symmetric ones are signed with `secret`.
    pub fn sign(&self, algorithm: &str, mut header: Value, claims: &Value, secret: &str) -> String {
        header["alg"] = algorithm.into();
        let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let mac = |algorithm| hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), bytes).as_ref().to_vec();
        let ec = |at: usize| self.curves[at].sign(&random, bytes).unwrap().as_ref().to_vec();
        let rsa = |padding: &'static dyn signature::RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, bytes, &mut signature).unwrap();
            signature
        };
        let signature = match algorithm {
            "ES256" => ec(0),
            "ES384" => ec(1),
            "ES512" => ec(2),
            "EdDSA" => self.edwards.sign(bytes).as_ref().to_vec(),
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "PS384" => rsa(&signature::RSA_PSS_SHA384),
            "PS512" => rsa(&signature::RSA_PSS_SHA512),
            "HS256" => mac(hmac::HMAC_SHA256),
            "HS384" => mac(hmac::HMAC_SHA384),
            "HS512" => mac(hmac::HMAC_SHA512),
            _ => Vec::new(),
        };
        format!("{message}.{}", text(signature))
    }
}
