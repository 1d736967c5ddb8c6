//! The full scan: every row against what is remembered of it, for what no trigger saw. It corrects nothing itself:
//! whoever holds the object to its row is sent to look.

use std::collections::{BTreeSet, HashMap};

use super::{Error, Provisioner};
use crate::domain::client::Origin;
use crate::domain::managed::{KnownCredential, Managed};
use crate::domain::policy::{Changed, Entity};
use crate::domain::{Kind, OwnerKey};

/// What one look at all rows of a kind found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scanned {
    /// Rows that are not what was applied, and were sent to be looked at.
    pub suspects: usize,
    /// Rows that no object owns and no client registered: counted, and nobody's drift.
    pub unmanaged: usize,
}

impl Provisioner {
    /// Compares every row of a kind with what was applied, and the policy in memory with rows that nobody owns.
    pub async fn scan(&self, kind: Kind) -> Result<Scanned, Error> {
        let mut tx = self.store().read().await?;
        let managed = tx.all_managed().await?;
        let entities = tx.entities(kind).await?;
        drop(tx);
        let managed = managed.into_iter().filter(|m| m.owner.key.kind == kind && m.deleted_at.is_none());
        let managed: HashMap<String, Managed> = managed.map(|m| (m.entity_id.clone(), m)).collect();
        let entities: HashMap<&str, &Entity> = entities.iter().map(|entity| (entity.id.as_str(), entity)).collect();
        let mut scanned = Scanned::default();
        let snapshot = self.store().snapshot();
        let mut stale: BTreeSet<String> = BTreeSet::new();
        for (id, known) in &managed {
            match entities.get(id.as_str()) {
                Some(entity) if is_as_applied(known, entity) => {
                    if !snapshot.holds(entity) {
                        stale.insert(id.clone());
                    }
                }
                // what is served meanwhile is what was good: it is not read anew before it is put right
                _ => {
                    scanned.suspects += 1;
                    self.suspect(kind, id, Some(known.owner.key.clone()));
                }
            }
        }
        let strangers = entities.values().filter(|entity| !managed.contains_key(&entity.id));
        for entity in strangers {
            match &entity.owner {
                // it says whose it is, and nothing remembers that
                Some(owner) => {
                    scanned.suspects += 1;
                    self.suspect(kind, &entity.id, Some(owner.clone()));
                }
                None => scanned.unmanaged += usize::from(is_made_here(entity)),
            }
            if !snapshot.holds(entity) {
                stale.insert(entity.id.clone());
            }
        }
        let gone = |id: &&String| !managed.contains_key(*id) && !entities.contains_key(id.as_str());
        stale.extend(snapshot.ids(kind).into_iter().filter(gone).cloned());
        for id in &stale {
            self.store().reread(kind, id).await?;
        }
        Ok(scanned)
    }

    /// Sends word of a row to whoever listens for changes.
    fn suspect(&self, kind: Kind, id: &str, owner: Option<OwnerKey>) {
        self.store().tell(Changed { kind, id: id.to_owned(), owner });
    }
}

/// Drift that is kept on request is a suspect each time; a look at it writes nothing.
fn is_as_applied(known: &Managed, entity: &Entity) -> bool {
    let applied = known.last_applied.as_ref().is_some_and(|applied| applied.fields() == entity.spec.fields());
    applied && entity.owner.as_ref() == Some(&known.owner.key) && same_secrets(known, entity)
}

fn same_secrets(known: &Managed, entity: &Entity) -> bool {
    let mut found: Vec<KnownCredential> = entity.credentials.iter().map(KnownCredential::of).collect();
    let mut applied = known.credentials.clone();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    applied.sort_by(|a, b| a.id.cmp(&b.id));
    found == applied
}

/// Clients that registered themselves, or that are a document elsewhere, have no object and need none.
fn is_made_here(entity: &Entity) -> bool {
    entity.spec.kind() != Kind::OAuthClient || Origin::of(&entity.id) == Origin::Managed
}
