//! From change rows to records of what happened: by each of our own transactions for what it changed itself, and by
//! the leader for all that nobody settled, whatever name it carries.
//!
//! The one statement that marks change rows as derived also reads them, so that each is derived exactly once, in the
//! transaction that records what follows from it.

mod group;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use crate::domain::activity::derive::{Change, Row, Rows};
use crate::domain::activity::{Activity, ActivityType, Cause, Happened, client, provider, resource_server};
use crate::domain::audit::{AuditKind, Record};
use crate::domain::owner::Kind;
use crate::domain::resource_server::Lifecycle;
use crate::domain::spec::Spec;
use crate::domain::{Actor, Epoch};

use self::group::{ChangeRow, Group, change, groups};
use super::activity::Place;
use super::mapping::{self, Cell};
use super::tx::{Connection, Readable, Tx, on, row};
use super::{Error, Store};

/// So many change rows at once; a transaction of somebody else that is larger is settled in pieces.
const BATCH: i64 = 1000;

row!(CredentialRow {
    id: String,
    principal: String,
    state: String,
    issued_at: i64,
    retire_at: Option<i64>,
});

impl Store {
    /// Settles what was changed by others than ourselves; returns how many change rows there were.
    ///
    /// # Errors
    /// The database is away, or another leads.
    pub async fn settle(&self, epoch: Epoch) -> Result<usize, Error> {
        let mut settled = 0;
        // no transaction that writes is begun for nothing
        while self.read().await?.is_unsettled().await? {
            let mut tx = self.write_as_leader(&Actor::server(), epoch).await?;
            let rows = tx.settle_others().await?;
            tx.commit().await?;
            settled += rows;
            if rows == 0 {
                break;
            }
        }
        Ok(settled)
    }

    /// Begins the log of every resource server that is live and has none: what an earlier version launched.
    ///
    /// # Errors
    /// The database is away, or another leads.
    pub async fn settle_launches(&self, epoch: Epoch, now: Timestamp) -> Result<(), Error> {
        let mut tx = self.read().await?;
        let launched = tx.launched().await?;
        let live = tx.entities(Kind::ResourceServer).await?.into_iter().filter(|entity| is_live(&entity.spec));
        let missing: Vec<String> = live.map(|entity| entity.id).filter(|id| !launched.contains(id)).collect();
        drop(tx);
        if missing.is_empty() {
            return Ok(());
        }
        let mut tx = self.write_as_leader(&Actor::server(), epoch).await?;
        for id in missing {
            tx.launch_if_live(&id, &Cause::own(Actor::server(), now)).await?;
        }
        tx.commit().await
    }
}

fn is_live(spec: &Spec) -> bool {
    match spec {
        Spec::ResourceServer(server) => server.lifecycle == Lifecycle::Live && server.activation_failures().is_empty(),
        Spec::Client(_) | Spec::Provider(_) => false,
    }
}

impl Tx {
    /// Called before anything of the policy is written: what this transaction changes comes after this.
    pub(super) async fn touch(&mut self) -> Result<(), Error> {
        if self.touched.is_none() {
            self.touched = Some(match self.connection {
                Connection::Sqlite(_) => self.last_sequence().await?,
                // told by its transaction id
                Connection::Postgres(_) => 0,
            });
        }
        Ok(())
    }

    /// Records what follows from what this transaction changed.
    pub(super) async fn settle_own(&mut self) -> Result<(), Error> {
        let Some(since) = self.touched.take() else { return Ok(()) };
        let sql = match self.connection {
            Connection::Sqlite(_) => {
                "UPDATE change SET derived = 1 WHERE derived = 0 AND sequence > $1
                RETURNING sequence, at, table_name, entity_kind, entity_id, old, new, actor, 0 AS batch, 1 AS present"
            }
            Connection::Postgres(_) => {
                "UPDATE change SET derived = 1
                WHERE xid = pg_current_xact_id()::text::bigint AND derived = 0 AND sequence > $1
                RETURNING sequence, at, table_name, entity_kind, entity_id, old, new, actor, xid AS batch,
                    1::bigint AS present"
            }
        };
        let rows = on!(self, c => sqlx::query_as::<_, Readable<ChangeRow>>(sql).bind(since).fetch_all(c).await)?;
        for group in groups(rows, false) {
            self.tell(&group).await?;
        }
        Ok(())
    }

    async fn is_unsettled(&mut self) -> Result<bool, Error> {
        let sql = "SELECT COUNT(*) FROM (SELECT sequence FROM change WHERE derived = 0 LIMIT 1) AS unsettled";
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sql).fetch_one(c).await)? > 0)
    }

    /// Records what follows from what others changed, and that they did.
    async fn settle_others(&mut self) -> Result<usize, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => {
                "UPDATE change SET derived = 1 WHERE sequence IN
                    (SELECT sequence FROM change WHERE derived = 0 ORDER BY sequence LIMIT $1)
                RETURNING sequence, at, table_name, entity_kind, entity_id, old, new, actor, 0 AS batch,
                    incarnation IS (SELECT i.incarnation FROM installation i) AS present"
            }
            Connection::Postgres(_) => {
                "UPDATE change SET derived = 1 WHERE sequence IN
                    (SELECT sequence FROM change WHERE derived = 0 ORDER BY sequence LIMIT $1 FOR UPDATE SKIP LOCKED)
                RETURNING sequence, at, table_name, entity_kind, entity_id, old, new, actor, xid AS batch,
                    (incarnation = (SELECT i.incarnation FROM installation i))::int::bigint AS present"
            }
        };
        let rows = on!(self, c => sqlx::query_as::<_, Readable<ChangeRow>>(sql).bind(BATCH).fetch_all(c).await)?;
        let settled = rows.len();
        for group in groups(rows, true) {
            self.tell(&group).await?;
            self.audit_group(&group).await?;
        }
        Ok(settled)
    }

    /// Nobody recorded this where it was done.
    async fn audit_group(&mut self, group: &Group) -> Result<(), Error> {
        let Some(first) = group.changes.first() else { return Ok(()) };
        let tables: BTreeSet<&str> = group.changes.iter().map(|change| change.table.as_str()).collect();
        let detail = json!({
            "kind": group.kind.as_str(), "tables": tables, "changes": group.changes.len(), "first": first.sequence,
        });
        let record = Record { detail, ..Record::new(first.at, group.actor.clone()) };
        let id = Some(group.id.as_str()).filter(|id| !id.is_empty());
        let record = match group.kind {
            Kind::OAuthClient => Record { client_id: id, ..record },
            Kind::ResourceServer | Kind::Provider => Record { resource: id, ..record },
        };
        self.audit(AuditKind::PolicyChanged, &record).await
    }

    async fn tell(&mut self, group: &Group) -> Result<(), Error> {
        match group.kind {
            _ if group.id.is_empty() => self.tell_truncated(group).await,
            // what is remembered of a policy is none
            _ if group.changes.iter().all(|change| change.table == "managed") => Ok(()),
            Kind::ResourceServer => self.tell_resource_server(group).await,
            Kind::OAuthClient => self.tell_client(group).await,
            Kind::Provider => self.tell_provider(group).await,
        }
    }

    async fn tell_resource_server(&mut self, group: &Group) -> Result<(), Error> {
        let id = &group.id;
        let last = group.changes.iter().filter(|change| change.table != "managed").map(|change| change.sequence).max();
        let Some(mut place) = self.place(id).await? else {
            let at = group.changes.last().map_or(Timestamp::UNIX_EPOCH, |change| change.at);
            let cause =
                Cause { sequence: last, outside: group.outside, version: last, ..Cause::own(group.actor.clone(), at) };
            return self.launch_if_live(id, &cause).await;
        };
        let now = self.rows(group).await?;
        let after = self.state_after(group, now).await?;
        if place.revision == 0
            && let Some(gone) = after.before(id, group.changes.iter()).of("resource_server").next()
        {
            place.named(gone);
        }
        let told = resource_server::derive(id, &group.changes, &after);
        if told.is_empty() {
            return Ok(());
        }
        let first = group.changes.first().map_or(0, |change| change.sequence);
        let sql = "SELECT max(sequence) FROM change WHERE entity_kind = 'ResourceServer' AND entity_id = $1
            AND table_name <> 'managed' AND sequence < $2";
        let prior = on!(self, c => sqlx::query_scalar::<_, Option<i64>>(sql).bind(id).bind(first).fetch_one(c).await)?;
        for happened in told {
            let cause = Cause { prior_version: prior, version: last, ..group.cause(&happened) };
            self.record(&place, &happened.activity, &cause).await?;
        }
        Ok(())
    }

    /// The log of a resource server begins when it is first live and nothing keeps it from being so.
    async fn launch_if_live(&mut self, id: &str, cause: &Cause) -> Result<(), Error> {
        let entity = match self.entity(Kind::ResourceServer, id).await {
            Err(Error::Corrupt { .. }) => None,
            entity => entity?,
        };
        let Some(entity) = entity.filter(|entity| is_live(&entity.spec)) else { return Ok(()) };
        let Spec::ResourceServer(server) = &entity.spec else { return Ok(()) };
        let named = (server.resource_uri.as_str(), entity.owner.as_ref());
        if !self.put_launch(id, named, (cause.at, &cause.actor)).await? {
            return Ok(());
        }
        let now = self.mapped(Kind::ResourceServer, id).await?;
        let Some(place) = self.place(id).await? else { return Ok(()) };
        let cause = Cause { version: cause.version.or(Some(entity.revision)), ..cause.clone() };
        self.record(&place, &resource_server::launched(&now), &cause).await
    }

    async fn tell_client(&mut self, group: &Group) -> Result<(), Error> {
        let now = self.rows(group).await?;
        let after = self.state_after(group, now).await?;
        let mut places: BTreeMap<String, Option<Place>> = BTreeMap::new();
        for (server, happened) in client::derive(&group.id, &group.changes, &after) {
            if !places.contains_key(&server) {
                let place = self.place(&server).await?;
                places.insert(server.clone(), place);
            }
            if let Some(Some(place)) = places.get(&server) {
                self.record(place, &happened.activity, &group.cause_at(&happened, place)).await?;
            }
        }
        Ok(())
    }

    async fn tell_provider(&mut self, group: &Group) -> Result<(), Error> {
        let told = provider::derive(&group.id, &group.changes);
        if told.is_empty() {
            return Ok(());
        }
        for id in self.launched().await? {
            let Some(place) = self.place(&id).await? else { continue };
            let own = &mapping::tables(Kind::ResourceServer)[0];
            let source =
                self.mapped_rows(own, Some(&id)).await?.pop().map(|row| as_row(own.columns, &row.id, row.cells));
            let source = source.as_ref().and_then(|row| row.get("token_source")?.as_str());
            if source.is_some_and(|source| provider::is_source(source, &group.id)) {
                for happened in &told {
                    self.record(&place, &happened.activity, &group.cause_at(happened, &place)).await?;
                }
            }
        }
        Ok(())
    }

    /// Which rows there were, nobody knows any more.
    async fn tell_truncated(&mut self, group: &Group) -> Result<(), Error> {
        for id in self.launched().await? {
            let Some(place) = self.place(&id).await? else { continue };
            for (from, change) in group.changes.iter().enumerate() {
                let activity = Activity::new(ActivityType::PolicyTruncated, json!({"table": change.table}));
                let happened = Happened { activity, from };
                self.record(&place, &happened.activity, &group.cause_at(&happened, &place)).await?;
            }
        }
        Ok(())
    }

    /// The entity's rows as they are now.
    async fn rows(&mut self, group: &Group) -> Result<Rows, Error> {
        let mut rows = self.mapped(group.kind, &group.id).await?;
        if group.changes.iter().any(|change| change.table == "credential") {
            let sql = "SELECT id, principal, state, issued_at, retire_at FROM credential WHERE principal = $1";
            let found = on!(self, c => sqlx::query_as::<_, Readable<CredentialRow>>(sql)
                .bind(&group.id).fetch_all(c).await)?;
            for row in found.into_iter().filter_map(|Readable(row)| row) {
                let value = json!({
                    "id": row.id, "principal": row.principal, "state": row.state, "issued_at": row.issued_at,
                    "retire_at": row.retire_at,
                });
                if let serde_json::Value::Object(row) = value {
                    rows.insert("credential", row);
                }
            }
        }
        Ok(rows)
    }

    async fn mapped(&mut self, kind: Kind, id: &str) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        for table in mapping::tables(kind) {
            for row in self.mapped_rows(table, Some(id)).await? {
                let mut cells = as_row(table.columns, &row.id, row.cells);
                cells.insert(table.entity.to_owned(), id.into());
                rows.insert(table.name, cells);
            }
        }
        Ok(rows)
    }

    /// The entity as the group left it: what came later is taken back.
    async fn state_after(&mut self, group: &Group, now: Rows) -> Result<Rows, Error> {
        if !group.outside {
            return Ok(now);
        }
        let first = group.changes.first().map_or(0, |change| change.sequence);
        let sql = "SELECT sequence, at, table_name, entity_kind, entity_id, old, new, actor, 0 AS batch, 1 AS present
            FROM change WHERE entity_kind = $1 AND entity_id = $2 AND sequence >= $3 ORDER BY sequence";
        let sql = match self.connection {
            Connection::Sqlite(_) => sql.to_owned(),
            Connection::Postgres(_) => sql.replace("0 AS batch, 1 AS", "0::bigint AS batch, 1::bigint AS"),
        };
        let later = on!(self, c => sqlx::query_as::<_, Readable<ChangeRow>>(sqlx::AssertSqlSafe(sql))
            .bind(group.kind.as_str()).bind(&group.id).bind(first).fetch_all(c).await)?;
        let later: Vec<Change> =
            later.into_iter().filter_map(|Readable(row)| row).filter_map(|row| change(row).ok()).collect();
        Ok(now.before(&group.id, later.iter()).after(&group.id, group.changes.iter()))
    }
}

impl Place {
    /// As its row named it, which is gone.
    fn named(&mut self, row: &Row) {
        let of = |column: &str| row.get(column).and_then(serde_json::Value::as_str);
        if let Some(uri) = of("resource_uri") {
            self.uri = uri.to_owned();
        }
        self.owner = of("owner_namespace").zip(of("owner_name")).map(|(namespace, name)| format!("{namespace}/{name}"));
    }
}

/// A row of a mapped table in the form of a change row: column by column, JSON as text.
fn as_row(columns: &[mapping::Column], id: &str, cells: mapping::Cells) -> Row {
    let value = |cell| match cell {
        Cell::Text(text) => text.into(),
        Cell::Integer(number) => number.into(),
        Cell::Json(value) => value.to_string().into(),
        Cell::Null | Cell::Unreadable => serde_json::Value::Null,
    };
    let named = columns.iter().zip(cells).map(|(column, cell)| (column.name.to_owned(), value(cell)));
    named.chain([("id".to_owned(), id.into())]).collect()
}
