//! What would become of an object's secrets.

use jiff::Timestamp;

use super::PlannedSecret;
use crate::domain::desired::SecretSource;
use crate::domain::{Credential, CredentialState, Desired};
use crate::provision::situation::{Claim, Situation};
use crate::provision::work::Work;

/// What would become of the secrets at once: by the object, and by the publishing that follows it.
pub(super) fn secrets(desired: &Desired, situation: &Situation, work: &Work, now: Timestamp) -> Vec<PlannedSecret> {
    if desired.paused {
        return Vec::new();
    }
    let told = |credential: &str, becomes| PlannedSecret { id: Some(credential.to_owned()), becomes, at: None };
    let revoked = |id: &&String| work.credentials.iter().any(|c| &c.id == *id) && desired.secret != SecretSource::None;
    let mut found: Vec<PlannedSecret> = Vec::new();
    for id in &work.moves.removed {
        found.push(told(id, if revoked(&id) { "revoked" } else { "ends" }));
    }
    found.extend(work.moves.retired.iter().map(|id| told(id, "ends")));
    for credential in &work.moves.put {
        let becomes = if credential.state == CredentialState::Retiring { "retires" } else { "taken_in" };
        found.push(PlannedSecret { at: credential.retire_at, ..told(&credential.id, becomes) });
    }
    let SecretSource::Generated(rotation) = &desired.secret else { return found };
    let gone = |c: &&Credential| work.moves.removed.contains(&c.id) || work.moves.retired.contains(&c.id);
    let standing: Vec<&Credential> = work.credentials.iter().filter(|c| !gone(c)).collect();
    let current: Vec<&Credential> = standing.iter().copied().filter(|c| c.state == CredentialState::Current).collect();
    let pending = standing.iter().any(|c| c.state == CredentialState::Pending);
    // the value of a secret that comes with the row is nobody's to publish
    let stranger = matches!(situation.claim, Claim::Adopted(_));
    let due = |c: &&Credential| stranger || rotation.is_due(c.issued_at, now);
    if !pending && current.iter().all(due) {
        found.push(PlannedSecret { id: None, becomes: "generated", at: None });
        let retires = |c: &&Credential| PlannedSecret { at: Some(rotation.retire_at(now)), ..told(&c.id, "retires") };
        found.extend(current.iter().map(retires));
    }
    found
}
