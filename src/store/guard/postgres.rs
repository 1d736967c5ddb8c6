//! PostgreSQL keeps the body of each function, which is compared with the migrations' own text, and says what each
//! trigger is, which is compared with what this program would make.

use std::collections::BTreeMap;

use sqlx::migrate::Migration;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::store::Error;
use crate::store::postgres::lock_migrations;

/// Table, trigger function, its arguments, and the kind that a TRUNCATE is told with. A test holds it to what the
/// migrations make.
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

/// A function as a migration makes it.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// `name TYPE, name TYPE`
    arguments: String,
    body: String,
    /// What is no trigger can be called, by us alone.
    is_trigger: bool,
    /// From the name on.
    create: String,
}

/// Every function that the migrations leave behind, by name.
pub fn functions(migrations: &[Migration]) -> BTreeMap<String, Function> {
    let statements = migrations.iter().flat_map(|migration| {
        let text = migration.sql.as_str();
        text.split("\nCREATE FUNCTION ").skip(1).filter_map(|rest| Some(rest.split_once("\nEND $$;")?.0))
    });
    statements.filter_map(function).collect()
}

fn function(statement: &str) -> Option<(String, Function)> {
    let (head, body) = statement.split_once("$$")?;
    let (name, rest) = head.split_once('(')?;
    let (arguments, rest) = rest.split_once(')')?;
    let function = Function {
        arguments: arguments.split_whitespace().collect::<Vec<_>>().join(" "),
        body: format!("{body}\nEND "),
        is_trigger: rest.trim_start().starts_with("RETURNS trigger"),
        create: format!("{statement}\nEND $$"),
    };
    Some((name.to_owned(), function))
}

/// One at a time: two that put back the same would be in each other's way.
pub async fn guard(
    connection: &mut PgConnection,
    functions: &BTreeMap<String, Function>,
) -> Result<Vec<String>, Error> {
    lock_migrations(connection).await?;
    let mut restored = Vec::new();
    // a trigger needs its function
    for (name, function) in functions {
        if !is_whole(connection, name, function).await? {
            make(connection, name, function).await?;
            restored.push(name.clone());
        }
    }
    restored.extend(guard_triggers(connection).await?);
    Ok(restored)
}

/// With the body, the rights and the schema that it was made with.
async fn is_whole(connection: &mut PgConnection, name: &str, function: &Function) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proname = $1
            AND pg_get_function_identity_arguments(p.oid) = $2 AND p.prosrc = $3
            AND l.lanname = 'plpgsql' AND p.prosecdef
            AND p.proconfig = ARRAY[format('search_path=%I, pg_temp', current_schema())]
            AND ($4 OR NOT has_function_privilege('public', p.oid, 'EXECUTE')))";
    // types are shown in lower case; names of ours are
    let arguments = function.arguments.to_lowercase();
    let found = sqlx::query_scalar(sql).bind(name).bind(arguments).bind(&function.body).bind(function.is_trigger);
    Ok(found.fetch_one(connection).await?)
}

async fn make(connection: &mut PgConnection, name: &str, function: &Function) -> Result<(), Error> {
    let signature = format!("{name}({})", function.arguments);
    let schema: String = sqlx::query_scalar("SELECT quote_ident(current_schema())").fetch_one(&mut *connection).await?;
    let mut statements = vec![
        format!("CREATE OR REPLACE FUNCTION {}", function.create),
        format!("ALTER FUNCTION {signature} SET search_path = {schema}, pg_temp"),
    ];
    if !function.is_trigger {
        statements.push(format!("REVOKE EXECUTE ON FUNCTION {signature} FROM PUBLIC"));
    }
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn guard_triggers(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    let sql = "SELECT pg_get_triggerdef(t.oid, true) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND c.relnamespace = current_schema()::regnamespace";
    let present: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await?;
    let mut restored = Vec::new();
    for (table, function, arguments, kind) in WATCHED {
        let each = format!(
            "AFTER INSERT OR DELETE OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}({arguments})"
        );
        let all = format!("AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION holdfast_truncated('{kind}')");
        for (name, what) in [("changed", each), ("truncated", all)] {
            if present.contains(&format!("CREATE TRIGGER {name} {what}")) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    #[test]
    fn functions_are_read_from_the_migrations() {
        let functions = functions(&migrate::postgres());
        let names: Vec<&str> = functions.keys().map(String::as_str).collect();
        assert_eq!(names, ["holdfast_changed", "holdfast_key_changed", "holdfast_record", "holdfast_truncated"]);
        let record = &functions["holdfast_record"];
        assert!(
            record.arguments.starts_with("changed_table TEXT, kind TEXT") && record.arguments.ends_with("after JSONB")
        );
        assert!(record.body.starts_with("\nDECLARE") && record.body.ends_with("RETURN recorded;\nEND "));
        assert!(!record.is_trigger && functions["holdfast_changed"].is_trigger);
    }
}
