//! The keys of a moment: which one signs, which verify, and the key set that tells of them all.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::signing_key::{KeyLife, KeyState};
use crate::oauth::document::Document;
use crate::oauth::error::Error;
use crate::oauth::public_key::PublicKey;
use crate::oauth::signer::{KeyError, Signer, append};
use crate::outbound::Transit;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The private half, as far as this process can use it.
pub(super) enum Private {
    Here(Signer),
    Transit {
        engine: Transit,
        name: String,
        version: u64,
    },
    /// Its store does not have it, or this process cannot read it.
    Nowhere,
}

pub(super) struct Half {
    pub public: PublicKey,
    pub private: Private,
}

/// A key and where it is in its life.
pub(super) struct Held {
    pub life: KeyLife,
    pub created_at: Timestamp,
    pub half: Arc<Half>,
}

/// Every key whose tokens can still be alive, and those that are about to sign.
pub(in crate::oauth) struct KeyRing {
    held: Vec<Held>,
    jwks: Arc<Document>,
}

impl KeyRing {
    pub(super) fn new(mut held: Vec<Held>) -> Self {
        held.retain(|held| held.life.state.is_published());
        // the same order on every replica, and the newest of an algorithm last
        held.sort_by(|a, b| {
            let key = |held: &Held| (held.life.algorithm, held.created_at, held.life.kid.clone());
            key(a).cmp(&key(b))
        });
        let keys: Vec<&Value> = held.iter().map(|held| &held.half.public.jwk).collect();
        let jwks = Arc::new(Document::new(&json!({ "keys": keys })));
        Self { held, jwks }
    }

    pub(super) fn half(&self, kid: &str) -> Option<&Arc<Half>> {
        self.held.iter().find(|held| held.life.kid == kid).map(|held| &held.half)
    }

    fn active(&self, algorithm: SigningAlgorithm) -> Option<&Held> {
        self.held.iter().rev().find(|held| held.life.algorithm == algorithm && held.life.state == KeyState::Active)
    }

    /// The active key of an algorithm, and what is to be signed with it so far.
    pub(super) fn begin(
        &self,
        algorithm: SigningAlgorithm,
        (typ, claims): (&str, &impl Serialize),
    ) -> Result<(Arc<Half>, String), Error> {
        let half = &self.active(algorithm).ok_or(Error::NoKey(algorithm))?.half;
        let payload = serde_json::to_vec(claims).map_err(|_| KeyError::Sign)?;
        let prefix = half.public.header(typ);
        let mut token = String::with_capacity(prefix.len() + payload.len() * 4 / 3 + 352);
        token.push_str(&prefix);
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        Ok((Arc::clone(half), token))
    }

    /// The claims of a token of ours, whichever key signed it.
    pub(super) fn verify(&self, token: &str) -> Option<Vec<u8>> {
        self.held.iter().find_map(|held| held.half.public.verify(token))
    }

    /// The JWK set (RFC 7517 §5), public members only.
    pub(super) fn jwks(&self) -> &Arc<Document> {
        &self.jwks
    }

    /// Algorithm and creation of the active keys that this process can sign with.
    pub(super) fn ages(&self) -> Vec<(SigningAlgorithm, Timestamp)> {
        let active = SigningAlgorithm::ALL.into_iter().filter_map(|algorithm| self.active(algorithm));
        let usable = active.filter(|held| held.half.is_whole());
        usable.map(|held| (held.life.algorithm, held.created_at)).collect()
    }
}

impl Half {
    /// Whether this process can sign with it.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.private, Private::Nowhere)
    }

    /// Signs what stands in `token`. What another made is looked at before it is believed.
    pub(super) async fn sign(&self, mut token: String) -> Result<String, Error> {
        match &self.private {
            Private::Here(signer) => signer.sign(&mut token)?,
            Private::Transit { engine, name, version } => {
                let algorithm = self.public.algorithm;
                let signed = Box::pin(engine.sign((name, *version), algorithm, token.as_bytes())).await;
                let signature = signed.map_err(|source| Error::Engine(Some(source)))?;
                if !self.public.has_signed(token.as_bytes(), &signature) {
                    return Err(Error::Engine(None));
                }
                append(&mut token, &signature);
            }
            Private::Nowhere => return Err(Error::KeyAway { kid: self.public.kid.clone() }),
        }
        Ok(token)
    }
}
