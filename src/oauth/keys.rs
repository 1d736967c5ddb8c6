//! Signing keys: made once, sealed in the database, never made again because a read failed.
//!
//! All three algorithms get their key at the first start, RS256 too: were it made when it is first needed, another
//! replica's key set would lack it for a while, and a token must verify from its first moment.

use serde_json::{Value, json};

use super::error::Error;
use super::signer::{Signer, generate};
use crate::domain::actor::Actor;
use crate::domain::clock::Clock;
use crate::domain::resource_server::SigningAlgorithm;
use crate::seal::Sealer;
use crate::store::{KeyState, SigningKey, Store};
use jiff::Timestamp;

const ALGORITHMS: [SigningAlgorithm; 3] = [SigningAlgorithm::ES256, SigningAlgorithm::EdDSA, SigningAlgorithm::RS256];

/// Every key whose tokens can still be alive.
pub(super) struct KeyRing(Vec<Held>);

struct Held {
    signer: Signer,
    state: KeyState,
    created_at: Timestamp,
}

impl KeyRing {
    /// The active key of an algorithm.
    pub fn active(&self, algorithm: SigningAlgorithm) -> Result<&Signer, Error> {
        let active = |held: &&Held| held.signer.algorithm == algorithm && held.state == KeyState::Active;
        self.0.iter().rev().find(active).map(|held| &held.signer).ok_or(Error::NoKey(algorithm))
    }

    /// The claims of a token of ours, whichever key signed it.
    pub fn verify(&self, token: &str) -> Option<Vec<u8>> {
        self.0.iter().find_map(|held| held.signer.verify(token))
    }

    /// The JWK set (RFC 7517 §5), public members only.
    pub fn jwks(&self) -> Value {
        let keys: Vec<&Value> = self.0.iter().map(|held| &held.signer.jwk).collect();
        json!({ "keys": keys })
    }

    /// Algorithm and creation of the active keys.
    pub fn ages(&self) -> impl Iterator<Item = (SigningAlgorithm, Timestamp)> {
        let active = self.0.iter().filter(|held| held.state == KeyState::Active);
        active.map(|held| (held.signer.algorithm, held.created_at))
    }
}

/// Loads the keys; makes the ones that were never made.
///
/// # Errors
/// When a key cannot be read, opened or parsed. Nothing is made then.
pub(super) async fn ensure(store: &Store, sealer: &Sealer, clock: &dyn Clock) -> Result<KeyRing, Error> {
    let known = store.read().await?.signing_keys().await?;
    let ring = open(&known, sealer)?;
    if missing(&known).next().is_none() {
        return Ok(ring);
    }
    let mut tx = store.write(&Actor::recorded("server")).await?;
    tx.lock_migrations().await?;
    let mut known = tx.signing_keys().await?;
    open(&known, sealer)?;
    for algorithm in missing(&known).collect::<Vec<_>>() {
        let key = make(algorithm, sealer, clock.now())?;
        tx.put_signing_key(&key).await?;
        known.push(key);
    }
    tx.commit().await?;
    open(&known, sealer)
}

fn missing(known: &[SigningKey]) -> impl Iterator<Item = SigningAlgorithm> {
    ALGORITHMS.into_iter().filter(|a| !known.iter().any(|key| key.algorithm == *a && key.state == KeyState::Active))
}

fn open(known: &[SigningKey], sealer: &Sealer) -> Result<KeyRing, Error> {
    let open = |key: &SigningKey| {
        let algorithm = key.algorithm;
        let pkcs8 =
            sealer.open(&key.sealed_private, &context(&key.kid)).map_err(|source| Error::Seal { algorithm, source })?;
        let signer = Signer::parse(algorithm, &pkcs8)?;
        if signer.kid != key.kid {
            return Err(Error::OtherKey { kid: key.kid.clone() });
        }
        Ok(Held { signer, state: key.state, created_at: key.created_at })
    };
    let mut held = known.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // the same order on every replica, and the newest of an algorithm last
    held.sort_by(|a, b| {
        (a.signer.algorithm, a.created_at, &a.signer.kid).cmp(&(b.signer.algorithm, b.created_at, &b.signer.kid))
    });
    Ok(KeyRing(held))
}

fn make(algorithm: SigningAlgorithm, sealer: &Sealer, now: Timestamp) -> Result<SigningKey, Error> {
    let pkcs8 = generate(algorithm)?;
    let signer = Signer::parse(algorithm, &pkcs8)?;
    let sealed = sealer.seal(&pkcs8, &context(&signer.kid)).map_err(|source| Error::Seal { algorithm, source })?;
    Ok(SigningKey {
        kid: signer.kid,
        algorithm,
        public_jwk: signer.jwk.to_string(),
        sealed_private: sealed,
        created_at: now,
        state: KeyState::Active,
    })
}

fn context(kid: &str) -> String {
    format!("signing-key:{kid}")
}
