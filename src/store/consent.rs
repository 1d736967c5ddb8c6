//! What users agreed to: one row for a user, a client and a resource server.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::consent::Shown;
use crate::domain::owner::Kind;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

/// A consent that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// `cns_` and a UUIDv7.
    pub id: String,
    pub user_id: String,
    pub client_id: String,
    pub resource_server_id: String,
    /// What was shown, all times together.
    pub shown: Shown,
    pub granted_at: Timestamp,
    pub updated_at: Timestamp,
}

row!(ConsentRow {
    id: String,
    user_id: String,
    client_id: String,
    resource_server_id: String,
    scopes: String,
    shown: String,
    granted_at: i64,
    updated_at: i64,
});

row!(HeldRow { scopes: String, shown: String });

impl ConsentRow {
    fn read(self) -> Result<Consent, Error> {
        let corrupt = || Error::Corrupt { table: "consent", key: self.id.clone() };
        Ok(Consent {
            shown: Shown { client: self.shown.clone(), scopes: scopes(&self.scopes).ok_or_else(corrupt)? },
            granted_at: stamp(self.granted_at, corrupt)?,
            updated_at: stamp(self.updated_at, corrupt)?,
            id: self.id,
            user_id: self.user_id,
            client_id: self.client_id,
            resource_server_id: self.resource_server_id,
        })
    }
}

fn scopes(json: &str) -> Option<BTreeMap<String, String>> {
    serde_json::from_str(json).ok()
}

const COLUMNS: &str = "SELECT id, user_id, client_id, resource_server_id, scopes, shown, granted_at, updated_at
    FROM consent WHERE ";

impl Tx {
    /// What this user has agreed to for this client at this resource server.
    pub async fn consent(&mut self, user: &str, client: &str, server: &str) -> Result<Option<Consent>, Error> {
        let sql = format!("{COLUMNS} user_id = $1 AND client_id = $2 AND resource_server_id = $3");
        let row = on!(self, c => sqlx::query_as::<_, ConsentRow>(sqlx::AssertSqlSafe(sql))
            .bind(user).bind(client).bind(server).fetch_optional(c).await)?;
        row.map(ConsentRow::read).transpose()
    }

    pub async fn consent_by_id(&mut self, id: &str) -> Result<Option<Consent>, Error> {
        let sql = format!("{COLUMNS} id = $1");
        let row = on!(self, c => sqlx::query_as::<_, ConsentRow>(sqlx::AssertSqlSafe(sql))
            .bind(id).fetch_optional(c).await)?;
        row.map(ConsentRow::read).transpose()
    }

    /// All consents of a user, the newest first.
    pub async fn consents_of(&mut self, user: &str) -> Result<Vec<Consent>, Error> {
        let sql = format!("{COLUMNS} user_id = $1 ORDER BY updated_at DESC, id");
        let rows = on!(self, c => sqlx::query_as::<_, ConsentRow>(sqlx::AssertSqlSafe(sql))
            .bind(user).fetch_all(c).await)?;
        rows.into_iter().map(ConsentRow::read).collect()
    }

    /// Adds what was shown to what was agreed to before, as long as the client looks the same.
    pub async fn put_consent(&mut self, consent: &Consent) -> Result<(), Error> {
        // writing first makes a second tab wait, so that neither loses what the other adds
        let hold = "UPDATE consent SET updated_at = $4
            WHERE user_id = $1 AND client_id = $2 AND resource_server_id = $3 RETURNING scopes, shown";
        let add = "INSERT INTO consent
            (id, user_id, client_id, resource_server_id, scopes, shown, granted_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (user_id, client_id, resource_server_id) DO NOTHING";
        let change = "UPDATE consent SET scopes = $4, shown = $5
            WHERE user_id = $1 AND client_id = $2 AND resource_server_id = $3";
        let json = |scopes: &BTreeMap<String, String>| {
            serde_json::to_string(scopes).map_err(|error| Error::Query(error.into()))
        };
        let new = json(&consent.shown.scopes)?;
        let added = on!(self, c => sqlx::query(add)
            .bind(&consent.id).bind(&consent.user_id).bind(&consent.client_id).bind(&consent.resource_server_id)
            .bind(&new).bind(&consent.shown.client)
            .bind(consent.granted_at.as_microsecond()).bind(consent.updated_at.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        if added == 1 {
            return Ok(());
        }
        let held = on!(self, c => sqlx::query_as::<_, HeldRow>(hold)
            .bind(&consent.user_id).bind(&consent.client_id).bind(&consent.resource_server_id)
            .bind(consent.updated_at.as_microsecond())
            .fetch_one(c).await)?;
        let mut all = match scopes(&held.scopes) {
            Some(scopes) if held.shown == consent.shown.client => scopes,
            _ => BTreeMap::new(),
        };
        all.extend(consent.shown.scopes.clone());
        let all = json(&all)?;
        on!(self, c => sqlx::query(change)
            .bind(&consent.user_id).bind(&consent.client_id).bind(&consent.resource_server_id)
            .bind(&all).bind(&consent.shown.client)
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Whether the consent stands. Nobody withdraws it until this transaction ends.
    pub async fn hold_consent(&mut self, id: &str, now: Timestamp) -> Result<bool, Error> {
        let sql = "UPDATE consent SET updated_at = $2 WHERE id = $1";
        let touched = on!(self, c => sqlx::query(sql).bind(id).bind(now.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// False when there is none any more.
    pub async fn delete_consent(&mut self, id: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM consent WHERE id = $1";
        Ok(on!(self, c => sqlx::query(sql).bind(id).execute(c).await.map(|done| done.rows_affected()))? > 0)
    }

    /// Forgets all consents of a user who is deleted.
    pub async fn delete_consents_of(&mut self, user: &str) -> Result<u64, Error> {
        let sql = "DELETE FROM consent WHERE user_id = $1";
        Ok(on!(self, c => sqlx::query(sql).bind(user).execute(c).await.map(|done| done.rows_affected()))?)
    }

    /// Forgets the consents to a client or resource server that is deleted, and requests that are under way.
    pub(super) async fn delete_consents_to(&mut self, kind: Kind, id: &str) -> Result<(), Error> {
        let all: &[&'static str] = match kind {
            Kind::OAuthClient => {
                &["DELETE FROM consent WHERE client_id = $1", "DELETE FROM authorization_request WHERE client_id = $1"]
            }
            Kind::ResourceServer => &["DELETE FROM consent WHERE resource_server_id = $1"],
            Kind::Provider => &[],
        };
        for sql in all {
            on!(self, c => sqlx::query(*sql).bind(id).execute(c).await.map(drop))?;
        }
        Ok(())
    }
}
