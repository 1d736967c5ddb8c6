//! The members of each kind's status beside the conditions. What an outcome says nothing about stays.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use serde_json::Value;

use crate::controller::Settings;
use crate::controller::conditions::shown;
use crate::controller::outcome::{Launch, Outcome};
use crate::controller::secret::wanted;
use crate::crd;
use crate::crd::common::DriftStatus;
use crate::crd::oauth_client::AttachmentStatus;
use crate::crd::resource_server::policy::ToolAccess;
use crate::crd::resource_server::status::{EnforcementPoints, ToolCounts};
use crate::crd::secret::{RetiringSecret, SecretStatus};
use crate::domain::Class;
use crate::domain::clock::whole_second;
use crate::domain::drift::gravest;
use crate::domain::enforcement::{Coverage, Standing};
use crate::manifest::Object;
use crate::provision::SecretState;

/// The status as it is.
pub(super) fn present(object: &Object) -> Result<Value, serde_json::Error> {
    fn of<S: Serialize + Default>(status: &Option<S>) -> Result<Value, serde_json::Error> {
        match status {
            Some(status) => serde_json::to_value(status),
            None => serde_json::to_value(S::default()),
        }
    }
    match object {
        Object::ResourceServer(object) => of(&object.status),
        Object::OAuthClient(object) => of(&object.status),
        Object::Provider(object) => of(&object.status),
    }
}

/// The status as it is, with other conditions.
pub(super) fn with_conditions(
    before: &Object,
    conditions: Vec<Condition>,
    generation: i64,
) -> Result<Value, serde_json::Error> {
    let mut status = present(before)?;
    status["conditions"] = serde_json::to_value(conditions)?;
    status["observedGeneration"] = generation.into();
    Ok(status)
}

/// The status that follows on `before` for the spec of `object`.
pub(super) fn status(
    before: &Object,
    object: &Object,
    outcome: &Outcome,
    conditions: Vec<Condition>,
    settings: &Settings,
) -> Result<Value, serde_json::Error> {
    let generation = object.metadata().generation.unwrap_or_default();
    let id = outcome.done().map(|done| done.entity_id.clone()).filter(|id| !id.is_empty());
    match (before, object) {
        (Object::ResourceServer(before), Object::ResourceServer(object)) => {
            let mut status = before.status.clone().unwrap_or_default();
            status.observed_generation = Some(generation);
            status.conditions = conditions;
            status.resource_server_id = id.or(status.resource_server_id);
            resource_server(&mut status, object, outcome, settings);
            serde_json::to_value(status)
        }
        (Object::OAuthClient(before), Object::OAuthClient(object)) => {
            let mut status = before.status.clone().unwrap_or_default();
            status.observed_generation = Some(generation);
            status.conditions = conditions;
            status.client_id = id.or(status.client_id);
            status.drift = drift(outcome).or(status.drift);
            status.secret = secret(&Object::OAuthClient(object.clone()), outcome, status.secret);
            status.resources = object.spec.resources.iter().map(|item| attachment(&item.name, outcome)).collect();
            serde_json::to_value(status)
        }
        (Object::Provider(before), _) => {
            let mut status = before.status.clone().unwrap_or_default();
            status.observed_generation = Some(generation);
            status.conditions = conditions;
            status.provider_id = id.or(status.provider_id);
            status.drift = drift(outcome).or(status.drift);
            serde_json::to_value(status)
        }
        _ => present(before),
    }
}

fn resource_server(
    status: &mut crd::ResourceServerStatus,
    object: &crd::ResourceServer,
    outcome: &Outcome,
    settings: &Settings,
) {
    status.drift = drift(outcome).or(status.drift.take());
    if let (Some(drift), Some(done)) = (&mut status.drift, outcome.done()) {
        drift.undismissed = Some(done.undismissed);
    }
    status.secret = secret(&Object::ResourceServer(Box::new(object.clone())), outcome, status.secret.take());
    let Some(done) = outcome.done() else { return };
    status.policy_version = Some(done.revision);
    let count = |access| object.spec.tools.iter().filter(|tool| tool.access == access).count() as i64;
    let (mapped, public) = (count(ToolAccess::Scoped), count(ToolAccess::Public));
    let before = status.tools.take().unwrap_or_default();
    let published = outcome.standing.map_or((before.unmapped, before.suggested), |s| (s.unmapped, s.suggested));
    let (unmapped, suggested) = published;
    status.tools = Some(ToolCounts { mapped, public, unmapped, suggested });
    if let Some(Standing { coverage, .. }) = outcome.standing {
        let Coverage { reporting, current, .. } = coverage;
        status.enforcement_points = Some(EnforcementPoints { reporting, current });
    }
    let (state, live) = match &outcome.launch {
        Some(Launch::Live(blockers)) if blockers.is_empty() => ("Ready", true),
        Some(Launch::Live(_)) => ("NeedsSetup", false),
        Some(Launch::Draft) | None => ("Draft", false),
    };
    status.state = Some(state.to_owned());
    let (namespace, name) = (object.metadata.namespace.as_deref(), object.metadata.name.as_deref());
    let issuer = settings.issuer.trim_end_matches('/');
    status.metadata_uri = live.then(|| {
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        format!("{issuer}/.well-known/oauth-protected-resource/{namespace}/{name}")
    });
}

/// Attached, or why not.
fn attachment(name: &str, outcome: &Outcome) -> AttachmentStatus {
    let path = format!("spec.resources[{name}].resourceServerRef");
    let fault = outcome.unresolved.iter().find(|unresolved| unresolved.error.path == path);
    AttachmentStatus { name: name.to_owned(), state: fault.map_or("Attached", |fault| fault.reason).to_owned() }
}

/// Drift that stands, else what was corrected last; `None` while nothing is known.
fn drift(outcome: &Outcome) -> Option<DriftStatus> {
    let (done, desired) = (outcome.done()?, outcome.desired.as_ref()?);
    let mode = Some(desired.drift.as_str().to_owned());
    Some(match (&done.drift, &done.correction) {
        (Some(open), _) => DriftStatus {
            mode,
            class: Some(class_name(gravest(&open.fields)).to_owned()),
            fields: open.fields.iter().map(|field| shown(&field.path)).collect(),
            detected_time: Some(whole_second(open.since)),
            by: Some(open.actor.to_string()),
            undismissed: None,
        },
        (None, Some(correction)) => DriftStatus {
            mode,
            class: None,
            fields: correction.fields.iter().map(|path| shown(path)).collect(),
            detected_time: Some(whole_second(correction.at)),
            by: Some(correction.actor.to_string()),
            undismissed: None,
        },
        (None, None) => DriftStatus { mode, ..DriftStatus::default() },
    })
}

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Security => "Security",
        Class::Behavior => "Behavior",
        Class::Cosmetic => "Cosmetic",
    }
}

/// The credential as far as it may be shown; what is not known now stays.
fn secret(object: &Object, outcome: &Outcome, before: Option<SecretStatus>) -> Option<SecretStatus> {
    let name = secret_name(object)?;
    let Some(state) = outcome.secret_state() else { return before };
    let SecretState { current, retiring, next_rotation, .. } = state;
    let mut retiring: Vec<RetiringSecret> = retiring
        .iter()
        .map(|credential| RetiringSecret {
            id: credential.id.clone(),
            retire_time: credential.retire_at.map(whole_second),
            last_used_time: credential.last_used_at.map(whole_second),
        })
        .collect();
    retiring.sort_by(|a, b| a.id.cmp(&b.id));
    Some(SecretStatus {
        name: Some(name),
        current_id: current.as_ref().map(|credential| credential.id.clone()),
        issued_time: current.as_ref().map(|credential| whole_second(credential.issued_at)),
        next_rotation_time: next_rotation.map(whole_second),
        retiring,
    })
}

/// The Secret that carries the credential, whoever made it.
fn secret_name(object: &Object) -> Option<String> {
    match object {
        Object::OAuthClient(client) => client.spec.authentication.secret.as_ref().map(|secret| secret.name.clone()),
        other => wanted(other).map(|wanted| wanted.name),
    }
}
