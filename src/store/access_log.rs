//! The log of calls, as enforcement points report them: rows that are only ever added, and go by age and number.
//!
//! A report is a batch by nature, so that one commit is shared by up to a thousand rows as it comes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use crate::domain::decision::{AccessFilter, AccessRecord, Decision, DecisionOutcome, DecisionReason, RecordedCalls};
use crate::domain::enforcement::Instance;
use crate::domain::{Actor, Epoch};

use super::time::stamp;
use super::tx::{Tx, on, row};
use super::{Error, Store};

/// Rows a statement: far below what either engine can bind.
const ROWS: usize = 250;
/// People whose roles are read with one statement.
const PEOPLE: usize = 500;
/// Rows that one transaction clears away, and transactions between two looks at how many there are.
const BATCH: i64 = 500;
const BATCHES: usize = 20;

row!(AccessRow {
    resource_server_id: String,
    id: String,
    at: i64,
    received_at: i64,
    tool: String,
    outcome: String,
    reason: Option<String>,
    client_id: Option<String>,
    subject: Option<String>,
    scopes: String,
    policy_version: Option<i64>,
    duration: Option<i64>,
    jti: Option<String>,
    enforcement_point: Option<String>,
    reported_by: String,
});
row!(CallsRow {
    resource_server_id: String,
    tool: String,
    scopes: String,
    client_id: Option<String>,
    subject: Option<String>,
    calls: i64,
    last: i64,
});
row!(GivenRow { user_id: String, role: String });
row!(BoundRow { at: i64, id: String });

const COLUMNS: &str = "resource_server_id, id, at, received_at, tool, outcome, reason, client_id, subject, scopes,
    policy_version, duration, jti, enforcement_point, reported_by";

impl AccessRow {
    fn read(self) -> Result<AccessRecord, Error> {
        let corrupt =
            || Error::Corrupt { table: "access_log", key: format!("{} {}", self.resource_server_id, self.id) };
        let reason = self.reason.as_deref().map(|text| DecisionReason::parse(text).ok_or_else(corrupt)).transpose()?;
        let decision = Decision {
            at: stamp(self.at, corrupt)?,
            outcome: DecisionOutcome::parse(&self.outcome).ok_or_else(corrupt)?,
            reason,
            tool: self.tool.clone(),
            client_id: self.client_id.clone(),
            subject: self.subject.clone(),
            scopes: words(&self.scopes),
            policy_version: self.policy_version,
            duration_micros: self.duration,
            jti: self.jti.clone(),
            id: self.id.clone(),
        };
        let received_at = stamp(self.received_at, corrupt)?;
        let (resource_server_id, reported_by) = (self.resource_server_id, Actor::recorded(self.reported_by));
        Ok(AccessRecord {
            resource_server_id,
            decision,
            received_at,
            enforcement_point: self.enforcement_point,
            reported_by,
        })
    }
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The statement of a page, with more conditions.
fn page(conditions: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM access_log
        WHERE resource_server_id = $1 AND at >= $2 AND at < $3 AND (at, id) < ($4, $5){conditions}
        ORDER BY at DESC, id DESC LIMIT $6"
    )
}

/// The newest calls that were allowed, with this in that column.
fn recent(column: &str) -> String {
    format!(
        "SELECT resource_server_id, tool, scopes, client_id, subject, at FROM access_log
        WHERE {column} = $1 AND at >= $2 AND outcome = 'allowed' ORDER BY at DESC LIMIT $3"
    )
}

/// Whose calls.
#[derive(Debug, Clone, Copy)]
pub enum CallsOf<'a> {
    ResourceServer(&'a str),
    Client(&'a str),
}

/// Calls that were allowed, and what was looked at to find them.
#[derive(Debug, Default)]
pub struct Recorded {
    pub groups: Vec<RecordedCalls>,
    /// All of them together.
    pub calls: i64,
    /// There are older ones that were not looked at.
    pub cut: bool,
}

impl Tx {
    /// Keeps decisions about the calls of one resource server; returns the ids of those that were not there before.
    pub async fn put_decisions(
        &mut self,
        resource_server_id: &str,
        decisions: &[Decision],
        (by, point): (&Actor, Option<&Instance>),
        now: Timestamp,
    ) -> Result<HashSet<String>, Error> {
        let mut new = HashSet::new();
        for rows in decisions.chunks(ROWS) {
            let places = |row: usize| {
                let own: Vec<String> = (1..=11).map(|place| format!("${}", 4 + row * 11 + place)).collect();
                format!("($1, $2, $3, $4, {})", own.join(", "))
            };
            let values: Vec<String> = (0..rows.len()).map(places).collect();
            let sql = AssertSqlSafe(format!(
                "INSERT INTO access_log (resource_server_id, received_at, enforcement_point, reported_by, id, at, tool,
                    outcome, reason, client_id, subject, scopes, policy_version, duration, jti)
                VALUES {} ON CONFLICT (resource_server_id, id) DO NOTHING RETURNING id",
                values.join(", ")
            ));
            let inserted = on!(self, c => {
                let query = sqlx::query_scalar::<_, String>(sql).persistent(rows.len() == ROWS)
                    .bind(resource_server_id).bind(now.as_microsecond())
                    .bind(point.map(Instance::as_str)).bind(by.as_str());
                rows.iter().fold(query, |query, one| {
                    query.bind(&one.id).bind(one.at.as_microsecond()).bind(&one.tool).bind(one.outcome.as_str())
                        .bind(one.reason.map(DecisionReason::as_str)).bind(&one.client_id).bind(&one.subject)
                        .bind(one.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
                        .bind(one.policy_version).bind(one.duration_micros).bind(&one.jti)
                }).fetch_all(c).await
            })?;
            new.extend(inserted);
        }
        Ok(new)
    }

    /// Records of a resource server, the newest first.
    pub async fn access_log(
        &mut self,
        resource_server_id: &str,
        filter: &AccessFilter,
        limit: i64,
    ) -> Result<Vec<AccessRecord>, Error> {
        let micros = |at: Option<Timestamp>, open: i64| at.map_or(open, Timestamp::as_microsecond);
        let until = micros(filter.until, i64::MAX);
        let (at, id) = filter.before.as_ref().map_or((i64::MAX, ""), |(at, id)| (at.as_microsecond(), id.as_str()));
        let mut texts: Vec<&str> = Vec::new();
        let mut conditions = String::new();
        let wanted = [
            ("subject", filter.subject.as_deref()),
            ("client_id", filter.client_id.as_deref()),
            ("tool", filter.tool.as_deref()),
            ("outcome", filter.outcome.map(DecisionOutcome::as_str)),
            ("reason", filter.reason.map(DecisionReason::as_str)),
        ];
        for (column, text) in wanted {
            if let Some(text) = text {
                texts.push(text);
                conditions.push_str(&format!(" AND {column} = ${}", 6 + texts.len()));
            }
        }
        let sql = AssertSqlSafe(page(&conditions));
        let rows = on!(self, c => {
            let query = sqlx::query_as::<_, AccessRow>(sql).bind(resource_server_id)
                // a page begins where the one before ended, without a look at what came before
                .bind(micros(filter.since, i64::MIN)).bind(until.min(at.saturating_add(1))).bind(at).bind(id).bind(limit);
            texts.iter().fold(query, |query, text| query.bind(*text)).fetch_all(c).await
        })?;
        rows.into_iter().map(AccessRow::read).collect()
    }

    /// Calls since then that were allowed, what is the same together; of more than `most` the newest.
    pub async fn recorded_calls(&mut self, of: CallsOf<'_>, since: Timestamp, most: i64) -> Result<Recorded, Error> {
        let (column, key) = match of {
            CallsOf::ResourceServer(id) => ("resource_server_id", id),
            CallsOf::Client(id) => ("client_id", id),
        };
        let recent = recent(column);
        let sql = AssertSqlSafe(format!(
            "SELECT resource_server_id, tool, scopes, client_id, subject, COUNT(*) AS calls, max(at) AS last
            FROM ({recent}) AS recent GROUP BY resource_server_id, tool, scopes, client_id, subject"
        ));
        let since = since.as_microsecond();
        let rows = on!(self, c => sqlx::query_as::<_, CallsRow>(sql)
            .bind(key).bind(since).bind(most).fetch_all(c).await)?;
        let calls = rows.iter().map(|row| row.calls).sum();
        let mut cut = false;
        if calls >= most {
            let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM ({recent}) AS recent"));
            let more = on!(self, c => sqlx::query_scalar::<_, i64>(sql)
                .bind(key).bind(since).bind(most + 1).fetch_one(c).await)?;
            cut = more > most;
        }
        let read = |row: CallsRow| {
            let corrupt = || Error::Corrupt { table: "access_log", key: row.resource_server_id.clone() };
            Ok(RecordedCalls {
                last: stamp(row.last, corrupt)?,
                scopes: words(&row.scopes),
                resource_server_id: row.resource_server_id,
                tool: row.tool,
                client_id: row.client_id,
                subject: row.subject,
                calls: row.calls,
            })
        };
        let groups = rows.into_iter().map(read).collect::<Result<_, Error>>()?;
        Ok(Recorded { groups, calls, cut })
    }

    /// The roles that these people were given at a resource server, by person.
    pub async fn roles_of(
        &mut self,
        resource_server_id: &str,
        people: &[&str],
    ) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for people in people.chunks(PEOPLE) {
            let places: Vec<String> = (0..people.len()).map(|place| format!("${}", place + 2)).collect();
            let sql = AssertSqlSafe(format!(
                "SELECT user_id, role FROM role_assignment WHERE resource_server_id = $1 AND user_id IN ({})",
                places.join(", ")
            ));
            let rows = on!(self, c => {
                let query = sqlx::query_as::<_, GivenRow>(sql).persistent(people.len() == PEOPLE).bind(resource_server_id);
                people.iter().fold(query, |query, person| query.bind(*person)).fetch_all(c).await
            })?;
            for row in rows {
                given.entry(row.user_id).or_default().push(row.role);
            }
        }
        Ok(given)
    }

    /// The newest record that is one too many, of some resource server that has more than `most`.
    async fn first_access_too_many(&mut self, most: i64) -> Result<Option<(String, i64, String)>, Error> {
        let sql = "SELECT resource_server_id FROM access_log GROUP BY resource_server_id HAVING COUNT(*) > $1 LIMIT 1";
        let found = on!(self, c => sqlx::query_scalar::<_, String>(sql).bind(most).fetch_optional(c).await)?;
        let Some(server) = found else { return Ok(None) };
        let sql = "SELECT at, id FROM access_log WHERE resource_server_id = $1
            ORDER BY at DESC, id DESC LIMIT 1 OFFSET $2";
        let bound = on!(self, c => sqlx::query_as::<_, BoundRow>(sql)
            .bind(&server).bind(most).fetch_optional(c).await)?;
        Ok(bound.map(|bound| (server, bound.at, bound.id)))
    }

    async fn delete_access_until(&mut self, (server, at, id): &(String, i64, String)) -> Result<u64, Error> {
        let sql = "DELETE FROM access_log WHERE resource_server_id = $1 AND id IN (
            SELECT id FROM access_log WHERE resource_server_id = $1 AND (at, id) <= ($2, $3) LIMIT $4)";
        Ok(on!(self, c => sqlx::query(sql).bind(server).bind(at).bind(id).bind(BATCH)
            .execute(c).await.map(|done| done.rows_affected()))?)
    }
}

impl Store {
    /// Clears away the oldest records of a resource server that has more than `most`; returns how many went. 0 = none
    /// has.
    pub(super) async fn trim_access_log(&self, most: i64, epoch: Option<Epoch>) -> Result<u64, Error> {
        let Some(bound) = self.read().await?.first_access_too_many(most).await? else { return Ok(0) };
        let mut rows = 0;
        for _ in 0..BATCHES {
            let mut tx = self.write_to_purge(epoch).await?;
            let deleted = tx.delete_access_until(&bound).await?;
            tx.commit().await?;
            rows += deleted;
            if deleted == 0 {
                break;
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::Row;

    use super::*;
    use crate::domain::observer::Unobserved;
    use crate::store::Options;
    use crate::store::tx::Connection;

    /// A page costs what it shows, and a look back for a plan what is that old.
    #[tokio::test]
    async fn calls_are_found_by_their_indexes() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(format!("sqlite://{}", dir.path().join("a.db").display()));
        let store = Store::open(&options, Arc::new(Unobserved)).await.unwrap();
        store.migrate().await.unwrap();
        let mut tx = store.read().await.unwrap();
        let Connection::Sqlite(connection) = &mut tx.connection else { unreachable!() };
        let page = page(" AND subject = $7");
        let statements = [
            (page.as_str(), "access_log_list (resource_server_id=? AND at>? AND at<?)"),
            (&recent("resource_server_id"), "access_log_list (resource_server_id=? AND at>?)"),
            (&recent("client_id"), "access_log_client (client_id=? AND at>?)"),
        ];
        for (sql, index) in statements {
            let query = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
            let steps = query.fetch_all(&mut **connection).await.unwrap();
            let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
            assert_eq!(steps, [format!("SEARCH access_log USING INDEX {index}")], "{sql}");
        }
    }
}
