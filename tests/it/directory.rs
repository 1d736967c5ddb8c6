//! The policy directory end to end: the real program, real files, a token at the end.

mod brake;
mod clients;
mod drift;
mod files;
mod life;
mod secrets;

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, SqliteConnection};

use crate::support::server::Home;

pub const CLIENT: &str = include_str!("../../config/samples/oauthclient.yaml");
pub const PROVIDER: &str = include_str!("../../config/samples/provider.yaml");
pub const RESOURCE_SERVER: &str = include_str!("../../config/samples/resourceserver.yaml");
pub const ILLEGAL: &str = include_str!("../../config/illegal/oauthclient.yaml");

/// A home with the samples.
pub fn samples() -> Home {
    let files = [("oauthclient.yaml", CLIENT), ("provider.yaml", PROVIDER), ("resourceserver.yaml", RESOURCE_SERVER)];
    Home::with_policy(&files)
}

/// The database, from outside the program.
pub async fn database(home: &Path) -> SqliteConnection {
    let path = home.join(".local/share/holdfast/holdfast.db");
    SqliteConnectOptions::new().filename(path).busy_timeout(std::time::Duration::from_secs(5)).connect().await.unwrap()
}

/// A statement by somebody else.
pub async fn sql(home: &Path, statement: &str) -> u64 {
    let mut connection = database(home).await;
    let done = connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap().rows_affected();
    connection.close().await.unwrap();
    done
}
