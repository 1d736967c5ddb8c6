//! Runs one SQL statement on an SQLite file, as any other process could: `sql FILE STATEMENT`.

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::process::ExitCode;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, statement] = arguments.as_slice() else {
        eprintln!("usage: sql FILE STATEMENT");
        return ExitCode::from(2);
    };
    match run(file, statement).await {
        Ok(rows) => {
            println!("{rows} rows changed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sql: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(file: &str, statement: &str) -> Result<u64, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(5));
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await?;
    Ok(done.rows_affected())
}
