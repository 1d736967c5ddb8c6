//! Either engine, with a store on it and a way to write behind its back.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use holdfast::domain::observer::Unobserved;
use holdfast::store::{Options, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::postgres;

/// The engines that every test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A fresh database.
pub struct Fresh {
    pub engine: Engine,
    pub url: String,
    pub directory: TempDir,
}

impl Engine {
    pub async fn fresh(self) -> Fresh {
        let directory = tempfile::tempdir().unwrap();
        let url = match self {
            Self::Sqlite => format!("sqlite://{}", directory.path().join("holdfast.db").display()),
            Self::Postgres => postgres::fresh().await.url,
        };
        Fresh { engine: self, url, directory }
    }

    /// A store on a fresh, migrated database.
    pub async fn store(self) -> (Store, Fresh) {
        let fresh = self.fresh().await;
        let store = fresh.open().await;
        store.migrate().await.unwrap();
        (store, fresh)
    }
}

impl Fresh {
    pub fn options(&self) -> Options {
        Options { wait: Duration::from_secs(5), ..Options::new(&self.url) }
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.options(), Arc::new(Unobserved)).await.unwrap()
    }

    /// A statement of somebody else: another connection, which says nothing about itself.
    pub async fn sql(&self, sql: &str) -> u64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.engine {
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                connection.execute(sql).await.unwrap().rows_affected()
            }
            Engine::Sqlite => {
                let mut connection = self.sqlite().await;
                let done = connection.execute(sql).await.unwrap().rows_affected();
                connection.close().await.unwrap();
                done
            }
        }
    }

    /// Another database with all that is in this one, as a backup brings it back: by the tools that people use.
    pub async fn restored(&self) -> (Store, Self) {
        let copy = self.engine.fresh().await;
        match self.engine {
            Engine::Postgres => {
                let mut dump = Command::new("pg_dump").arg(&self.url).stdout(Stdio::piped()).spawn().unwrap();
                let mut load = Command::new("psql");
                load.args(["--quiet", "--set", "ON_ERROR_STOP=1", &copy.url]).stdin(dump.stdout.take().unwrap());
                assert!(load.stdout(Stdio::null()).status().unwrap().success() && dump.wait().unwrap().success());
            }
            Engine::Sqlite => {
                let path = copy.url.trim_start_matches("sqlite://");
                let sql = AssertSqlSafe(format!("VACUUM INTO '{path}'"));
                self.sqlite().await.execute(sql).await.unwrap();
            }
        }
        (copy.open().await, copy)
    }

    /// A connection of somebody else to the file.
    pub async fn sqlite(&self) -> SqliteConnection {
        let path = self.url.trim_start_matches("sqlite://");
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5));
        options.connect().await.unwrap()
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.engine {
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
            Engine::Sqlite => {
                let mut connection = self.sqlite().await;
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }

    /// One column of text, of PostgreSQL.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap()
    }

    /// A statement of another process with a SQLite library of its own (Debian's).
    pub fn sql_of_another_process(&self, sql: &str) {
        let path = self.url.trim_start_matches("sqlite://");
        let ran = Command::new("sqlite3").args(["-cmd", ".timeout 5000", path, sql]).output();
        let output = ran.expect("sqlite3: run through `make test`");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Whether somebody else could write into the SQLite database at this moment.
pub fn is_free(url: &str) -> bool {
    let begun =
        Command::new("sqlite3").args([url.trim_start_matches("sqlite://"), "BEGIN IMMEDIATE; ROLLBACK;"]).output();
    begun.expect("sqlite3: run through `make test`").status.success()
}

/// The change feed in the background, until dropped.
pub struct Feed(CancellationToken);

impl Feed {
    pub async fn start(store: &Store) -> Self {
        let stop = CancellationToken::new();
        let (followed, token) = (store.clone(), stop.clone());
        tokio::spawn(async move { followed.follow(token).await });
        eventually(|| store.feed_healthy()).await;
        Self(stop)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Waits until it is so, for at most ten seconds.
pub async fn eventually(condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "it did not become so");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
