//! PostgreSQL's own ways: row locks, `set_config`, LISTEN/NOTIFY, transaction ids, a batch as UNNEST.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgListener, PgPoolOptions, Postgres};
use sqlx::query::QueryScalar;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};

use crate::domain::owner::Kind;

use super::Error;
use super::issue::{Inserted, Waiting};
use super::tx::timely;

/// How long a caller waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// Any number that no other user of the database locks.
const MIGRATIONS: i64 = 0x486f_6c64_6661_7374;

/// Opens the pool; waits up to `wait` for the server to answer.
pub(super) async fn open(url: &str, wait: Duration) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| Error::Invalid { what: "failed to read the database URL: not a PostgreSQL URL".to_owned() })?
        .application_name("holdfast")
        .disable_statement_logging();
    let pool = PgPoolOptions::new().max_connections(16).acquire_timeout(ACQUIRE).connect_lazy_with(options);
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let refused = match pool.acquire().await {
            Ok(_) => return Ok(pool),
            Err(error) => Error::from(error),
        };
        match refused {
            Error::Unavailable(_) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Error::Query(cause) => {
                return Err(Error::Invalid { what: format!("failed to open the database: {cause}") });
            }
            other => return Err(other),
        }
    }
}

/// Names the transaction for the triggers, and ends it when this process stops in the middle of it.
pub(super) async fn name(connection: &mut PgConnection, actor: &str) -> Result<(), Error> {
    let sql = "SELECT set_config('holdfast.actor', $1, true), set_config('lock_timeout', '8s', true),
        set_config('idle_in_transaction_session_timeout', '5s', true)";
    timely(sqlx::query(sql).bind(actor).execute(connection)).await?;
    Ok(())
}

pub(super) async fn lock(connection: &mut PgConnection, kind: Kind, id: &str) -> Result<(), Error> {
    let sql = format!("SELECT id FROM {} WHERE id = $1 FOR UPDATE", kind.table());
    timely(sqlx::query(AssertSqlSafe(sql)).bind(id).execute(connection)).await?;
    Ok(())
}

pub(super) async fn lock_migrations(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATIONS).execute(connection).await?;
    Ok(())
}

/// FOR SHARE: a plain read would let an old leader commit after the new one took over.
pub(super) async fn hold_epoch(connection: &mut PgConnection) -> Result<i64, Error> {
    let sql = "SELECT epoch FROM leader_epoch WHERE id = 1 FOR SHARE";
    Ok(timely(sqlx::query_scalar(sql).fetch_one(connection)).await?)
}

/// The password hash of a person who is not disabled. FOR SHARE: whoever disables this person waits for the end of
/// this transaction, and then sees what it has begun.
pub(super) async fn hold_account(
    connection: &mut PgConnection,
    user_id: &str,
) -> Result<Option<Option<String>>, Error> {
    let sql = "SELECT password_hash FROM account WHERE id = $1 AND disabled_at IS NULL FOR SHARE";
    Ok(timely(sqlx::query_scalar(sql).bind(user_id).fetch_optional(connection)).await?)
}

/// Draws a new incarnation when this is a restored copy: another system, or change rows of the future.
pub(super) async fn check_incarnation(connection: &mut PgConnection) -> Result<(), Error> {
    let sql = "UPDATE installation SET incarnation = substr(replace(gen_random_uuid()::text, '-', ''), 1, 16),
            system_identifier = (SELECT system_identifier::text FROM pg_control_system())
        WHERE system_identifier IS DISTINCT FROM (SELECT system_identifier::text FROM pg_control_system())
            OR (SELECT max(c.xid) FROM change c WHERE c.incarnation = installation.incarnation)
                > pg_current_xact_id()::text::bigint";
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

/// Hears of commits, and polls should a notification be lost.
pub(super) struct Watcher(PgListener);

impl Watcher {
    const POLL: Duration = Duration::from_secs(1);

    pub async fn start(pool: &PgPool) -> Result<Self, Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen("holdfast_change").await?;
        Ok(Self(listener))
    }

    /// Returns when something was written, or may have been.
    pub async fn wait(&mut self) -> Result<(), Error> {
        match tokio::time::timeout(Self::POLL, self.0.try_recv()).await {
            Err(_) => Ok(()),
            Ok(Ok(Some(_))) => {
                // whatever else is there already is read by the same query
                while self.0.next_buffered().is_some() {}
                Ok(())
            }
            Ok(Ok(None)) => Err(Error::unavailable("the connection that listens was lost")),
            Ok(Err(error)) => Err(error.into()),
        }
    }
}

/// What an issuance does about a client or resource server that somebody is changing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locked {
    /// Is not recorded.
    Skip,
    /// Waits for the end of the change.
    Wait,
}

/// One statement, one commit: inserts the tokens whose client and resource server have not moved. The row locks make
/// a change of either wait until its cascade can see the token.
pub(super) async fn issue(pool: &PgPool, batch: &[&Waiting], locked: Locked) -> Result<Inserted, Error> {
    if locked == Locked::Skip {
        let inserted = timely(insert(ISSUE_SKIPPING, batch).fetch_all(pool)).await?;
        return Ok(Inserted::These(inserted.into_iter().collect()));
    }
    let mut transaction = timely(pool.begin()).await?;
    sqlx::query("SELECT set_config('lock_timeout', '8s', true)").execute(&mut *transaction).await?;
    let inserted = timely(insert(ISSUE_WAITING, batch).fetch_all(&mut *transaction)).await?;
    timely(transaction.commit()).await?;
    Ok(Inserted::These(inserted.into_iter().collect()))
}

macro_rules! issue {
    ($locked:literal) => {
        concat!(
            "WITH asked AS (
                SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[],
                    $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
                AS a (jti, handle, client_id, resource_server_id, subject, scope, issued_at, expires_at,
                    client_revision, resource_server_revision)
            ), clients AS (
                SELECT id, revision FROM client WHERE id = ANY($3::text[]) ORDER BY id FOR SHARE",
            $locked,
            "), servers AS (
                SELECT id, revision FROM resource_server WHERE id = ANY($4::text[]) ORDER BY id FOR SHARE",
            $locked,
            ")
            INSERT INTO access_token
                (jti, handle, client_id, resource_server_id, subject, scope, issued_at, expires_at)
            SELECT a.jti, a.handle, a.client_id, a.resource_server_id, a.subject, a.scope, a.issued_at, a.expires_at
            FROM asked a
            JOIN clients c ON c.id = a.client_id AND c.revision = a.client_revision
            JOIN servers s ON s.id = a.resource_server_id AND s.revision = a.resource_server_revision
            ON CONFLICT (jti) DO NOTHING RETURNING jti"
        )
    };
}

const ISSUE_SKIPPING: &str = issue!(" SKIP LOCKED");
const ISSUE_WAITING: &str = issue!("");

type Insert = QueryScalar<'static, Postgres, Vec<u8>, PgArguments>;

fn insert(sql: &'static str, batch: &[&Waiting]) -> Insert {
    let of = |text: fn(&Waiting) -> &str| batch.iter().map(|w| text(w).to_owned()).collect::<Vec<String>>();
    let number = |number: fn(&Waiting) -> i64| batch.iter().map(|w| number(w)).collect::<Vec<i64>>();
    let handle = |w: &&Waiting| w.issuance.handle.as_ref().map(|handle| handle.as_bytes().to_vec());
    sqlx::query_scalar(sql)
        .bind(batch.iter().map(|w| w.issuance.jti.as_bytes().to_vec()).collect::<Vec<_>>())
        .bind(batch.iter().map(handle).collect::<Vec<_>>())
        .bind(of(|w| &w.issuance.client_id))
        .bind(of(|w| &w.issuance.resource_server_id))
        .bind(of(|w| &w.issuance.subject))
        .bind(of(|w| &w.issuance.scope))
        .bind(number(|w| w.issuance.issued_at.as_microsecond()))
        .bind(number(|w| w.issuance.expires_at.as_microsecond()))
        .bind(number(|w| w.issuance.client_revision))
        .bind(number(|w| w.issuance.resource_server_revision))
}
