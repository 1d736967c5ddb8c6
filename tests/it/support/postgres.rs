//! A fresh PostgreSQL database for one test, on the throw-away server of `make test`.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// A database of its own; dropping it leaves the server to be thrown away.
pub struct Database {
    pub url: String,
}

/// Makes a database. Needs `HOLDFAST_TEST_POSTGRES`.
pub async fn fresh() -> Database {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("HOLDFAST_TEST_POSTGRES").expect("HOLDFAST_TEST_POSTGRES: run through `make test`");
    let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&server).await.expect("PostgreSQL of HOLDFAST_TEST_POSTGRES");
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a fresh database");
    let mut url = url::Url::parse(&server).expect("a URL in HOLDFAST_TEST_POSTGRES");
    url.set_path(&name);
    Database { url: url.into() }
}
