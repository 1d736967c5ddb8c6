//! The log of what happened to a live policy, as administrators read it.

use jiff::Timestamp;

use super::{Activity, Error};
use crate::domain::{ActivityFilter, ActivityRecord, Actor, Launch};

/// The longest page.
pub const PAGE: i64 = 200;

/// A part of a log.
#[derive(Debug)]
pub struct Page {
    /// `None` = it was never launched, so that there is no log yet.
    pub launch: Option<Launch>,
    /// The newest first.
    pub records: Vec<ActivityRecord>,
    /// Where the next page begins; `None` = there is no more.
    pub next: Option<(Timestamp, i64)>,
}

impl Activity {
    /// The records of a resource server, whether or not it is still there; `limit` is at most [`PAGE`]. `None` = no
    /// resource server ever had this id.
    ///
    /// # Errors
    /// The database is away.
    pub async fn log(&self, id: &str, filter: &ActivityFilter, limit: i64) -> Result<Option<Page>, Error> {
        let limit = limit.clamp(1, PAGE);
        let mut tx = self.inner.parts.store.read().await?;
        let launch = tx.launch(id).await?;
        if launch.is_none() && !tx.knows_resource_server(id).await? {
            return Ok(None);
        }
        let mut records = tx.activities(id, filter, limit + 1).await?;
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = records.len() > size;
        records.truncate(size);
        let next = records.last().filter(|_| more).map(|last| (last.cause.at, last.id));
        Ok(Some(Page { launch, records, next }))
    }

    /// Takes note that `actor` has seen a record. A second time changes nothing. `None` = this resource server has no
    /// such record.
    ///
    /// # Errors
    /// The database is away.
    pub async fn dismiss(&self, id: &str, record: i64, actor: &Actor) -> Result<Option<ActivityRecord>, Error> {
        let mut tx = self.inner.parts.store.read().await?;
        let known = tx.activity(id, record).await?;
        drop(tx);
        if known.as_ref().is_none_or(|known| known.dismissed.is_some()) {
            return Ok(known);
        }
        let mut tx = self.inner.parts.store.write(actor).await?;
        let dismissed = tx.dismiss_activity(id, record, (actor, self.inner.parts.clock.now())).await?;
        tx.commit().await?;
        Ok(dismissed)
    }
}
