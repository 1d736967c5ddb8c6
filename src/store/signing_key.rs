//! Signing keys: the public half in clear, the private half sealed under the master key.

use jiff::Timestamp;

use crate::domain::resource_server::SigningAlgorithm;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, not signing yet.
    Next,
    Active,
    /// Published until the last token that it signed has expired.
    Retiring,
}

impl KeyState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retiring => "retiring",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Next, Self::Active, Self::Retiring].into_iter().find(|state| state.as_str() == text)
    }
}

/// A key as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    /// RFC 7517, JSON.
    pub public_jwk: String,
    pub sealed_private: Vec<u8>,
    pub created_at: Timestamp,
    pub state: KeyState,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("state", &self.state).finish_non_exhaustive()
    }
}

row!(SigningKeyRow {
    kid: String,
    algorithm: String,
    public_jwk: String,
    sealed_private: Vec<u8>,
    created_at: i64,
    state: String,
});

impl SigningKeyRow {
    fn read(self) -> Result<SigningKey, Error> {
        let corrupt = || Error::Corrupt { table: "signing_key", key: self.kid.clone() };
        let algorithms = [SigningAlgorithm::ES256, SigningAlgorithm::EdDSA, SigningAlgorithm::RS256];
        Ok(SigningKey {
            algorithm: algorithms.into_iter().find(|a| a.as_str() == self.algorithm).ok_or_else(corrupt)?,
            created_at: stamp(self.created_at, corrupt)?,
            state: KeyState::parse(&self.state).ok_or_else(corrupt)?,
            kid: self.kid,
            public_jwk: self.public_jwk,
            sealed_private: self.sealed_private,
        })
    }
}

impl Tx {
    /// All keys, oldest first. One that cannot be read is an error: no key is made because a read failed.
    pub async fn signing_keys(&mut self) -> Result<Vec<SigningKey>, Error> {
        let sql = "SELECT kid, algorithm, public_jwk, sealed_private, created_at, state
            FROM signing_key ORDER BY created_at, kid";
        let rows = on!(self, c => sqlx::query_as::<_, SigningKeyRow>(sql).fetch_all(c).await)?;
        rows.into_iter().map(SigningKeyRow::read).collect()
    }

    /// Adds a key, or changes the state (and the seal) of one that is there.
    pub async fn put_signing_key(&mut self, key: &SigningKey) -> Result<(), Error> {
        let sql = "INSERT INTO signing_key (kid, algorithm, public_jwk, sealed_private, created_at, state)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (kid) DO UPDATE SET sealed_private = excluded.sealed_private, state = excluded.state";
        on!(self, c => sqlx::query(sql)
            .bind(&key.kid).bind(key.algorithm.as_str()).bind(&key.public_jwk).bind(&key.sealed_private)
            .bind(key.created_at.as_microsecond()).bind(key.state.as_str())
            .execute(c).await.map(drop))?;
        Ok(())
    }
}
