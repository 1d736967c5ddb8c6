//! Signing keys: the public half and the key's life in clear, the private half sealed, or kept elsewhere.

use jiff::Timestamp;

use crate::domain::Actor;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::signing_key::{KeyLife, KeyState, KeyStore, RotationRequest};

use super::Error;
use super::time::{micros, optional, stamp};
use super::tx::{Tx, on, row};

/// A key as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub life: KeyLife,
    /// RFC 7517, JSON.
    pub public_jwk: String,
    /// Empty when the private half is kept elsewhere, or is gone.
    pub sealed_private: Vec<u8>,
    /// By what name its store knows it; empty in the database.
    pub reference: String,
    pub created_at: Timestamp,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("life", &self.life).finish_non_exhaustive()
    }
}

row!(SigningKeyRow {
    kid: String,
    algorithm: String,
    public_jwk: String,
    sealed_private: Vec<u8>,
    created_at: i64,
    state: String,
    keystore: String,
    reference: String,
    activate_at: i64,
    retire_at: Option<i64>,
});

impl SigningKeyRow {
    fn read(self) -> Result<SigningKey, Error> {
        let corrupt = || Error::Corrupt { table: "signing_key", key: self.kid.clone() };
        Ok(SigningKey {
            created_at: stamp(self.created_at, corrupt)?,
            life: KeyLife {
                algorithm: SigningAlgorithm::ALL
                    .into_iter()
                    .find(|a| a.as_str() == self.algorithm)
                    .ok_or_else(corrupt)?,
                state: KeyState::parse(&self.state).ok_or_else(corrupt)?,
                store: KeyStore::parse(&self.keystore).ok_or_else(corrupt)?,
                activate_at: stamp(self.activate_at, corrupt)?,
                retire_at: optional(self.retire_at, corrupt)?,
                kid: self.kid,
            },
            public_jwk: self.public_jwk,
            sealed_private: self.sealed_private,
            reference: self.reference,
        })
    }
}

row!(RequestRow { urgent: i64, who: String });

impl Tx {
    /// All keys, retired ones too, oldest first. One that cannot be read is an error: no key is made because a read
    /// failed.
    pub async fn signing_keys(&mut self) -> Result<Vec<SigningKey>, Error> {
        let sql = "SELECT kid, algorithm, public_jwk, sealed_private, created_at, state, keystore, reference,
                activate_at, retire_at
            FROM signing_key ORDER BY created_at, kid";
        let rows = on!(self, c => sqlx::query_as::<_, SigningKeyRow>(sql).fetch_all(c).await)?;
        rows.into_iter().map(SigningKeyRow::read).collect()
    }

    /// Adds a key, or changes the life (and the seal) of one that is there.
    pub async fn put_signing_key(&mut self, key: &SigningKey) -> Result<(), Error> {
        let sql = "INSERT INTO signing_key (kid, algorithm, public_jwk, sealed_private, created_at, state, keystore,
                reference, activate_at, retire_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT (kid) DO UPDATE SET sealed_private = excluded.sealed_private, state = excluded.state,
                activate_at = excluded.activate_at, retire_at = excluded.retire_at";
        let life = &key.life;
        on!(self, c => sqlx::query(sql)
            .bind(&life.kid).bind(life.algorithm.as_str()).bind(&key.public_jwk).bind(&key.sealed_private)
            .bind(key.created_at.as_microsecond()).bind(life.state.as_str()).bind(life.store.as_str())
            .bind(&key.reference).bind(life.activate_at.as_microsecond()).bind(micros(life.retire_at))
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Asks the leader for new keys. Asking twice is asking once; the more urgent one counts.
    pub async fn request_key_rotation(
        &mut self,
        request: RotationRequest,
        who: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO signing_key_request (id, at, who, urgent) VALUES (1, $1, $2, $3)
            ON CONFLICT (id) DO UPDATE SET
                urgent = CASE WHEN excluded.urgent = 1 THEN 1 ELSE signing_key_request.urgent END";
        on!(self, c => sqlx::query(sql)
            .bind(now.as_microsecond()).bind(who.as_str()).bind(i64::from(request.urgent))
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// What is asked for and not done yet, and by whom.
    pub async fn key_rotation_request(&mut self) -> Result<Option<(RotationRequest, Actor)>, Error> {
        let sql = "SELECT urgent, who FROM signing_key_request WHERE id = 1";
        let row = on!(self, c => sqlx::query_as::<_, RequestRow>(sql).fetch_optional(c).await)?;
        Ok(row.map(|row| (RotationRequest { urgent: row.urgent == 1 }, Actor::recorded(row.who))))
    }

    /// It is done.
    pub async fn close_key_rotation_request(&mut self) -> Result<(), Error> {
        let sql = "DELETE FROM signing_key_request";
        on!(self, c => sqlx::query(sql).execute(c).await.map(drop))?;
        Ok(())
    }
}
