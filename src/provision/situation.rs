//! What is known of one object, and whether it may have the row that it asks for.

use url::Url;

use super::Refused;
use crate::domain::managed::Managed;
use crate::domain::policy::{Entity, Trace};
use crate::domain::{Actor, AdoptionPolicy, DeletionPolicy, Desired, Kind, Owner, OwnerKey, Spec};
use crate::store::{self, Snapshot, Tx};

/// Loaded on a read connection to decide whether to write, and again in the transaction that does.
pub struct Situation {
    pub managed: Option<Managed>,
    pub entity: Option<Entity>,
    /// There is a row, and it is not what a row can be.
    pub unreadable: bool,
    /// Somebody else wrote to what is remembered, so that it proves nothing.
    pub forged: bool,
    /// Changes to the row since its actors were last accounted for.
    pub traces: Vec<Trace>,
    pub claim: Claim,
}

/// By what right the object has the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has it yet.
    New,
    /// It has been ours.
    Ours,
    /// It was ours and was deleted: the same id again.
    Returned,
    /// It was nobody's and may be ours; the former owner, if any, loses it.
    Adopted(Option<OwnerKey>),
    /// It is ours, though nothing that can be trusted remembers it: compared, not adopted.
    Forgotten,
    Refused(Refused),
}

/// Loads the object's row by what is remembered of it, else by the name it asks for.
pub async fn load(tx: &mut Tx, desired: &Desired, snapshot: &Snapshot) -> Result<Situation, store::Error> {
    let kind = desired.spec.kind();
    let (mut managed, damaged) = recall(tx, &desired.owner.key).await?;
    let mut traces = Vec::new();
    let mut forged = damaged;
    if let Some(managed) = &mut managed {
        (traces, forged) = history(tx, managed, damaged).await?;
        if forged {
            distrust(tx, desired, managed, &mut traces).await?;
        }
    }
    let (entity, unreadable) = match &managed {
        Some(managed) => match tx.entity(kind, &managed.entity_id).await {
            Err(store::Error::Corrupt { .. }) => (None, true),
            found => (found?, false),
        },
        None => (named(tx, desired).await?, false),
    };
    // a live row that says it is another's
    let live = managed.as_ref().is_some_and(|m| m.deleted_at.is_none());
    forged |= live && entity.as_ref().is_some_and(|e| e.owner.as_ref() != Some(&desired.owner.key));
    let claim = match &managed {
        Some(managed) => remembered(tx, desired, managed, (entity.as_ref(), forged)).await?,
        None => claimed(tx, desired, entity.as_ref(), snapshot).await?,
    };
    if let (None, Some(entity), Claim::Forgotten) = (&managed, &entity, &claim) {
        traces = tx.traces(kind, &entity.id, 0).await?;
    }
    Ok(Situation { managed, entity, unreadable, forged, traces, claim })
}

/// What is remembered of an owner. A memory that makes no sense is as good as none, but its row is there: true.
pub async fn recall(tx: &mut Tx, owner: &OwnerKey) -> Result<(Option<Managed>, bool), store::Error> {
    match tx.managed(owner).await {
        Err(store::Error::Corrupt { .. }) => {}
        known => return Ok((known?, false)),
    }
    let entity_id = tx.entity_ids_of(owner).await?.into_iter().next().unwrap_or_default();
    let blank = Managed {
        owner: Owner { key: owner.clone(), namespace_uid: String::new(), object_uid: String::new() },
        entity_id,
        deletion: DeletionPolicy::Retain,
        last_applied: None,
        credentials: Vec::new(),
        drift: None,
        correction: None,
        settled: 0,
        revoked_before: None,
        deleted_at: None,
    };
    Ok((Some(blank), true))
}

/// Who touched the row since its actors were last accounted for, and whether one of them forged the memory itself.
async fn history(tx: &mut Tx, managed: &Managed, damaged: bool) -> Result<(Vec<Trace>, bool), store::Error> {
    let (kind, id) = (managed.owner.key.kind, &managed.entity_id);
    let memory = |trace: &Trace| trace.table == "managed";
    let mut traces = tx.traces(kind, id, managed.settled).await?;
    // our own last write of it is always later than what it says is settled, as long as change rows are kept
    let mut forged = damaged;
    if !damaged && !traces.iter().any(memory) {
        let all = tx.traces(kind, id, 0).await?;
        forged = all.iter().any(memory);
        if forged {
            traces = all;
        }
    }
    if forged {
        let ours = traces.iter().rposition(|trace| memory(trace) && !is_foreign(&trace.actor));
        traces = traces.split_off(ours.map_or(0, |last| last + 1));
    }
    forged |= traces.iter().any(|trace| memory(trace) && is_foreign(&trace.actor));
    Ok((traces, forged))
}

/// Keeps of a forged memory only what something else bears out.
async fn distrust(
    tx: &mut Tx,
    desired: &Desired,
    managed: &mut Managed,
    traces: &mut Vec<Trace>,
) -> Result<(), store::Error> {
    let kind = desired.spec.kind();
    let asked = desired.wanted_id.clone().filter(|_| kind == Kind::OAuthClient);
    let known = match desired.known_id.clone().or(asked) {
        Some(id) => Some(id),
        None => tx.entity_ids_of(&desired.owner.key).await?.into_iter().next(),
    };
    if let Some(id) = known.filter(|id| *id != managed.entity_id) {
        traces.extend(tx.traces(kind, &id, managed.settled).await?);
        traces.sort_by_key(|trace| trace.sequence);
        managed.entity_id = id;
    }
    // a true tombstone remembers no policy
    if managed.last_applied.is_some() {
        managed.deleted_at = None;
    }
    managed.revoked_before = None;
    Ok(())
}

/// Whether a change is somebody else's than the reconciler's, as far as names can tell.
pub fn is_foreign(actor: &Actor) -> bool {
    *actor != Actor::controller() && *actor != Actor::directory()
}

/// The row that has the public name this object asks for: the client id, the resource URI, or the id in its status.
async fn named(tx: &mut Tx, desired: &Desired) -> Result<Option<Entity>, store::Error> {
    let kind = desired.spec.kind();
    let name = match &desired.spec {
        Spec::ResourceServer(spec) => Some(spec.resource_uri.as_str()),
        Spec::Client(_) | Spec::Provider(_) => desired.wanted_id.as_deref(),
    };
    if let Some(name) = name
        && let Some(found) = tx.entity_by_name(kind, name).await?
    {
        return Ok(Some(found));
    }
    match &desired.known_id {
        Some(id) => tx.entity(kind, id).await,
        None => Ok(None),
    }
}

async fn remembered(
    tx: &mut Tx,
    desired: &Desired,
    managed: &Managed,
    (entity, forged): (Option<&Entity>, bool),
) -> Result<Claim, store::Error> {
    let named =
        forged && (desired.known_id.as_ref() == Some(&managed.entity_id) || managed.owner.namespace_uid.is_empty());
    let handed = managed.owner.namespace_uid != desired.owner.namespace_uid && !named;
    if handed && !tx.is_offered(&desired.owner.key, &managed.entity_id).await? {
        let note = format!(
            "{} belongs to an earlier namespace {}; run holdfast adopt to hand it over",
            managed.entity_id, desired.owner.key.namespace
        );
        return Ok(Claim::Refused(Refused::Adoption(note)));
    }
    if (forged || managed.deleted_at.is_some())
        && let Some(entity) = entity
        && !(forged && desired.known_id.as_ref() == Some(&entity.id))
        && let Some(holder) = tx.other_owner(&desired.owner.key, &entity.id).await?
    {
        return Ok(conflict(&entity.id, Some(holder)));
    }
    Ok(match (managed.deleted_at, entity) {
        (None, _) if forged => Claim::Forgotten,
        (None, _) if handed => Claim::Adopted(None),
        (None, _) => Claim::Ours,
        (Some(_), Some(entity)) if !desired.whole => Claim::Refused(incomplete(&entity.id)),
        (Some(_), Some(_)) => Claim::Adopted(None),
        (Some(_), None) => Claim::Returned,
    })
}

async fn claimed(
    tx: &mut Tx,
    desired: &Desired,
    entity: Option<&Entity>,
    snapshot: &Snapshot,
) -> Result<Claim, store::Error> {
    let kind = desired.spec.kind();
    let Some(entity) = entity else {
        if let Some(id) = &desired.wanted_id
            && let Some(tombstone) = tx.managed_by_entity(kind, id).await?
            && tombstone.owner.key != desired.owner.key
            && !tx.is_offered(&desired.owner.key, id).await?
        {
            return Ok(conflict(id, Some(tombstone.owner.key)));
        }
        return Ok(foreign_host(desired, snapshot).map_or(Claim::New, Claim::Refused));
    };
    let named = desired.known_id.as_ref() == Some(&entity.id);
    let holder = tx.other_owner(&desired.owner.key, &entity.id).await?;
    let force = desired.adoption == AdoptionPolicy::Force && desired.trusted;
    let offered = tx.is_offered(&desired.owner.key, &entity.id).await?;
    Ok(match holder {
        // status and row agree: it is the memory that was moved
        Some(_) if named && entity.owner.as_ref() == Some(&desired.owner.key) => Claim::Forgotten,
        Some(holder) if !force => conflict(&entity.id, Some(holder)),
        Some(holder) => Claim::Adopted(Some(holder)),
        None if named => Claim::Forgotten,
        None if desired.adoption == AdoptionPolicy::Never => {
            Claim::Refused(Refused::Adoption(format!("{} exists and adoptionPolicy is Never", entity.id)))
        }
        None if !desired.trusted && !offered => Claim::Refused(Refused::Adoption(format!(
            "{} exists and is not offered to this namespace; an administrator can offer it or trust the namespace",
            entity.id
        ))),
        None if !desired.whole => Claim::Refused(incomplete(&entity.id)),
        None => Claim::Adopted(None),
    })
}

fn incomplete(id: &str) -> Refused {
    let note =
        format!("{id} is adopted once everything that the object refers to is there; until then it would lose it");
    Refused::Adoption(note)
}

fn conflict(id: &str, holder: Option<OwnerKey>) -> Claim {
    let note = match &holder {
        Some(holder) => format!("{id} is held by {holder}"),
        None => format!("{id} is held by another object"),
    };
    Claim::Refused(Refused::Conflict { holder, note })
}

/// The first accepted resource URI binds its host to its namespace.
fn foreign_host(desired: &Desired, snapshot: &Snapshot) -> Option<Refused> {
    let Spec::ResourceServer(spec) = &desired.spec else { return None };
    if desired.host_granted {
        return None;
    }
    let host = host(&spec.resource_uri)?;
    let foreign = snapshot.resource_servers().find(|entry| {
        let other = entry.owner.as_ref().is_some_and(|owner| owner.namespace != desired.owner.key.namespace);
        other && self::host(&entry.resource_server.resource_uri).as_ref() == Some(&host)
    })?;
    let namespace = foreign.owner.as_ref().map_or("", |owner| owner.namespace.as_str());
    // loopback is everybody's own
    let loopback = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
    (!loopback)
        .then(|| Refused::NotPermitted(format!("spec.resourceURI: host {host} belongs to namespace {namespace}")))
}

fn host(uri: &str) -> Option<String> {
    Url::parse(uri).ok()?.host_str().map(str::to_owned)
}
