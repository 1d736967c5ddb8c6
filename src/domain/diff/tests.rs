use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::domain::actor::Actor;
use crate::domain::desired::{AdoptionPolicy, DeletionPolicy, SecretSource};
use crate::domain::owner::{Kind, Owner, OwnerKey};
use crate::domain::spec::tests::{client, resource_server};

fn desired(spec: Spec, drift: DriftMode) -> Desired {
    Desired {
        owner: Owner {
            key: OwnerKey::new(Kind::OAuthClient, "web", "portal"),
            namespace_uid: "n".into(),
            object_uid: "o".into(),
        },
        wanted_id: None,
        known_id: None,
        spec,
        drift,
        ignore_fields: BTreeSet::new(),
        deletion: DeletionPolicy::Delete,
        adoption: AdoptionPolicy::IfUnowned,
        host_granted: false,
        trusted: false,
        paused: false,
        whole: true,
        secret: SecretSource::None,
    }
}

fn with(spec: &Spec, path: &str, value: Value) -> Spec {
    let mut fields = spec.fields();
    set(&mut fields, path, &value);
    Spec::from_fields(spec.kind(), &fields).unwrap()
}

fn known<'a>(last: &'a Spec, observed: &'a Spec) -> Known<'a> {
    Known { last: Some(last), observed: Some(observed), missing: Value::Null, open: None }
}

fn paths(fields: &[DriftedField]) -> Vec<&str> {
    fields.iter().map(|f| f.path.as_str()).collect()
}

#[test]
fn nothing_changed_is_nothing_to_do() {
    let spec = client();
    assert!(plan(&desired(spec.clone(), DriftMode::Enforce), known(&spec, &spec)).is_empty());
}

/// K4
#[test]
fn an_edit_of_the_spec_is_never_drift() {
    let last = client();
    let edited = with(&last, "displayName", json!("New"));
    let plan = plan(&desired(edited.clone(), DriftMode::Enforce), known(&last, &last));
    assert_eq!(plan.write, Some(edited));
    assert!(plan.corrected.is_empty() && plan.news.is_empty());
    assert_eq!(plan.intent[0].path, "displayName");
}

#[test]
fn drift_is_corrected_in_enforce_and_kept_in_warn() {
    let spec = client();
    let found = with(&spec, "grantTypes", json!(["client_credentials", "device_code"]));
    let enforce = plan(&desired(spec.clone(), DriftMode::Enforce), known(&spec, &found));
    assert_eq!((paths(&enforce.corrected), enforce.write), (vec!["grantTypes"], Some(spec.clone())));
    let warn = plan(&desired(spec.clone(), DriftMode::Warn), known(&spec, &found));
    assert_eq!((paths(&warn.kept), warn.write), (vec!["grantTypes"], None));
    assert_eq!(paths(&warn.news), ["grantTypes"]);
}

#[test]
fn ignore_counts_cosmetic_drift_and_warns_of_security() {
    let spec = client();
    let found = with(&with(&spec, "displayName", json!("X")), "state", json!("Suspended"));
    let plan = plan(&desired(spec.clone(), DriftMode::Ignore), known(&spec, &found));
    assert_eq!((paths(&plan.ignored), paths(&plan.kept)), (vec!["displayName"], vec!["state"]));
    assert_eq!(plan.write, None);
}

#[test]
fn the_same_change_on_both_sides_has_converged() {
    let last = client();
    let both = with(&last, "displayName", json!("Same"));
    let plan = plan(&desired(both.clone(), DriftMode::Enforce), known(&last, &both));
    assert!(plan.record && plan.write.is_none() && plan.news.is_empty());
}

#[test]
fn a_conflicting_change_is_reported_and_the_spec_wins_even_in_warn() {
    let last = client();
    let (ours, theirs) = (with(&last, "displayName", json!("A")), with(&last, "displayName", json!("B")));
    let plan = plan(&desired(ours.clone(), DriftMode::Warn), known(&last, &theirs));
    assert_eq!((paths(&plan.corrected), plan.write), (vec!["displayName"], Some(ours)));
}

#[test]
fn warn_keeps_drift_while_the_spec_moves_on_elsewhere() {
    let last = resource_server();
    let found = with(&last, "scopes[invoices.write]", Value::Null);
    let edited = with(&last, "displayName", json!("New"));
    let plan = plan(&desired(edited, DriftMode::Warn), known(&last, &found));
    assert_eq!(plan.write, Some(with(&found, "displayName", json!("New"))));
    assert_eq!(paths(&plan.kept), ["scopes[invoices.write]"]);
}

#[test]
fn a_missing_row_is_drift_not_amnesia() {
    let spec = client();
    let gone = Known { last: Some(&spec), observed: None, missing: Value::Null, open: None };
    let enforce = plan(&desired(spec.clone(), DriftMode::Enforce), gone.clone());
    assert_eq!((paths(&enforce.corrected), enforce.write.is_some()), (vec![ROW], true));
    let warn = plan(&desired(spec.clone(), DriftMode::Warn), gone);
    assert_eq!((paths(&warn.kept), warn.write), (vec![ROW], None));
}

#[test]
fn drift_is_reported_once_for_each_distinct_value_and_its_end_once() {
    let spec = client();
    let found = with(&spec, "state", json!("Suspended"));
    let first = plan(&desired(spec.clone(), DriftMode::Warn), known(&spec, &found));
    let open = OpenDrift { fields: first.kept, since: jiff::Timestamp::UNIX_EPOCH, actor: Actor::unknown() };
    let again =
        |observed| Known { last: Some(&spec), observed: Some(observed), missing: Value::Null, open: Some(&open) };
    assert!(plan(&desired(spec.clone(), DriftMode::Warn), again(&found)).is_empty());
    let cleared = plan(&desired(spec.clone(), DriftMode::Warn), again(&spec));
    assert_eq!(cleared.cleared, ["state"]);
}

#[test]
fn a_paused_object_is_compared_and_not_written() {
    let last = client();
    let mut paused = desired(with(&last, "displayName", json!("New")), DriftMode::Enforce);
    paused.paused = true;
    let found = with(&last, "state", json!("Suspended"));
    let plan = plan(&paused, known(&last, &found));
    assert_eq!((plan.write, plan.record, paths(&plan.kept)), (None, false, vec!["state"]));
}
