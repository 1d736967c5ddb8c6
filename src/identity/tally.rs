//! Logins that were refused, summed for the audit: one record for a flush, a network and a person, so that strangers
//! fill no disk, and that neither a known nor an unknown address costs more than the other.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::json;

use crate::domain::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::store::{Error, Tx};

/// Kinds of refusals told apart before a flush; what comes on top of them is one sum.
const MOST: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Refusals {
    locked_out: bool,
    network: String,
    /// Whose address was tried, if anybody's.
    user_id: Option<String>,
}

#[derive(Default)]
pub(super) struct Tally(Mutex<BTreeMap<Refusals, u64>>);

impl Tally {
    pub fn add(&self, locked_out: bool, network: &str, user_id: Option<&str>) {
        let mut sums = self.sums();
        let mut refusals =
            Refusals { locked_out, network: network.to_owned(), user_id: user_id.map(ToOwned::to_owned) };
        if sums.len() >= MOST && !sums.contains_key(&refusals) {
            refusals = Refusals { locked_out, network: "others".to_owned(), user_id: None };
        }
        *sums.entry(refusals).or_default() += 1;
    }

    /// Takes the sums; `put_back` undoes it when they could not be written.
    pub fn take(&self) -> Taken {
        Taken(std::mem::take(&mut *self.sums()))
    }

    pub fn put_back(&self, taken: Taken) {
        let mut sums = self.sums();
        for (refusals, count) in taken.0 {
            *sums.entry(refusals).or_default() += count;
        }
    }

    fn sums(&self) -> MutexGuard<'_, BTreeMap<Refusals, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sums on their way into the audit.
pub(super) struct Taken(BTreeMap<Refusals, u64>);

impl Taken {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub async fn write(&self, tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
        for (refusals, count) in &self.0 {
            let kind = if refusals.locked_out { AuditKind::LoginLockedOut } else { AuditKind::LoginFailed };
            let record = Record {
                user_id: refusals.user_id.as_deref(),
                detail: json!({"attempts": count, "network": refusals.network}),
                ..Record::new(now, Actor::server())
            };
            tx.audit(kind, &record).await?;
        }
        Ok(())
    }
}
