//! Whom a loss of rights would meet: live tokens, refresh families and people, counted and not changed.
//!
//! Grants, consents and roles are found by their indexes on client and resource server. Access tokens have one index,
//! whose keys are time-ordered: only those that can still live are looked at.

use jiff::Timestamp;

use super::Error;
use super::revoke::{LONGEST_LIFE, first_key_after};
use super::tx::{Tx, on, row};

/// Rights that would be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// What a client has at a resource server (an empty id: at all), one scope of it (an empty name: everything), and
    /// only what was issued before that moment.
    Client { client_id: String, resource_server_id: String, scope: String, before: Timestamp },
    /// What anybody has at a resource server: one scope of it (an empty name: everything).
    ResourceServer { id: String, scope: String },
    /// What a role that some people have there gives.
    Role { resource_server_id: String, role: String },
    /// What this person has by name.
    User { id: String },
}

/// How much there is now of what would be lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Access tokens that carry it.
    pub tokens: i64,
    /// Refresh families that could renew it.
    pub families: i64,
    /// People who granted it, agreed to it or have it by a role, each once.
    pub users: i64,
}

row!(CountedRow { tokens: i64, families: i64, users: i64 });

/// The statement as it grows, with what is bound to it.
struct Statement {
    sql: String,
    binds: Vec<Bind>,
}

enum Bind {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

impl Statement {
    fn place(&mut self, bind: Bind) -> String {
        self.binds.push(bind);
        format!("${}", self.binds.len())
    }

    /// `name (columns) AS (VALUES …)`; of no rows one that matches nothing.
    fn table(&mut self, head: &str, rows: Vec<Vec<Bind>>, nothing: &str) {
        let separator = if self.sql.is_empty() { "WITH " } else { ", " };
        self.sql.push_str(separator);
        self.sql.push_str(head);
        let rows: Vec<String> = rows
            .into_iter()
            .map(|row| {
                let places: Vec<String> = row.into_iter().map(|bind| self.place(bind)).collect();
                format!("({})", places.join(", "))
            })
            .collect();
        let values = if rows.is_empty() { nothing.to_owned() } else { rows.join(", ") };
        self.sql.push_str(&format!(" AS (VALUES {values})"));
    }
}

/// Whether a space-separated list has the lost scope. `LIKE` would not tell upper case from lower.
fn carries(column: &str) -> String {
    format!("(l.scope = '' OR replace(' ' || {column} || ' ', ' ' || l.scope || ' ', '') <> ' ' || {column} || ' ')")
}

/// The same of what was agreed to: a JSON object by scope.
const AGREED: &str = "(l.scope = '' OR replace(c.scopes, '\"' || l.scope || '\":', '') <> c.scopes)";

impl Tx {
    /// What would be lost with these rights, each token, family and person counted once.
    pub async fn lost(&mut self, losses: &[Loss], now: Timestamp) -> Result<Counted, Error> {
        if losses.is_empty() {
            return Ok(Counted::default());
        }
        let Statement { sql, binds } = statement(losses, now);
        let row = on!(self, c => {
            let query = sqlx::query_as::<_, CountedRow>(sqlx::AssertSqlSafe(sql));
            let bound = binds.into_iter().fold(query, |query, bind| match bind {
                Bind::Text(text) => query.bind(text),
                Bind::Number(number) => query.bind(number),
                Bind::Bytes(bytes) => query.bind(bytes),
            });
            bound.fetch_one(c).await
        })?;
        Ok(Counted { tokens: row.tokens, families: row.families, users: row.users })
    }

    /// How many people have a role at a resource server because it was the default one when they came.
    pub async fn default_role_holders(&mut self, resource_server_id: &str, role: &str) -> Result<i64, Error> {
        let sql = "SELECT COUNT(*) FROM role_assignment
            WHERE resource_server_id = $1 AND role = $2 AND origin = 'default'";
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sql).bind(resource_server_id).bind(role).fetch_one(c).await)?)
    }
}

fn statement(losses: &[Loss], now: Timestamp) -> Statement {
    let (mut of_clients, mut of_servers, mut of_roles, mut of_users) = (vec![], vec![], vec![], vec![]);
    let text = |text: &String| Bind::Text(text.clone());
    for loss in losses {
        match loss {
            Loss::Client { client_id, resource_server_id, scope, before } => {
                let before = Bind::Number(before.as_microsecond());
                of_clients.push(vec![text(client_id), text(resource_server_id), text(scope), before]);
            }
            Loss::ResourceServer { id, scope } => of_servers.push(vec![text(id), text(scope)]),
            Loss::Role { resource_server_id, role } => of_roles.push(vec![text(resource_server_id), text(role)]),
            Loss::User { id } => of_users.push(vec![text(id)]),
        }
    }
    let mut statement = Statement { sql: String::new(), binds: Vec::new() };
    statement.table("of_client (client, server, scope, until)", of_clients, "(NULL, NULL, NULL, 0)");
    statement.table("of_server (server, scope)", of_servers, "(NULL, NULL)");
    statement.table("of_role (server, role)", of_roles, "(NULL, NULL)");
    statement.table("of_user (id)", of_users, "(NULL)");
    let whole = statement.place(Bind::Number(Timestamp::MAX.as_microsecond()));
    let now_at = statement.place(Bind::Number(now.as_microsecond()));
    let oldest = statement.place(Bind::Bytes(first_key_after(now.saturating_sub(LONGEST_LIFE).unwrap_or(now))));
    let (token, granted) = (carries("t.scope"), carries("g.scope"));
    let live = format!("g.revoked_at IS NULL AND g.expires_at > {now_at}");
    statement.sql.push_str(&format!(
        ", of_grant AS (
            SELECT g.id, g.subject FROM of_client l JOIN token_grant g ON g.client_id = l.client
                WHERE {live} AND g.created_at < l.until
                    AND (l.server = '' OR g.resource_server_id = l.server) AND {granted}
            UNION SELECT g.id, g.subject FROM of_server l JOIN token_grant g ON g.resource_server_id = l.server
                WHERE {live} AND {granted})
        SELECT
            (SELECT COUNT(*) FROM access_token t WHERE t.jti >= {oldest} AND t.revoked_at IS NULL
                AND t.expires_at > {now_at} AND (
                    EXISTS (SELECT 1 FROM of_client l WHERE l.client = t.client_id AND t.issued_at < l.until
                        AND (l.server = '' OR l.server = t.resource_server_id) AND {token})
                    OR EXISTS (SELECT 1 FROM of_server l WHERE l.server = t.resource_server_id AND {token}))) AS tokens,
            (SELECT COUNT(*) FROM of_grant f WHERE EXISTS (SELECT 1 FROM refresh_token r WHERE r.grant_id = f.id
                AND r.used_at IS NULL AND r.idle_expires_at > {now_at})) AS families,
            (SELECT COUNT(*) FROM (
                SELECT subject AS person FROM of_grant
                UNION SELECT c.user_id FROM of_client l JOIN consent c ON c.client_id = l.client
                    WHERE (l.server = '' OR c.resource_server_id = l.server) AND l.until = {whole} AND {AGREED}
                UNION SELECT c.user_id FROM of_server l JOIN consent c ON c.resource_server_id = l.server WHERE {AGREED}
                UNION SELECT a.user_id FROM of_role l JOIN role_assignment a
                    ON a.resource_server_id = l.server AND a.role = l.role
                UNION SELECT a.id FROM of_user l JOIN account a ON a.id = l.id
            ) AS people) AS users"
    ));
    statement
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::Row;

    use super::*;
    use crate::domain::observer::Unobserved;
    use crate::store::tx::Connection;
    use crate::store::{Options, Store};

    #[tokio::test]
    async fn what_grows_with_use_is_found_by_its_indexes() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(format!("sqlite://{}", dir.path().join("a.db").display()));
        let store = Store::open(&options, Arc::new(Unobserved)).await.unwrap();
        store.migrate().await.unwrap();
        let text = || "x".to_owned();
        let losses = [
            Loss::Client { client_id: text(), resource_server_id: text(), scope: text(), before: Timestamp::MAX },
            Loss::ResourceServer { id: text(), scope: text() },
            Loss::Role { resource_server_id: text(), role: text() },
            Loss::User { id: text() },
        ];
        let Statement { sql, binds } = statement(&losses, Timestamp::UNIX_EPOCH);
        let mut tx = store.read().await.unwrap();
        let Connection::Sqlite(connection) = &mut tx.connection else { unreachable!() };
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let bound = binds.into_iter().fold(query, |query, bind| match bind {
            Bind::Text(text) => query.bind(text),
            Bind::Number(number) => query.bind(number),
            Bind::Bytes(bytes) => query.bind(bytes),
        });
        let steps = bound.fetch_all(&mut **connection).await.unwrap();
        let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
        for (alias, table) in
            [("t", "access token"), ("g", "grant"), ("r", "refresh token"), ("c", "consent"), ("a", "role")]
        {
            let found: Vec<&String> = steps.iter().filter(|step| step.split(' ').nth(1) == Some(alias)).collect();
            assert!(!found.is_empty() && found.iter().all(|step| step.starts_with("SEARCH")), "{table}: {steps:#?}");
        }
    }
}
