//! Login sessions: one row for each browser that somebody has signed in with.

use jiff::Timestamp;

use crate::domain::secret::SecretHash;
use crate::domain::user::SessionEnd;

use super::Error;
use super::time::{micros, optional, stamp};
use super::tx::{Tx, on, row};

/// A login session, without what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// UUIDv7.
    pub id: String,
    pub user_id: String,
    pub fingerprint: SecretHash,
    /// As the browser said; plain characters only.
    pub user_agent: String,
    pub address: String,
    /// The network of the address, /24 or /64.
    pub network: String,
    pub created_at: Timestamp,
    pub authenticated_at: Timestamp,
    pub last_seen_at: Timestamp,
    /// The end that use does not put off.
    pub expires_at: Timestamp,
    pub ended: Option<(Timestamp, SessionEnd)>,
}

row!(SessionRow {
    id: String,
    user_id: String,
    fingerprint: Vec<u8>,
    user_agent: String,
    address: String,
    network: String,
    created_at: i64,
    authenticated_at: i64,
    last_seen_at: i64,
    expires_at: i64,
    ended_at: Option<i64>,
    end_reason: Option<String>,
});

impl SessionRow {
    fn read(self) -> Result<LoginSession, Error> {
        let corrupt = || Error::Corrupt { table: "login_session", key: self.id.clone() };
        let ended = optional(self.ended_at, corrupt)?;
        let reason = self.end_reason.as_deref().and_then(SessionEnd::parse);
        Ok(LoginSession {
            fingerprint: SecretHash::from_bytes(&self.fingerprint).ok_or_else(corrupt)?,
            created_at: stamp(self.created_at, corrupt)?,
            authenticated_at: stamp(self.authenticated_at, corrupt)?,
            last_seen_at: stamp(self.last_seen_at, corrupt)?,
            expires_at: stamp(self.expires_at, corrupt)?,
            ended: ended.map(|at| (at, reason.unwrap_or(SessionEnd::RevokedRemotely))),
            id: self.id,
            user_id: self.user_id,
            user_agent: self.user_agent,
            address: self.address,
            network: self.network,
        })
    }
}

row!(EndedRow { id: String, user_id: String });

/// Which sessions end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSessions<'a> {
    One(&'a str),
    OfUser(&'a str),
    /// All of a person but this one.
    Others {
        user_id: &'a str,
        keep: &'a str,
    },
}

const COLUMNS: &str = "id, user_id, fingerprint, user_agent, address, network, created_at, authenticated_at,
    last_seen_at, expires_at, ended_at, end_reason";

impl Tx {
    /// The session that this cookie opens, ended or not.
    pub async fn session_by_hash(&mut self, hash: &SecretHash) -> Result<Option<LoginSession>, Error> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM login_session WHERE hash = $1"));
        let row = on!(self, c => sqlx::query_as::<_, SessionRow>(sql)
            .bind(hash.as_bytes().as_slice()).fetch_optional(c).await)?;
        row.map(SessionRow::read).transpose()
    }

    pub async fn session(&mut self, id: &str) -> Result<Option<LoginSession>, Error> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM login_session WHERE id = $1"));
        let row = on!(self, c => sqlx::query_as::<_, SessionRow>(sql).bind(id).fetch_optional(c).await)?;
        row.map(SessionRow::read).transpose()
    }

    /// Sessions that have not ended, the latest used first; of one person or of all.
    pub async fn live_sessions(&mut self, user_id: Option<&str>, limit: u32) -> Result<Vec<LoginSession>, Error> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM login_session WHERE ended_at IS NULL AND (user_id = $1 OR $1 = '')
            ORDER BY last_seen_at DESC, id DESC LIMIT $2"
        ));
        let rows = on!(self, c => sqlx::query_as::<_, SessionRow>(sql)
            .bind(user_id.unwrap_or_default()).bind(i64::from(limit)).fetch_all(c).await)?;
        rows.into_iter().map(SessionRow::read).collect()
    }

    pub async fn insert_session(&mut self, session: &LoginSession, hash: &SecretHash) -> Result<(), Error> {
        let sql = "INSERT INTO login_session (id, hash, user_id, fingerprint, user_agent, address, network, created_at,
            authenticated_at, last_seen_at, expires_at, ended_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        on!(self, c => sqlx::query(sql)
            .bind(&session.id)
            .bind(hash.as_bytes().as_slice())
            .bind(&session.user_id)
            .bind(session.fingerprint.as_bytes().as_slice())
            .bind(&session.user_agent)
            .bind(&session.address)
            .bind(&session.network)
            .bind(session.created_at.as_microsecond())
            .bind(session.authenticated_at.as_microsecond())
            .bind(session.last_seen_at.as_microsecond())
            .bind(session.expires_at.as_microsecond())
            .bind(micros(session.ended.map(|(at, _)| at)))
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Somebody has signed in again with the browser of a session: from now on only the new cookie opens it. False
    /// when it has ended meanwhile, or the old cookie opens it no longer.
    pub async fn renew_session(
        &mut self,
        session: &LoginSession,
        (old, new): (&SecretHash, &SecretHash),
    ) -> Result<bool, Error> {
        let sql = "UPDATE login_session SET hash = $3, authenticated_at = $4, last_seen_at = $5, expires_at = $6,
            fingerprint = $7, user_agent = $8, address = $9, network = $10
            WHERE id = $1 AND hash = $2 AND ended_at IS NULL";
        let touched = on!(self, c => sqlx::query(sql)
            .bind(&session.id)
            .bind(old.as_bytes().as_slice())
            .bind(new.as_bytes().as_slice())
            .bind(session.authenticated_at.as_microsecond())
            .bind(session.last_seen_at.as_microsecond())
            .bind(session.expires_at.as_microsecond())
            .bind(session.fingerprint.as_bytes().as_slice())
            .bind(&session.user_agent)
            .bind(&session.address)
            .bind(&session.network)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Notes that a session is in use; never goes back.
    pub async fn touch_session(&mut self, id: &str, now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE login_session SET last_seen_at = $2 WHERE id = $1 AND ended_at IS NULL AND last_seen_at < $2";
        on!(self, c => sqlx::query(sql).bind(id).bind(now.as_microsecond()).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Whether the session goes on. Nobody ends it until this transaction ends.
    pub async fn hold_session(&mut self, id: &str) -> Result<bool, Error> {
        let sql = "UPDATE login_session SET last_seen_at = last_seen_at WHERE id = $1 AND ended_at IS NULL";
        let touched = on!(self, c => sqlx::query(sql).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Ends sessions and says which. `counted`: whether the caller tells the metrics; otherwise the next server that
    /// looks does.
    pub async fn end_sessions(
        &mut self,
        which: EndSessions<'_>,
        reason: SessionEnd,
        now: Timestamp,
        counted: bool,
    ) -> Result<Vec<String>, Error> {
        const END: &str = "UPDATE login_session SET ended_at = $1, end_reason = $2, counted = $3
            WHERE ended_at IS NULL AND ";
        let (column, key, kept) = match which {
            EndSessions::One(id) => ("id", id, ""),
            EndSessions::OfUser(user) => ("user_id", user, ""),
            EndSessions::Others { user_id, keep } => ("user_id", user_id, keep),
        };
        let sql = sqlx::AssertSqlSafe(format!("{END}{column} = $4 AND id <> $5 RETURNING id"));
        Ok(on!(self, c => sqlx::query_scalar::<_, String>(sql)
            .bind(now.as_microsecond()).bind(reason.as_str()).bind(i64::from(counted)).bind(key).bind(kept)
            .fetch_all(c).await)?)
    }

    /// Ends what nobody has used since `idle_since`, and what is past its time; says which, with whose they were. The
    /// caller tells the metrics.
    pub async fn end_expired_sessions(
        &mut self,
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Vec<(SessionEnd, Vec<(String, String)>)>, Error> {
        let absolute = "UPDATE login_session SET ended_at = $1, end_reason = $2, counted = 1
            WHERE ended_at IS NULL AND expires_at <= $3 RETURNING id, user_id";
        let idle = "UPDATE login_session SET ended_at = $1, end_reason = $2, counted = 1
            WHERE ended_at IS NULL AND last_seen_at <= $3 RETURNING id, user_id";
        let mut ended = Vec::new();
        for (reason, sql, moment) in
            [(SessionEnd::AbsoluteTimeout, absolute, now), (SessionEnd::IdleTimeout, idle, idle_since)]
        {
            let rows = on!(self, c => sqlx::query_as::<_, EndedRow>(sql)
                .bind(now.as_microsecond()).bind(reason.as_str()).bind(moment.as_microsecond())
                .fetch_all(c).await)?;
            ended.push((reason, rows.into_iter().map(|row| (row.id, row.user_id)).collect()));
        }
        Ok(ended)
    }

    /// Whether a look at all sessions and failures would change anything.
    pub async fn is_sweep_due(
        &mut self,
        now: Timestamp,
        idle_since: Timestamp,
        window: Timestamp,
    ) -> Result<bool, Error> {
        let due = [
            (
                "SELECT 1 FROM login_session WHERE ended_at IS NULL AND (expires_at <= $1 OR last_seen_at <= $2) LIMIT 1",
                idle_since,
            ),
            ("SELECT 1 FROM login_session WHERE ended_at IS NOT NULL AND counted = 0 AND $1 <> $2 LIMIT 1", idle_since),
            ("SELECT 1 FROM login_failure WHERE since < $2 AND $1 <> $2 LIMIT 1", window),
        ];
        for (sql, moment) in due {
            let found = on!(self, c => sqlx::query_scalar::<_, i32>(sql)
                .bind(now.as_microsecond()).bind(moment.as_microsecond()).fetch_optional(c).await)?;
            if found.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the ends that no server has counted yet, so that each is counted once.
    pub async fn take_uncounted_ends(&mut self) -> Result<Vec<SessionEnd>, Error> {
        let sql = "UPDATE login_session SET counted = 1 WHERE ended_at IS NOT NULL AND counted = 0
            RETURNING end_reason";
        let reasons = on!(self, c => sqlx::query_scalar::<_, Option<String>>(sql).fetch_all(c).await)?;
        Ok(reasons.into_iter().flatten().filter_map(|reason| SessionEnd::parse(&reason)).collect())
    }

    /// Whether this person has signed in from that network since then.
    pub async fn knows_network(&mut self, user_id: &str, network: &str, since: Timestamp) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM login_session
            WHERE user_id = $1 AND network = $2 AND authenticated_at > $3 LIMIT 1";
        let found = on!(self, c => sqlx::query_scalar::<_, i32>(sql)
            .bind(user_id).bind(network).bind(since.as_microsecond()).fetch_optional(c).await)?;
        Ok(found.is_some())
    }
}
