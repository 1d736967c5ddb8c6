//! What is known of one object, and whether it may have the row that it asks for.

use url::Url;

use super::Refused;
use crate::domain::managed::Managed;
use crate::domain::policy::{Entity, Trace};
use crate::domain::{AdoptionPolicy, Desired, OwnerKey, Spec};
use crate::store::{self, Snapshot, Tx};

/// Loaded on a read connection to decide whether to write, and again in the transaction that does.
pub struct Situation {
    pub managed: Option<Managed>,
    pub entity: Option<Entity>,
    /// There is a row, and it is not what a row can be.
    pub unreadable: bool,
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
    /// It is ours by the object's own status, though nothing remembers it: compared, not adopted.
    Forgotten,
    Refused(Refused),
}

/// Loads the object's row by what is remembered of it, else by the name it asks for.
pub async fn load(tx: &mut Tx, desired: &Desired, snapshot: &Snapshot) -> Result<Situation, store::Error> {
    let kind = desired.spec.kind();
    let managed = tx.managed(&desired.owner.key).await?;
    let (entity, unreadable) = match &managed {
        Some(managed) => match tx.entity(kind, &managed.entity_id).await {
            Err(store::Error::Corrupt { .. }) => (None, true),
            found => (found?, false),
        },
        None => (named(tx, desired).await?, false),
    };
    let claim = match &managed {
        Some(managed) => remembered(desired, managed, entity.as_ref()),
        None => claimed(tx, desired, entity.as_ref(), snapshot).await?,
    };
    let traces = match (&managed, &entity) {
        (Some(managed), _) => tx.traces(kind, &managed.entity_id, managed.settled).await?,
        (None, Some(entity)) if claim == Claim::Forgotten => tx.traces(kind, &entity.id, 0).await?,
        _ => Vec::new(),
    };
    Ok(Situation { managed, entity, unreadable, traces, claim })
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

fn remembered(desired: &Desired, managed: &Managed, entity: Option<&Entity>) -> Claim {
    if managed.owner.namespace_uid != desired.owner.namespace_uid {
        let note = format!(
            "{} belongs to an earlier namespace {}; run holdfast adopt to hand it over",
            managed.entity_id, desired.owner.key.namespace
        );
        return Claim::Refused(Refused::Adoption(note));
    }
    match (managed.deleted_at, entity) {
        (None, _) => Claim::Ours,
        (Some(_), Some(_)) => Claim::Adopted(None),
        (Some(_), None) => Claim::Returned,
    }
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
        {
            return Ok(conflict(id, Some(tombstone.owner.key)));
        }
        return Ok(foreign_host(desired, snapshot).map_or(Claim::New, Claim::Refused));
    };
    let holder = tx.managed_by_entity(kind, &entity.id).await?.filter(|m| m.deleted_at.is_none()).map(|m| m.owner.key);
    let force = desired.adoption == AdoptionPolicy::Force && desired.trusted;
    Ok(match holder {
        Some(holder) if !force => conflict(&entity.id, Some(holder)),
        Some(holder) => Claim::Adopted(Some(holder)),
        None if desired.known_id.as_ref() == Some(&entity.id) => Claim::Forgotten,
        None if desired.adoption == AdoptionPolicy::Never => {
            Claim::Refused(Refused::Adoption(format!("{} exists and adoptionPolicy is Never", entity.id)))
        }
        None if desired.trusted => Claim::Adopted(None),
        None => Claim::Refused(Refused::Adoption(format!(
            "{} exists and is not offered to this namespace; an administrator can offer it or trust the namespace",
            entity.id
        ))),
    })
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
