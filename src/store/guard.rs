//! The triggers that see every change: missing, altered or disabled ones are put back, and that is said loudly.
//!
//! Who takes a trigger away changes policy unseen until it is back. A start, and each full scan, puts it back before
//! anything is compared, so that the blind time is bounded and what happened in it is found by comparison.

use std::collections::BTreeMap;

use sqlx::migrate::Migration;
use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};

use super::database::Engine;
use super::{Error, Store, migrate};

/// PostgreSQL: table, trigger function, its arguments, and the kind that a TRUNCATE is told with.
const WATCHED: &[(&str, &str, &str, &str)] = &[
    ("client", "holdfast_changed", "'OAuthClient', 'id', 'client'", "OAuthClient"),
    ("client_resource", "holdfast_changed", "'OAuthClient', 'client_id', 'client'", "OAuthClient"),
    ("resource_server", "holdfast_changed", "'ResourceServer', 'id', 'resource_server'", "ResourceServer"),
    ("scope", "holdfast_changed", "'ResourceServer', 'resource_server_id', 'resource_server'", "ResourceServer"),
    ("tool", "holdfast_changed", "'ResourceServer', 'resource_server_id', 'resource_server'", "ResourceServer"),
    ("role", "holdfast_changed", "'ResourceServer', 'resource_server_id', 'resource_server'", "ResourceServer"),
    ("role_binding", "holdfast_changed", "'ResourceServer', 'resource_server_id', 'resource_server'", "ResourceServer"),
    ("provider", "holdfast_changed", "'Provider', 'id', 'provider'", "Provider"),
    ("credential", "holdfast_changed", "'', 'principal', ''", ""),
    ("managed", "holdfast_changed", "'', 'entity_id', ''", ""),
    ("signing_key", "holdfast_key_changed", "", "SigningKey"),
    ("signing_key_request", "holdfast_key_changed", "", "SigningKey"),
];

impl Store {
    /// Puts back what is missing; the names of the triggers that were.
    ///
    /// # Errors
    /// The database is away, or refuses them: then changes would go unseen.
    pub async fn guard_triggers(&self) -> Result<Vec<String>, Error> {
        let restored = match &self.inner.database.engine {
            Engine::Sqlite(pools) => {
                let wanted = sqlite_triggers(&migrate::sqlite());
                let mut tx = pools.begin().await?;
                let restored = guard_sqlite(&mut tx, &wanted).await?;
                tx.commit().await?;
                restored
            }
            Engine::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                let restored = guard_postgres(&mut tx).await?;
                tx.commit().await?;
                restored
            }
        };
        if !restored.is_empty() {
            let triggers = restored.join(", ");
            tracing::error!(event = "triggers_restored", triggers, "somebody took away what sees changes of policy");
        }
        Ok(restored)
    }
}

/// Every trigger that the migrations leave behind, by name, as SQLite remembers its text.
fn sqlite_triggers(migrations: &[Migration]) -> BTreeMap<String, String> {
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

async fn guard_sqlite(
    connection: &mut SqliteConnection,
    wanted: &BTreeMap<String, String>,
) -> Result<Vec<String>, Error> {
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

async fn guard_postgres(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    let sql = "SELECT c.relname::text || '/' || t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND c.relnamespace = current_schema()::regnamespace";
    let present: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await?;
    let mut restored = Vec::new();
    for (table, function, arguments, kind) in WATCHED {
        let each = format!(
            "AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}({arguments})"
        );
        let all = format!("AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION holdfast_truncated('{kind}')");
        for (name, what) in [("changed", each), ("truncated", all)] {
            if present.contains(&format!("{table}/{name}")) {
                continue;
            }
            let create = format!("CREATE OR REPLACE TRIGGER {name} {what}");
            let enable = format!("ALTER TABLE {table} ENABLE TRIGGER {name}");
            for statement in [create, enable] {
                sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
            }
            restored.push(format!("{table}/{name}"));
        }
    }
    Ok(restored)
}
