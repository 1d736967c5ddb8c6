//! What is written into `status`: made from an `Outcome`, compared, patched only when it differs, then told.

mod content;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::{Value, json};

use crate::crd::API_VERSION;
use crate::crd::condition::find;
use crate::domain::outcome::ObjectStatus;
use crate::domain::{OwnerKey, Reason, Report};
use crate::manifest::{Object, strangers};

use super::conditions::{conditions, unreadable, waiting};
use super::context::Context;
use super::error::{Error, is_not_found, is_unknown_form, kube_error};
use super::kubernetes::{api, conditions_of, read};
use super::outcome::{Outcome, Verdict, event_reason};
use super::secret::FIELD_MANAGER;

/// Writes what is new, has it told, and keeps the last word.
pub(super) async fn publish(context: &Context, object: &Object, outcome: &Outcome) -> Result<(), Error> {
    let now = context.clock.now();
    let generation = object.metadata().generation.unwrap_or_default();
    let make = |before: &Object| {
        let next = conditions(object.kind(), outcome, conditions_of(before), generation, now);
        content::status(before, object, outcome, next, &context.settings)
    };
    let written = write(context, object, make).await?;
    if let Some(written) = written {
        tell(context, object, outcome, &written).await;
    }
    let ready = conditions(object.kind(), outcome, conditions_of(object), generation, now);
    let mode = outcome.desired.as_ref().map(|desired| desired.drift);
    context.board.put(last_word(object.key(), outcome, &ready), mode, outcome.overdue(now).is_some());
    Ok(())
}

/// Says why a deletion waits.
pub(super) async fn publish_waiting(
    context: &Context,
    object: &Object,
    reason: Reason,
    note: &str,
) -> Result<(), Error> {
    let now = context.clock.now();
    let generation = object.metadata().generation.unwrap_or_default();
    let make = |before: &Object| {
        content::with_conditions(before, waiting(conditions_of(before), reason, note, (generation, now)), generation)
    };
    // the brake tells of itself, in the transaction that holds
    if write(context, object, make).await?.is_some() && reason == Reason::DeletionBlocked {
        observe(context, object, reason.as_str(), "", note).await;
    }
    Ok(())
}

/// Says that the object has no form that this program knows. All else in its status stays as it is.
pub(super) async fn publish_unreadable(context: &Context, key: &OwnerKey, note: &str) -> Result<(), Error> {
    let api = api(&context.client, key);
    let Some(live) = api.get_opt(&key.name).await.map_err(kube_error("read the object"))? else { return Ok(()) };
    let before = live.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let generation = live.metadata.generation.unwrap_or_default();
    let said = before.get("conditions").cloned().and_then(|said| serde_json::from_value::<Vec<Condition>>(said).ok());
    let (said, strangers) = (said.unwrap_or_default(), strangers(&live.metadata));
    let conditions = unreadable(&said, note, &strangers, generation, context.clock.now());
    let mut next = before.clone();
    next["conditions"] = serde_json::to_value(conditions)?;
    next["observedGeneration"] = generation.into();
    if before == next {
        return Ok(());
    }
    patch(context, key, &live.metadata, &next).await.map(drop)
}

/// The conditions before and after a write.
struct Flip {
    before: Vec<Condition>,
    after: Vec<Condition>,
}

/// Patches the status that `make` wants when it is not what is there; `None` = it was.
async fn write<F>(context: &Context, object: &Object, make: F) -> Result<Option<Flip>, Error>
where
    F: Fn(&Object) -> Result<Value, serde_json::Error>,
{
    if is_same(&content::present(object)?, &make(object)?) {
        return Ok(None);
    }
    // the watch may be behind our own last write, and a time would move that should not
    let Some(live) = read(context, &object.key()).await? else { return Ok(None) };
    // or behind a new spec, of which nothing is known yet
    if live.uid() != object.uid() || live.metadata().generation != object.metadata().generation {
        return Ok(None);
    }
    let next = make(&live)?;
    if is_same(&content::present(&live)?, &next) {
        return Ok(None);
    }
    let after = serde_json::from_value(next.get("conditions").cloned().unwrap_or_default())?;
    let written = patch(context, &object.key(), live.metadata(), &next).await?;
    Ok(written.then(|| Flip { before: conditions_of(&live).to_vec(), after }))
}

/// Applies the whole status to the object as it was read; `false` when it is gone.
async fn patch(context: &Context, key: &OwnerKey, live: &ObjectMeta, status: &Value) -> Result<bool, Error> {
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": key.kind.as_str(),
        "metadata": { "name": key.name, "uid": live.uid, "resourceVersion": live.resource_version },
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    match api(&context.client, key).patch_status(&key.name, &parameters, &Patch::Apply(patch)).await {
        Err(error) if is_not_found(&error) => Ok(false),
        Err(error) if is_unknown_form(&error) => {
            Err(kube_error("write the status; the installed definition may be older than this program")(error))
        }
        Err(error) => Err(kube_error("write the status")(error)),
        Ok(_) => {
            context.metrics.status_write(key.kind);
            Ok(true)
        }
    }
}

/// Equal but for numbers that move by themselves, which are written only together with something else.
fn is_same(before: &Value, after: &Value) -> bool {
    fn still(status: &Value) -> Value {
        let mut status = status.clone();
        if let Value::Object(members) = &mut status {
            for moving in ["attachedClients", "connections", "enforcementPoints"] {
                members.remove(moving);
            }
            if let Some(Value::Object(drift)) = members.get_mut("drift") {
                drift.remove("undismissed");
            }
        }
        let retiring = status.pointer_mut("/secret/retiring").and_then(Value::as_array_mut);
        for item in retiring.into_iter().flatten().filter_map(Value::as_object_mut) {
            item.remove("lastUsedTime");
        }
        status
    }
    still(before) == still(after)
}

/// Conditions that flipped become Events; what `provision` wrote tells of itself.
async fn tell(context: &Context, object: &Object, outcome: &Outcome, flip: &Flip) {
    for kind in ["Accepted", "ResolvedRefs", "SecretCurrent", "Launched"] {
        let (before, after) = (find(&flip.before, kind), find(&flip.after, kind));
        let said = |c: &Condition| (c.status.clone(), c.reason.clone());
        let Some(after) = after.filter(|after| before.map(said) != Some(said(after))) else { continue };
        let resolved = kind == "ResolvedRefs" && before.is_some_and(|before| before.status == "False");
        if after.status == "False" || resolved {
            observe(context, object, &after.reason, &field(kind, outcome), &after.message).await;
        }
    }
}

/// The field that is to blame, where there is one.
fn field(kind: &str, outcome: &Outcome) -> String {
    let error = match (kind, &outcome.verdict) {
        ("Accepted", Verdict::Invalid(invalid)) => invalid.errors.first(),
        ("ResolvedRefs", _) => outcome.unresolved.first().map(|unresolved| &unresolved.error),
        _ => None,
    };
    error.map(|error| error.path.clone()).unwrap_or_default()
}

/// Puts an observation into the outbox. The condition carries the story where that fails.
async fn observe(context: &Context, object: &Object, reason: &str, field_path: &str, note: &str) {
    let Some(reason) = event_reason(reason) else { return };
    let now = context.clock.now();
    let report = Report::new(object.key(), object.uid(), reason, note.to_owned(), now).at_field(field_path);
    match context.provisioner.report(&report).await {
        Ok(()) => context.told.notify_one(),
        Err(error) => {
            let error = Error::from(error).chain();
            tracing::warn!(event = "database_error", owner = %report.owner, reason = reason.as_str(), error);
        }
    }
}

fn last_word(owner: OwnerKey, outcome: &Outcome, conditions: &[Condition]) -> ObjectStatus {
    let ready = find(conditions, "Ready");
    let done = outcome.done();
    ObjectStatus {
        owner,
        ready: ready.is_some_and(|condition| condition.status == "True"),
        reason: ready.map(|condition| condition.reason.clone()).unwrap_or_default(),
        message: ready.map(|condition| condition.message.clone()).unwrap_or_default(),
        entity_id: done.map(|done| done.entity_id.clone()).filter(|id| !id.is_empty()),
        drift: done.and_then(|done| done.drift.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_move_by_themselves_are_no_reason_to_write() {
        let before = json!({"attachedClients": 1, "secret": {"retiring": [{"id": "a", "lastUsedTime": "x"}]}});
        let after = json!({"attachedClients": 2, "secret": {"retiring": [{"id": "a", "lastUsedTime": "y"}]}});
        assert!(is_same(&before, &after));
        assert!(!is_same(&before, &json!({"attachedClients": 1})));
    }
}
