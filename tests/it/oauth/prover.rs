//! A client's key, and the proofs that it signs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::harness::{Answer, ISSUER, Server, answer, secret};

pub fn text(value: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(value)
}

/// An ES256 key.
pub struct Prover(EcdsaKeyPair);

impl Prover {
    pub fn new() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap())
    }

    pub fn jwk(&self) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
    }

    /// RFC 7638
    pub fn jkt(&self) -> String {
        let jwk = self.jwk();
        let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
        text(Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)))
    }

    /// Signs whatever it is given.
    pub fn sign(&self, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", text(header.to_string()), text(claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", text(signature))
    }

    pub fn header(&self) -> Value {
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk()})
    }

    /// The claims of a proof for the token endpoint, with `change` over them.
    pub fn claims(server: &Server, change: &Value) -> Value {
        let mut claims = json!({
            "jti": uuid::Uuid::new_v4().to_string(), "htm": "POST", "htu": format!("{ISSUER}/oauth/token"),
            "iat": holdfast::domain::Clock::now(&*server.clock).as_second(),
        });
        for (name, value) in change.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// A proof for the token endpoint.
    pub fn proof(&self, server: &Server, change: Value) -> String {
        self.sign(&self.header(), &Self::claims(server, &change).to_string())
    }
}

/// `POST /oauth/token` by a client with a secret, with these `DPoP` headers.
pub async fn token_with(server: &Server, id: &str, form: &[(&str, &str)], proofs: &[&str]) -> Answer {
    let request = server.http.post(format!("{}/oauth/token", server.public)).basic_auth(id, Some(secret(id)));
    answer(proofs.iter().fold(request.form(form), |request, proof| request.header("dpop", *proof))).await
}
