//! The change feed: hears of every change, whoever made it, and keeps the snapshot true.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::domain::observer::DatabaseOperation;
use crate::domain::owner::{Kind, OwnerKey};
use crate::domain::policy::{Changed, Entity};

use super::database::{Database, Engine};
use super::snapshot::Snapshot;
use super::topic::Topic;
use super::tx::{Connection, Tx, on, row};
use super::{Error, Store, postgres, sqlite};

/// More entities than this at once are cheaper to load all together.
const MANY: usize = 200;
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

row!(FeedRow { mark: i64, sequence: i64, entity_kind: String, entity_id: String, row_key: String, lag: i64 });

/// How far the change rows were read. On SQLite a mark is the sequence; on PostgreSQL it is the transaction id, since
/// a slow transaction commits late with a low sequence.
#[derive(Default)]
pub(super) struct Cursor {
    from: i64,
    /// Rows from `from` on that were acted upon already: an open transaction elsewhere holds `from` back.
    seen: HashSet<i64>,
}

enum Watcher {
    Sqlite(sqlite::Watcher),
    Postgres(postgres::Watcher),
}

impl Watcher {
    async fn start(database: &Database) -> Result<Self, Error> {
        Ok(match &database.engine {
            Engine::Sqlite(pools) => Self::Sqlite(sqlite::Watcher::start(pools).await?),
            Engine::Postgres(pool) => Self::Postgres(postgres::Watcher::start(pool).await?),
        })
    }

    async fn wait(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(watcher) => watcher.wait().await,
            Self::Postgres(watcher) => watcher.wait().await,
        }
    }
}

impl Tx {
    /// Where reading starts after a load in this transaction.
    async fn position(&mut self) -> Result<i64, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => "SELECT coalesce(max(sequence), 0) + 1 FROM change",
            Connection::Postgres(_) => "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
        };
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sql).fetch_one(c).await)?)
    }

    async fn changes(&mut self, from: i64) -> Result<Vec<FeedRow>, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => {
                "SELECT sequence AS mark, sequence, entity_kind, entity_id, row_key,
                    CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) - at AS lag
                FROM change WHERE sequence >= $1 ORDER BY sequence"
            }
            Connection::Postgres(_) => {
                "SELECT xid AS mark, sequence, entity_kind, entity_id, row_key,
                    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - at AS lag
                FROM change WHERE xid >= $1 AND incarnation = (SELECT i.incarnation FROM installation i)
                ORDER BY sequence"
            }
        };
        Ok(on!(self, c => sqlx::query_as::<_, FeedRow>(sql).bind(from).fetch_all(c).await)?)
    }
}

impl Store {
    /// Follows the database until `stop`; when it is away, the last snapshot stays and the feed tries again.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut cursor = None;
        let mut pause = BACKOFF.0;
        while !stop.is_cancelled() {
            let followed = tokio::select! {
                () = stop.cancelled() => return,
                followed = self.follow_once(&mut cursor, &mut pause) => followed,
            };
            self.inner.healthy.store(false, Ordering::Relaxed);
            if let Err(error) = followed {
                tracing::warn!(error = &error as &dyn std::error::Error, "the change feed was interrupted");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    async fn follow_once(&self, cursor: &mut Option<Cursor>, pause: &mut Duration) -> Result<(), Error> {
        // listening comes before loading, so that nothing falls between them
        let mut watcher = Watcher::start(&self.inner.database).await?;
        let loaded = self.load_all().await?;
        // after a pause the old cursor goes on, for what was remembered changed meanwhile, too
        let cursor = cursor.get_or_insert(loaded);
        self.inner.topics.all_changed();
        self.inner.healthy.store(true, Ordering::Relaxed);
        *pause = BACKOFF.0;
        loop {
            self.read_changes(cursor).await?;
            tokio::select! {
                () = self.inner.wake.notified() => {}
                heard = watcher.wait() => heard?,
            }
        }
    }

    async fn read_changes(&self, cursor: &mut Cursor) -> Result<(), Error> {
        let started = Instant::now();
        let mut tx = self.inner.database.read().await?;
        let position = tx.position().await?;
        let rows = tx.changes(cursor.from).await?;
        tx.commit().await?;
        let fresh: Vec<&FeedRow> = rows.iter().filter(|row| !cursor.seen.contains(&row.sequence)).collect();
        if !fresh.is_empty() {
            self.apply(&fresh).await?;
            self.inner.database.observer.database(DatabaseOperation::Feed, started.elapsed(), true);
        }
        let lag = fresh.iter().map(|row| row.lag).max().unwrap_or(0);
        self.inner.database.observer.feed_lag(Duration::from_micros(u64::try_from(lag).unwrap_or(0)));
        cursor.from = position;
        cursor.seen = rows.iter().filter(|row| row.mark >= position).map(|row| row.sequence).collect();
        Ok(())
    }

    async fn apply(&self, rows: &[&FeedRow]) -> Result<(), Error> {
        let mut touched: BTreeMap<(Kind, &str), BTreeSet<OwnerKey>> = BTreeMap::new();
        let mut truncated = false;
        for row in rows {
            if let Some(topic) = Topic::parse(&row.entity_kind) {
                self.inner.topics.changed(topic);
                continue;
            }
            match Kind::ALL.into_iter().find(|kind| kind.as_str() == row.entity_kind) {
                Some(kind) if !row.entity_id.is_empty() => {
                    let owners = touched.entry((kind, &row.entity_id)).or_default();
                    // the key of a row of `managed` is the owner
                    owners.extend(row.row_key.parse::<OwnerKey>().ok());
                }
                _ => truncated = true,
            }
        }
        if touched.is_empty() && !truncated {
            return Ok(());
        }
        let before = self.snapshot();
        if truncated || touched.len() > MANY {
            self.load_all().await?;
        } else {
            self.load_some(&mut touched).await?;
        }
        let after = self.snapshot();
        for snapshot in [&before, &after].into_iter().filter(|_| truncated) {
            for kind in Kind::ALL {
                for id in snapshot.ids(kind) {
                    touched.entry((kind, id)).or_default();
                }
            }
        }
        for ((kind, id), mut owners) in touched {
            let known = [before.state(kind, id), after.state(kind, id)].into_iter().flatten();
            owners.extend(known.filter_map(|(_, owner)| owner.cloned()));
            self.announce(kind, id, owners);
        }
        Ok(())
    }

    /// Reads these entities into the snapshot, and adds who manages them.
    async fn load_some(&self, touched: &mut BTreeMap<(Kind, &str), BTreeSet<OwnerKey>>) -> Result<(), Error> {
        let _loading = self.inner.loading.lock().await;
        let mut tx = self.inner.database.read().await?;
        let mut after = Snapshot::clone(&self.snapshot());
        for ((kind, id), owners) in touched {
            owners.extend(tx.managed_owner(*kind, id).await?);
            after.replace(*kind, id, readable(tx.entity(*kind, id).await)?);
        }
        tx.commit().await?;
        self.inner.snapshot.store(Arc::new(after));
        Ok(())
    }

    /// Loads everything and announces what is not as it was; returns where the feed goes on from.
    pub(super) async fn load_all(&self) -> Result<Cursor, Error> {
        let _loading = self.inner.loading.lock().await;
        let started = Instant::now();
        let mut tx = self.inner.database.read().await?;
        let from = tx.position().await?;
        let seen = tx.changes(from).await?.into_iter().map(|row| row.sequence).collect();
        let mut after = Snapshot::default();
        for kind in Kind::ALL {
            tx.entities(kind).await?.into_iter().for_each(|entity| after.insert(entity));
        }
        tx.commit().await?;
        let before = self.inner.snapshot.swap(Arc::new(after));
        let first = !self.inner.loaded.swap(true, Ordering::Relaxed);
        self.inner.database.observer.database(DatabaseOperation::Load, started.elapsed(), true);
        if !first {
            self.announce_differences(&before, &self.snapshot());
        }
        Ok(Cursor { from, seen })
    }

    fn announce_differences(&self, before: &Snapshot, after: &Snapshot) {
        for kind in Kind::ALL {
            let ids: BTreeSet<&String> = before.ids(kind).into_iter().chain(after.ids(kind)).collect();
            for id in ids {
                let (was, is) = (before.state(kind, id), after.state(kind, id));
                if was != is {
                    let owners = [was, is].into_iter().flatten().filter_map(|(_, owner)| owner.cloned()).collect();
                    self.announce(kind, id, owners);
                }
            }
        }
    }

    fn announce(&self, kind: Kind, id: &str, owners: BTreeSet<OwnerKey>) {
        let nobody = owners.is_empty().then_some(None);
        for owner in owners.into_iter().map(Some).chain(nobody) {
            // nobody listens yet, or no more
            let _ = self.inner.changed.send(Changed { kind, id: id.to_owned(), owner });
        }
    }

    pub(super) async fn load_one(&self, kind: Kind, id: &str) -> Result<(), Error> {
        let _loading = self.inner.loading.lock().await;
        let mut tx = self.inner.database.read().await?;
        let entity = readable(tx.entity(kind, id).await)?;
        tx.commit().await?;
        let mut after = Snapshot::clone(&self.snapshot());
        after.replace(kind, id, entity);
        self.inner.snapshot.store(Arc::new(after));
        Ok(())
    }
}

/// What cannot be read is not served; that is no reason to stop serving the rest.
fn readable(loaded: Result<Option<Entity>, Error>) -> Result<Option<Entity>, Error> {
    match loaded {
        Err(error @ Error::Corrupt { .. }) => {
            tracing::error!(%error, "policy that cannot be read is not served");
            Ok(None)
        }
        other => other,
    }
}
