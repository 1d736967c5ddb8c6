//! Device authorizations: each is shown to one session, decided once and redeemed once.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::secret::SecretHash;

use super::Error;
use super::grant::uuid;
use super::time::{micros, optional, stamp};
use super::tx::{Connection, Tx, on, row};

/// Where a device authorization is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    Pending,
    Approved,
    Denied,
    Redeemed,
}

impl DeviceState {
    const ALL: [Self; 4] = [Self::Pending, Self::Approved, Self::Denied, Self::Redeemed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Redeemed => "redeemed",
        }
    }
}

/// A device authorization as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Of the device code.
    pub hash: SecretHash,
    /// Keyed digest of the user code.
    pub user_code: [u8; 32],
    pub client_id: String,
    pub resource_server_id: String,
    /// Space-separated.
    pub scope: String,
    pub code_challenge: Option<String>,
    /// Address that the device came from.
    pub source: String,
    pub state: DeviceState,
    /// The session that it was shown to, which alone decides.
    pub session_id: Option<String>,
    pub subject: Option<String>,
    pub auth_time: Option<Timestamp>,
    /// Seconds that the device has to wait between two polls.
    pub interval: i64,
    pub polled_at: Option<Timestamp>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub grant_id: Option<Uuid>,
}

/// What a user said.
#[derive(Debug, Clone, Copy)]
pub struct DeviceDecision<'a> {
    /// `None` = denied; else the scopes, space-separated.
    pub scope: Option<&'a str>,
    pub session_id: &'a str,
    pub subject: &'a str,
    pub auth_time: Timestamp,
}

row!(StoredDevice {
    hash: Vec<u8>,
    user_code: Vec<u8>,
    client_id: String,
    resource_server_id: String,
    scope: String,
    code_challenge: Option<String>,
    source: String,
    state: String,
    session_id: Option<String>,
    subject: Option<String>,
    auth_time: Option<i64>,
    interval_seconds: i64,
    polled_at: Option<i64>,
    issued_at: i64,
    expires_at: i64,
    grant_id: Option<Vec<u8>>,
});

const COLUMNS: &str = "hash, user_code, client_id, resource_server_id, scope, code_challenge, source, state,
    session_id, subject, auth_time, interval_seconds, polled_at, issued_at, expires_at, grant_id";

impl StoredDevice {
    fn read(self) -> Result<DeviceRow, Error> {
        let corrupt = || Error::Corrupt { table: "device_authorization", key: self.client_id.clone() };
        Ok(DeviceRow {
            hash: SecretHash::from_bytes(&self.hash).ok_or_else(corrupt)?,
            user_code: self.user_code.as_slice().try_into().map_err(|_| corrupt())?,
            state: DeviceState::ALL.into_iter().find(|state| state.as_str() == self.state).ok_or_else(corrupt)?,
            auth_time: optional(self.auth_time, corrupt)?,
            polled_at: optional(self.polled_at, corrupt)?,
            issued_at: stamp(self.issued_at, corrupt)?,
            expires_at: stamp(self.expires_at, corrupt)?,
            grant_id: self.grant_id.map(|id| uuid(&id, "device_authorization")).transpose()?,
            interval: self.interval_seconds,
            client_id: self.client_id,
            resource_server_id: self.resource_server_id,
            scope: self.scope,
            code_challenge: self.code_challenge,
            source: self.source,
            session_id: self.session_id,
            subject: self.subject,
        })
    }
}

impl Tx {
    /// False when another one has that user code, over or not.
    pub async fn put_device(&mut self, device: &DeviceRow) -> Result<bool, Error> {
        let sql = "INSERT INTO device_authorization (hash, user_code, client_id, resource_server_id, scope,
                code_challenge, source, state, interval_seconds, issued_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
        let touched = on!(self, c => sqlx::query(sql)
            .bind(device.hash.as_bytes().as_slice()).bind(device.user_code.as_slice())
            .bind(&device.client_id).bind(&device.resource_server_id).bind(&device.scope)
            .bind(&device.code_challenge).bind(&device.source).bind(device.state.as_str()).bind(device.interval)
            .bind(device.issued_at.as_microsecond()).bind(device.expires_at.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// The one with this device code. It stays as it is until this transaction ends.
    pub async fn device_to_use(&mut self, hash: &SecretHash) -> Result<Option<DeviceRow>, Error> {
        self.device_where("hash = $1", hash.as_bytes()).await
    }

    /// The one with this user code. It stays as it is until this transaction ends.
    pub async fn device_by_user_code(&mut self, digest: &[u8; 32]) -> Result<Option<DeviceRow>, Error> {
        self.device_where("user_code = $1", digest).await
    }

    async fn device_where(&mut self, filter: &str, key: &[u8]) -> Result<Option<DeviceRow>, Error> {
        let lock = match self.connection {
            Connection::Sqlite(_) => "",
            Connection::Postgres(_) => " FOR UPDATE",
        };
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM device_authorization WHERE {filter}{lock}"));
        let row = on!(self, c => sqlx::query_as::<_, StoredDevice>(sql).bind(key).fetch_optional(c).await)?;
        row.map(StoredDevice::read).transpose()
    }

    /// Shows it to a session; false when it was shown to another one, or is decided.
    pub async fn show_device(&mut self, hash: &SecretHash, session_id: &str) -> Result<bool, Error> {
        let sql = "UPDATE device_authorization SET session_id = $2
            WHERE hash = $1 AND state = 'pending' AND (session_id IS NULL OR session_id = $2)";
        let touched = on!(self, c => sqlx::query(sql).bind(hash.as_bytes().as_slice()).bind(session_id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Decides it; false unless it waits for this very session.
    pub async fn decide_device(&mut self, hash: &SecretHash, decision: &DeviceDecision<'_>) -> Result<bool, Error> {
        let sql = "UPDATE device_authorization
            SET state = $2, scope = coalesce($3, scope), subject = $4, auth_time = $5
            WHERE hash = $1 AND state = 'pending' AND session_id = $6";
        let state = if decision.scope.is_some() { DeviceState::Approved } else { DeviceState::Denied };
        let touched = on!(self, c => sqlx::query(sql)
            .bind(hash.as_bytes().as_slice()).bind(state.as_str()).bind(decision.scope).bind(decision.subject)
            .bind(micros(Some(decision.auth_time))).bind(decision.session_id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Notes a poll, and how long the device has to wait before the next one.
    pub async fn poll_device(&mut self, hash: &SecretHash, now: Timestamp, interval: i64) -> Result<(), Error> {
        let sql = "UPDATE device_authorization SET polled_at = $2, interval_seconds = $3 WHERE hash = $1";
        on!(self, c => sqlx::query(sql)
            .bind(hash.as_bytes().as_slice()).bind(now.as_microsecond()).bind(interval)
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Redeems it for a grant; false when it was redeemed before. Of all who try, one succeeds.
    pub async fn redeem_device(&mut self, hash: &SecretHash, grant: Uuid) -> Result<bool, Error> {
        let sql = "UPDATE device_authorization SET state = 'redeemed', grant_id = $2
            WHERE hash = $1 AND state = 'approved'";
        let touched = on!(self, c => sqlx::query(sql).bind(hash.as_bytes().as_slice()).bind(grant.as_bytes().as_slice())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Forgets at most `limit` that ended before; how many they were.
    pub async fn purge_devices(&mut self, before: Timestamp, limit: i64) -> Result<u64, Error> {
        let sql = "DELETE FROM device_authorization WHERE hash IN
            (SELECT hash FROM device_authorization WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        Ok(on!(self, c => sqlx::query(sql).bind(before.as_microsecond()).bind(limit)
            .execute(c).await.map(|done| done.rows_affected()))?)
    }
}
