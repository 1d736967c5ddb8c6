//! What is said of a change, and who is named for it.

use jiff::Timestamp;

use super::note;
use super::situation::{self, Claim, Situation};
use crate::domain::diff::Plan;
use crate::domain::drift::{DriftedField, OWNERSHIP, SECRETS};
use crate::domain::policy::Trace;
use crate::domain::{Actor, Desired, Reason, Report};

/// What is said about it, drift first.
pub fn reports(desired: &Desired, situation: &Situation, plan: &Plan, now: Timestamp) -> Vec<Report> {
    let mut told = Vec::new();
    let mut tell = |reason, path: &str, text| told.push(note::report(desired, reason, path, text, now));
    for field in &plan.news {
        let text = note::detected(field, &actor(&situation.traces, field));
        tell(Reason::DriftDetected, &note::field_path(&field.path), text);
    }
    for field in &plan.corrected {
        let text = note::corrected(field, &actor(&situation.traces, field));
        tell(Reason::DriftCorrected, &note::field_path(&field.path), text);
    }
    for path in plan.cleared.iter().filter(|path| !plan.corrected.iter().any(|f| &f.path == *path)) {
        tell(Reason::DriftCleared, &note::field_path(path), note::cleared(path));
    }
    match &situation.claim {
        Claim::New | Claim::Returned => tell(Reason::Created, "", "the policy is in force".to_owned()),
        Claim::Adopted(_) => tell(Reason::Adopted, "", "the existing row is managed from now on".to_owned()),
        _ if !plan.intent.is_empty() => tell(Reason::Updated, "", note::updated(&plan.intent)),
        _ => {}
    }
    for change in &plan.intent {
        match (change.path.as_str(), change.to.as_str()) {
            ("state", Some("Suspended")) => tell(Reason::Suspended, "spec.state", "the client is suspended".to_owned()),
            ("state", Some("Active")) if !change.from.is_null() => {
                tell(Reason::Resumed, "spec.state", "the client is active again".to_owned());
            }
            ("lifecycle", Some("Live")) => tell(Reason::Launched, "spec.lifecycle", "the resource is live".to_owned()),
            _ => {}
        }
    }
    told
}

/// The change that a drifted field comes from: the last one to its table that is not our own.
pub fn trace<'a>(traces: &'a [Trace], field: &DriftedField) -> Option<&'a Trace> {
    let member = field.path.split('[').next().unwrap_or_default();
    let table = match member {
        "scopes" => Some("scope"),
        "tools" => Some("tool"),
        "roles" => Some("role"),
        "roleBindings" => Some("role_binding"),
        "resources" => Some("client_resource"),
        SECRETS => Some("credential"),
        OWNERSHIP => Some("managed"),
        _ => None,
    };
    let foreign = |t: &&Trace| situation::is_foreign(&t.actor);
    let of_table = |t: &&Trace| table.is_none_or(|table| t.table == table);
    traces.iter().rev().filter(foreign).find(of_table).or_else(|| traces.iter().rev().find(foreign))
}

pub fn actor(traces: &[Trace], field: &DriftedField) -> Actor {
    trace(traces, field).map_or_else(Actor::unknown, |t| t.actor.clone())
}
