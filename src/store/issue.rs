//! Issuance: many requests share one statement and one commit, and each is answered after it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::domain::audit::AuditKind;
use crate::domain::observer::DatabaseOperation;
use crate::domain::secret::SecretHash;

use super::Error;
use super::database::{Database, Engine};
use super::postgres::Locked;
use super::sqlite::Turn;
use super::time::micros;
use super::tx::{Connection, Tx, on};

/// At most so many tokens a commit.
const BATCH: usize = 256;
/// A batch is tried again for so long; one attempt alone may take 5 s.
const PATIENCE: Duration = Duration::from_secs(4);
/// So many statements at once may wait for changes under way, each with a connection of its own.
const SLOW: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// A token that was decided on, and by which state of the policy.
#[derive(Debug, Clone)]
pub struct Issuance {
    /// UUIDv7.
    pub jti: Uuid,
    /// The SHA-256 of an opaque token.
    pub handle: Option<SecretHash>,
    pub client_id: String,
    pub client_revision: i64,
    pub resource_server_id: String,
    pub resource_server_revision: i64,
    pub subject: String,
    /// Space-separated.
    pub scope: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// The credential that authenticated the client; when it was last used is kept by the hour.
    pub credential_id: Option<String>,
}

/// Where a token comes from, and what else is known of it: of one that is issued in a transaction of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    pub grant_id: Option<Uuid>,
    /// The token that it was exchanged for; it ends with that one.
    pub parent_jti: Option<Uuid>,
    /// RFC 7638 thumbprint of the key that it is bound to.
    pub jkt: Option<String>,
    pub auth_time: Option<Timestamp>,
    /// Who acts for the subject (RFC 8693 §4.1).
    pub act: Option<Value>,
    /// How many have acted.
    pub depth: Option<i64>,
}

/// What became of an issuance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueOutcome {
    /// Committed.
    Recorded,
    /// The client or resource server is gone or was changed, or a commit whose answer was lost has recorded this
    /// token already: read both again and decide again, with another jti.
    Stale,
}

use IssueOutcome::Recorded;

/// Which tokens of a batch a statement has recorded.
pub(super) enum Inserted {
    All,
    /// Those with these jtis.
    These(HashSet<Vec<u8>>),
}

impl Inserted {
    fn outcome(&self, waiting: &Waiting) -> IssueOutcome {
        match self {
            Self::These(recorded) if !recorded.contains(waiting.issuance.jti.as_bytes().as_slice()) => {
                IssueOutcome::Stale
            }
            _ => Recorded,
        }
    }
}

macro_rules! issue_one {
    ($lock:literal) => {
        concat!(
            "WITH c AS (SELECT revision FROM client WHERE id = $3",
            $lock,
            "), s AS (SELECT revision FROM resource_server WHERE id = $4",
            $lock,
            ")
            INSERT INTO access_token (jti, handle, client_id, resource_server_id, subject, scope, issued_at,
                expires_at, grant_id, parent_jti, jkt, auth_time, act, depth)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM c, s
            WHERE c.revision = $15 AND s.revision = $16
            ON CONFLICT (jti) DO NOTHING"
        )
    };
}

impl Tx {
    /// Records a token in this transaction, if policy is still what it was decided by; it is [`IssueOutcome::Stale`]
    /// else, and the transaction is to be rolled back. Policy stays as it is until the transaction ends.
    pub async fn issue(&mut self, issuance: &Issuance, lineage: &Lineage) -> Result<IssueOutcome, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => issue_one!(""),
            Connection::Postgres(_) => issue_one!(" FOR SHARE"),
        };
        let started = Instant::now();
        let bytes = |id: Uuid| id.as_bytes().to_vec();
        let recorded = on!(self, c => sqlx::query(sql)
            .bind(bytes(issuance.jti))
            .bind(issuance.handle.as_ref().map(|handle| handle.as_bytes().to_vec()))
            .bind(&issuance.client_id)
            .bind(&issuance.resource_server_id)
            .bind(&issuance.subject)
            .bind(&issuance.scope)
            .bind(issuance.issued_at.as_microsecond())
            .bind(issuance.expires_at.as_microsecond())
            .bind(lineage.grant_id.map(bytes))
            .bind(lineage.parent_jti.map(bytes))
            .bind(&lineage.jkt)
            .bind(micros(lineage.auth_time))
            .bind(lineage.act.as_ref().map(Value::to_string))
            .bind(lineage.depth)
            .bind(issuance.client_revision)
            .bind(issuance.resource_server_revision)
            .execute(c).await.map(|done| done.rows_affected()));
        self.observe(DatabaseOperation::Issue, started, &recorded);
        if recorded? == 0 {
            return Ok(IssueOutcome::Stale);
        }
        if let Some(id) = &issuance.credential_id {
            self.stamp_credential(id, hour(issuance.issued_at)).await?;
        }
        Ok(Recorded)
    }
}

/// A request in the queue.
pub(super) struct Waiting {
    pub issuance: Issuance,
    pub answer: oneshot::Sender<Result<IssueOutcome, Error>>,
}

/// Works until the last sender is gone.
pub(super) async fn run(database: Database, mut queue: mpsc::Receiver<Waiting>) {
    let mut stamped = HashMap::new();
    let slow = Arc::new(Semaphore::new(SLOW));
    let mut batch = Vec::with_capacity(BATCH);
    let mut turn = Turn::default();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        // whoever stopped waiting was told so, and is issued nothing
        batch.retain(|waiting: &Waiting| !waiting.answer.is_closed());
        let used = uses(&batch, &mut stamped);
        let started = Instant::now();
        let ok = answer(&database, &slow, &mut turn, &mut batch).await;
        if queue.is_empty() || !used.is_empty() {
            turn.end();
        }
        database.observer.database(DatabaseOperation::Issue, started.elapsed(), ok);
        if let Err(error) = stamp(&database, &used).await {
            tracing::debug!(%error, "when credentials were last used was not kept");
            stamped.retain(|known, _| used.iter().all(|(id, _)| id != known));
        }
    }
}

/// Inserts the batch and answers each request; true when the database did its part. The batch is empty afterwards and
/// keeps its room, which is much to ask for at every commit.
async fn answer(database: &Database, slow: &Arc<Semaphore>, turn: &mut Turn, batch: &mut Vec<Waiting>) -> bool {
    let mut left = Vec::new();
    let mut reply = |waiting: Waiting, inserted: &Inserted| match inserted.outcome(&waiting) {
        Recorded => {
            database.observer.audited(AuditKind::TokenIssued, 1);
            drop(waiting.answer.send(Ok(Recorded)));
        }
        IssueOutcome::Stale => left.push(waiting),
    };
    let rows: Vec<&Waiting> = batch.iter().collect();
    match insert_patiently(database, turn, &rows, Locked::Skip).await {
        Ok(inserted) => batch.drain(..).for_each(|waiting| reply(waiting, &inserted)),
        Err(error) if error.is_unavailable() => {
            for waiting in batch.drain(..) {
                let _ = waiting.answer.send(Err(Error::unavailable(&describe(&error))));
            }
            return false;
        }
        // one row spoiled the statement: the others are none the worse for it
        Err(_) => {
            for waiting in batch.drain(..) {
                match insert(database, turn, &[&waiting], Locked::Skip).await {
                    Ok(inserted) => reply(waiting, &inserted),
                    Err(error) => drop(waiting.answer.send(Err(error))),
                }
            }
        }
    }
    if !left.is_empty() {
        tokio::spawn(settle(database.clone(), slow.clone(), left));
    }
    true
}

/// What was not recorded is stale, or somebody is changing its client or resource server: that is waited for, apart
/// from the others, so that a transaction that somebody left open holds up nobody else.
async fn settle(database: Database, slow: Arc<Semaphore>, mut left: Vec<Waiting>) {
    if let Engine::Sqlite(_) = database.engine {
        left.drain(..).for_each(|waiting| drop(waiting.answer.send(Ok(IssueOutcome::Stale))));
        return;
    }
    let Ok(_permit) = slow.acquire().await else { return };
    left.retain(|waiting| !waiting.answer.is_closed());
    let rows: Vec<&Waiting> = left.iter().collect();
    let inserted = insert_patiently(&database, &mut Turn::default(), &rows, Locked::Wait).await;
    for waiting in left {
        let result = match &inserted {
            Ok(inserted) => {
                let outcome = inserted.outcome(&waiting);
                database.observer.audited(AuditKind::TokenIssued, u64::from(outcome == Recorded));
                Ok(outcome)
            }
            Err(error) => Err(Error::unavailable(&describe(error))),
        };
        let _ = waiting.answer.send(result);
    }
}

/// Tries again while the database is away for a moment only. What an attempt whose answer was lost has committed is
/// not inserted twice, and so ends as Stale.
async fn insert_patiently(
    database: &Database,
    turn: &mut Turn,
    batch: &[&Waiting],
    locked: Locked,
) -> Result<Inserted, Error> {
    let started = Instant::now();
    loop {
        match insert(database, turn, batch, locked).await {
            Err(error) if error.is_unavailable() && started.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

/// The error and its source in one line, for each of those who waited.
fn describe(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

async fn insert(database: &Database, turn: &mut Turn, batch: &[&Waiting], locked: Locked) -> Result<Inserted, Error> {
    if batch.is_empty() {
        return Ok(Inserted::All);
    }
    match &database.engine {
        Engine::Sqlite(pools) => super::sqlite::issue(pools, turn, batch).await,
        Engine::Postgres(pool) => super::postgres::issue(pool, batch, locked).await,
    }
}

/// The beginning of its hour, in microseconds.
pub(super) fn hour(time: Timestamp) -> i64 {
    const HOUR: i64 = 3_600_000_000;
    time.as_microsecond().div_euclid(HOUR) * HOUR
}

/// The credentials whose hour of last use is new. What was noted is forgotten once there is much of it.
fn uses(batch: &[Waiting], stamped: &mut HashMap<String, i64>) -> Vec<(String, i64)> {
    const MANY: usize = 100_000;
    if stamped.len() > MANY {
        stamped.clear();
    }
    let mut used = Vec::new();
    for issuance in batch.iter().map(|waiting| &waiting.issuance) {
        let hour = hour(issuance.issued_at);
        if let Some(id) = &issuance.credential_id
            && stamped.get(id).is_none_or(|known| *known < hour)
        {
            stamped.insert(id.clone(), hour);
            used.push((id.clone(), hour));
        }
    }
    used
}

async fn stamp(database: &Database, used: &[(String, i64)]) -> Result<(), Error> {
    if used.is_empty() {
        return Ok(());
    }
    let mut tx = database.write().await?;
    for (id, hour) in used {
        tx.stamp_credential(id, *hour).await?;
    }
    tx.commit().await
}
