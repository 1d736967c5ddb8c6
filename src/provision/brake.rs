//! The brake: so many deletions a minute pass, the others wait until somebody confirms them.
//!
//! Only what destroys is weighed: a row that is released under Retain stays in force, and suspending and revoking are
//! the answer to an emergency. It stands in the transaction of the deletion itself, so both doors have it and none can
//! go round it, and it holds in a namespace that is being deleted, too, which is the largest mistake there is.

use jiff::Timestamp;
use serde_json::json;

use super::{Error, Provisioner};
use crate::domain::audit::{AuditKind, Record};
use crate::domain::brake::{Brake, Hold, OpenBrake, Scope, WINDOW, opens};
use crate::domain::clock::whole_second;
use crate::domain::{Actor, OwnerKey, Reason, Report};
use crate::store::{Store, Tx};

/// Why a deletion waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub brake_id: String,
    /// What to tell the author, with the command that confirms it.
    pub note: String,
}

/// Everything that is held, for who lists it or counts it.
///
/// # Errors
/// The database is away.
pub async fn open_brakes(store: &Store) -> Result<Vec<OpenBrake>, Error> {
    let mut tx = store.read().await?;
    let (brakes, mut holds) = (tx.brakes().await?, tx.holds().await?);
    let mut of = |brake: &Brake| holds.extract_if(.., |hold| hold.brake_id == brake.id).collect();
    Ok(brakes.into_iter().map(|brake| OpenBrake { held: of(&brake), brake }).collect())
}

/// Lets go exactly what is held under this id; `None` = no such brake is open, and nothing changed.
///
/// # Errors
/// The database is away.
pub async fn confirm_brake(
    store: &Store,
    id: &str,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<Vec<OwnerKey>>, Error> {
    let shown: String = id.chars().filter(char::is_ascii_graphic).take(64).collect();
    let mut tx = store.write(actor).await?;
    tx.pass_gate().await?;
    let Some(released) = tx.release_brake(id, now).await? else {
        tracing::warn!(event = "brake_unknown", id = shown, who = %actor);
        return Ok(None);
    };
    let names: Vec<String> = released.iter().map(ToString::to_string).collect();
    let detail = json!({ "brake": id, "released": names });
    tx.audit(AuditKind::PolicyChanged, &Record { detail, ..Record::new(now, actor.clone()) }).await?;
    tx.commit().await?;
    tracing::warn!(event = "brake_confirmed", id = shown, who = %actor, released = names.len());
    Ok(Some(released))
}

/// The deletion of this owner, if it waits.
pub(super) async fn standing(tx: &mut Tx, owner: &OwnerKey) -> Result<Option<Held>, Error> {
    Ok(tx.hold_of(owner).await?.filter(|hold| !hold.released).map(|hold| held(&hold.brake_id)))
}

fn held(brake_id: &str) -> Held {
    let note = format!(
        "the deletion waits, and the row stays in force: too many deletions a minute opened the brake; `holdfast brake \
         confirm {brake_id}` lets it and the others go"
    );
    Held { brake_id: brake_id.to_owned(), note }
}

impl Provisioner {
    /// Everything that is held.
    pub async fn brakes(&self) -> Result<Vec<OpenBrake>, Error> {
        open_brakes(self.store()).await
    }

    /// See [`confirm_brake`].
    pub async fn confirm_brake(&self, id: &str, actor: &Actor) -> Result<Option<Vec<OwnerKey>>, Error> {
        confirm_brake(self.store(), id, actor, self.now()).await
    }

    /// Every deletion that waits, or may go and did not yet.
    pub async fn holds(&self) -> Result<Vec<Hold>, Error> {
        Ok(self.store().read().await?.holds().await?)
    }

    /// The object is there again, or its deletion is nobody's wish any more: nothing waits.
    pub async fn withdraw_deletion(&self, owner: &OwnerKey) -> Result<(), Error> {
        let mut tx = self.write().await?;
        tx.pass_gate().await?;
        tx.drop_hold(owner).await?;
        Ok(tx.commit().await?)
    }

    /// Counts a deletion that passes, or says why it has to wait; then the transaction has what says so.
    pub(super) async fn weigh(
        &self,
        tx: &mut Tx,
        owner: &OwnerKey,
        object_uid: &str,
        now: Timestamp,
    ) -> Result<Option<Held>, Error> {
        tx.pass_gate().await?;
        match tx.hold_of(owner).await? {
            Some(hold) if hold.released => {
                tx.drop_hold(owner).await?;
                return Ok(None);
            }
            Some(hold) => return Ok(Some(held(&hold.brake_id))),
            None => {}
        }
        let brake = match tx.brake_of(&owner.namespace).await? {
            Some(open) => open,
            None => {
                let tally = tx.deletions(&owner.namespace, now.checked_sub(WINDOW).unwrap_or(now)).await?;
                let Some(scope) = opens(self.0.parts.brake, tally, &owner.namespace) else {
                    tx.count_deletion(owner, now).await?;
                    return Ok(None);
                };
                let brake = Brake { id: self.brake_id()?, scope, opened_at: now };
                tx.open_brake(&brake).await?;
                brake
            }
        };
        tx.hold(owner, &brake, now).await?;
        tx.add_report(&told(owner, object_uid, &brake, now)).await?;
        Ok(Some(held(&brake.id)))
    }

    fn brake_id(&self) -> Result<String, Error> {
        let mut bytes = [0u8; 8];
        self.0.parts.entropy.fill(&mut bytes)?;
        Ok(format!("brake-{:016x}", u64::from_be_bytes(bytes)))
    }
}

fn told(owner: &OwnerKey, object_uid: &str, brake: &Brake, now: Timestamp) -> Report {
    let of = match &brake.scope {
        Scope::All => "the brake of all namespaces".to_owned(),
        Scope::Namespace(name) => format!("the brake of namespace {name}"),
    };
    let note = format!("{} ({of} is open since {})", held(&brake.id).note, whole_second(brake.opened_at));
    Report::new(owner.clone(), object_uid, Reason::MassChangeBrake, note, now)
}
