//! SQLite keeps the text of each trigger, so that it is compared with the migrations' own.

use std::collections::BTreeMap;

use sqlx::migrate::Migration;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::store::Error;

/// Every trigger that the migrations leave behind, by name, as SQLite remembers its text.
pub fn triggers(migrations: &[Migration]) -> BTreeMap<String, String> {
    let mut triggers = BTreeMap::new();
    for migration in migrations {
        let text = migration.sql.as_str();
        let mut rest = text;
        while let Some(at) = rest.find("\nCREATE TRIGGER ").or_else(|| rest.starts_with("CREATE TRIGGER ").then_some(0))
        {
            let statement = rest[at..].trim_start_matches('\n');
            let Some(end) = statement.find("\nEND;") else { break };
            let create = &statement[..end + "\nEND".len()];
            let name = create.split_whitespace().nth(2).unwrap_or_default();
            triggers.insert(name.to_owned(), create.to_owned());
            rest = &statement[end + "\nEND;".len()..];
        }
    }
    triggers
}

pub async fn guard(connection: &mut SqliteConnection, wanted: &BTreeMap<String, String>) -> Result<Vec<String>, Error> {
    let sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'";
    let present: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    let present: BTreeMap<String, String> = present.into_iter().collect();
    let mut restored = Vec::new();
    for (name, create) in wanted.iter().filter(|(name, create)| present.get(*name) != Some(*create)) {
        let drop = AssertSqlSafe(format!("DROP TRIGGER IF EXISTS {name}"));
        sqlx::query(drop).execute(&mut *connection).await?;
        sqlx::query(AssertSqlSafe(create.clone())).execute(&mut *connection).await?;
        restored.push(name.clone());
    }
    Ok(restored)
}
