use rstest::rstest;
use serde_json::json;

use super::*;
use crate::crd::FieldError;
use crate::domain::credential::Rotation;
use crate::domain::desired::SecretSource;
use crate::domain::{
    Actor, AdoptionPolicy, Class, Credential, CredentialState, DeletionPolicy, Desired, DriftMode, Owner, OwnerKey,
    SecretText,
};
use crate::manifest::Invalid;
use crate::provision::{ChangeKind, SecretState};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn done() -> Done {
    Done {
        entity_id: "portal".into(),
        revision: 3,
        change: ChangeKind::Unchanged,
        drift: None,
        ignored: Vec::new(),
        correction: None,
        secret: SecretState::default(),
        undismissed: 0,
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome {
        strangers: Vec::new(),
        unresolved: Vec::new(),
        launch: None,
        desired: None,
        verdict,
        secret: Published::Unwanted,
        standing: None,
    }
}

fn applied() -> Outcome {
    outcome(Verdict::Applied(Box::new(done())))
}

fn invalid(cause: Cause) -> Outcome {
    let errors = vec![FieldError::new("spec.consent", "Implicit is only for trusted namespaces")];
    outcome(Verdict::Invalid(Invalid { cause, errors }))
}

fn missing(reason: &'static str) -> Unresolved {
    Unresolved { reason, error: FieldError::new("spec.resources[x].resourceServerRef", "was not found") }
}

/// `Type=Status Reason` of each condition.
fn said(kind: Kind, outcome: &Outcome) -> Vec<String> {
    let list = conditions(kind, outcome, &[], 1, at(10));
    list.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect()
}

#[test]
fn all_is_well() {
    assert_eq!(
        said(Kind::OAuthClient, &applied()),
        [
            "Ready=True Ready",
            "Accepted=True Accepted",
            "ResolvedRefs=True Resolved",
            "Synced=True Synced",
            "Drifted=False NoDrift",
        ]
    );
    let provider = said(Kind::Provider, &applied());
    assert_eq!(provider.last().unwrap(), "Reachable=Unknown NotChecked");
}

#[rstest]
#[case(invalid(Cause::InvalidSpec), "Accepted=False InvalidSpec", "InvalidSpec", true)]
#[case(invalid(Cause::NotPermitted), "Accepted=False NotPermitted", "NotPermitted", true)]
#[case(
    outcome(Verdict::Refused(Refused::Adoption("portal exists".into()))),
    "Accepted=False AdoptionRefused",
    "AdoptionRefused",
    true
)]
#[case(
    outcome(Verdict::Refused(Refused::Conflict { holder: None, note: "held".into() })),
    "Accepted=False Conflict",
    "Conflict",
    true
)]
#[case(outcome(Verdict::Unavailable), "Synced=False DatabaseUnavailable", "DatabaseUnavailable", false)]
#[case(
    Outcome { unresolved: vec![missing("RefNotFound")], ..applied() },
    "ResolvedRefs=False RefNotFound",
    "RefNotFound",
    false
)]
#[case(
    Outcome { secret: Published::Conflict("foreign".into()), ..applied() },
    "SecretCurrent=False SecretConflict",
    "SecretConflict",
    true
)]
#[case(
    Outcome { launch: Some(Launch::Live(vec!["spec.scopes is empty".into()])), ..applied() },
    "Launched=False ActivationBlocked",
    "ActivationBlocked",
    true
)]
fn what_fails_is_what_ready_says(
    #[case] outcome: Outcome,
    #[case] failing: &str,
    #[case] reason: &str,
    #[case] stalled: bool,
) {
    let said = said(Kind::ResourceServer, &outcome);
    assert!(said.contains(&failing.to_owned()), "{said:?}");
    assert_eq!(said[0], format!("Ready=False {reason}"));
    let progress = if stalled { format!("Stalled=True {reason}") } else { "Reconciling=True Progressing".to_owned() };
    let reported: Vec<_> = said.iter().filter(|c| c.starts_with("Stalled") || c.starts_with("Reconciling")).collect();
    assert_eq!(reported, [&progress], "one of the two, never both");
}

#[test]
fn an_invalid_spec_leaves_what_was_in_force() {
    let before = conditions(Kind::OAuthClient, &applied(), &[], 1, at(10));
    let after = conditions(Kind::OAuthClient, &invalid(Cause::InvalidSpec), &before, 2, at(20));
    let synced = condition::find(&after, "Synced").unwrap();
    assert_eq!((synced.status.as_str(), synced.last_transition_time.0), ("True", at(10)));
    assert_eq!(synced.observed_generation, Some(2), "every condition follows the generation");
}

#[test]
fn a_draft_is_ready_and_not_stalled() {
    let draft = Outcome { launch: Some(Launch::Draft), ..applied() };
    let said = said(Kind::ResourceServer, &draft);
    assert_eq!(said[0], "Ready=True Draft");
    assert!(said.contains(&"Launched=False Draft".to_owned()) && said.iter().all(|c| !c.starts_with("Stalled")));
}

#[test]
fn drift_does_not_pull_ready_down_and_is_told_after_it_was_corrected() {
    let field = DriftedField {
        path: "redirectURIs".into(),
        class: Class::Security,
        expected: json!([]),
        observed: json!(["https://evil.example.com"]),
    };
    let actor = Actor::recorded("sql:alice");
    let open = OpenDrift { fields: vec![field], since: at(5), actor: actor.clone() };
    let kept = outcome(Verdict::Applied(Box::new(Done { drift: Some(open), ..done() })));
    let list = conditions(Kind::OAuthClient, &kept, &[], 1, at(10));
    let drifted = condition::find(&list, "Drifted").unwrap();
    assert_eq!((drifted.status.as_str(), drifted.reason.as_str()), ("True", "DriftDetected"));
    assert_eq!(drifted.message, "spec.redirectURIs changed by sql:alice, found at 1970-01-01T00:00:05Z");
    assert_eq!((list[0].status.as_str(), list[0].message.as_str()), ("True", "In force, but for what has drifted"));

    let correction = Correction { fields: vec!["redirectURIs".into()], actor, at: at(7), corrected: true };
    let corrected = outcome(Verdict::Applied(Box::new(Done { correction: Some(correction), ..done() })));
    let list = conditions(Kind::OAuthClient, &corrected, &list, 1, at(10));
    let drifted = condition::find(&list, "Drifted").unwrap();
    assert_eq!((drifted.status.as_str(), drifted.reason.as_str()), ("False", "DriftCorrected"));
    assert_eq!(drifted.message, "spec.redirectURIs put back at 1970-01-01T00:00:07Z after a change by sql:alice");
    assert_eq!(list[0].message, "In force as written");
}

#[rstest]
#[case(None, "SecretCurrent=True Current")]
#[case(Some(89), "SecretCurrent=True Current")]
#[case(Some(95), "SecretCurrent=False RotationOverdue")]
fn a_replaced_secret_in_late_use_is_told(#[case] used: Option<i64>, #[case] expected: &str) {
    let credential = |id: &str, state, retire_at, last_used_at| Credential {
        id: id.into(),
        hash: SecretText::new(id).hash(),
        state,
        issued_at: at(0),
        retire_at,
        last_used_at,
    };
    let state = SecretState {
        current: Some(credential("new", CredentialState::Current, None, None)),
        retiring: vec![credential("old", CredentialState::Retiring, Some(at(100)), used.map(at))],
        ..SecretState::default()
    };
    let rotation = Rotation { overlap_seconds: 100, ..Rotation::default() };
    let spec: Spec = serde_json::from_value(json!({"kind": "OAuthClient", "spec": {
        "displayName": "", "state": "Active", "grantTypes": [], "redirectURIs": [], "jwks": null, "jwksURI": null,
        "authenticationMethod": "ClientSecretBasic", "workloadIdentity": null, "agent": null, "resources": [],
        "consent": "Required",
        "tokens": {"refreshLifetimeSeconds": 60, "refreshIdleSeconds": 60, "senderConstraint": "None"},
    }}))
    .unwrap();
    let key = OwnerKey::new(Kind::OAuthClient, "web", "portal");
    let desired = Desired {
        owner: Owner { key, namespace_uid: "n".into(), object_uid: "o".into() },
        wanted_id: None,
        known_id: None,
        spec,
        drift: DriftMode::Enforce,
        ignore_fields: Default::default(),
        deletion: DeletionPolicy::Delete,
        adoption: AdoptionPolicy::IfUnowned,
        host_granted: false,
        trusted: true,
        paused: false,
        whole: true,
        secret: SecretSource::Generated(rotation),
    };
    let outcome = Outcome { desired: Some(Box::new(desired)), secret: Published::Settled(state), ..applied() };
    let list = conditions(Kind::OAuthClient, &outcome, &[], 1, at(96));
    let said: Vec<_> = list.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect();
    assert!(said.contains(&expected.to_owned()), "{said:?}");
    let over = conditions(Kind::OAuthClient, &outcome, &list, 1, at(100));
    assert_eq!(condition::find(&over, "SecretCurrent").unwrap().reason, "Current", "it ends with the overlap");
}

#[test]
fn a_blocked_deletion_says_why() {
    let before = conditions(Kind::Provider, &applied(), &[], 1, at(10));
    let list = waiting(
        &before,
        Reason::DeletionBlocked,
        "ResourceServer a/b takes its tokens from this provider",
        (1, at(20)),
    );
    assert_eq!((list[0].reason.as_str(), list[1].reason.as_str()), ("DeletionBlocked", "DeletionBlocked"));
    assert_eq!(condition::find(&list, "Accepted").unwrap().status, "True");
}

fn stranger(item: &str, manager: &str) -> Stranger {
    Stranger { item: item.into(), managers: [manager.to_owned()].into() }
}

#[test]
fn an_item_of_another_hand_is_named_and_changes_nothing_else() {
    let strangers = vec![stranger("scopes[everything]", "intruder"), stranger("tools[wipe]", "kubectl-edit")];
    let mention = "; items of other field managers: scopes[everything] (intruder), tools[wipe] (kubectl-edit)";
    for plain in [applied(), invalid(Cause::NotPermitted), outcome(Verdict::Unavailable)] {
        let before = conditions(Kind::ResourceServer, &plain, &[], 1, at(10));
        let named = Outcome { strangers: strangers.clone(), ..plain };
        let after = conditions(Kind::ResourceServer, &named, &before, 1, at(20));
        for (before, after) in before.iter().zip(&after) {
            let mut expected = before.clone();
            if before.type_ == "Accepted" {
                expected.message.push_str(mention);
            }
            assert_eq!(after, &expected);
        }
    }
    let list = unreadable(&[], "no form", &strangers, 1, at(10));
    assert_eq!(condition::find(&list, "Accepted").unwrap().message, format!("no form{mention}"));
    assert_eq!(list[0].message, "no form");
}

#[test]
fn many_items_of_other_hands_leave_room_for_the_cause() {
    let many: Vec<_> = (0..200).map(|n| stranger(&format!("scopes[s{n:03}]"), "intruder")).collect();
    let message = with_strangers(&"cause ".repeat(200), &many);
    assert!(message.len() <= MAX_MESSAGE && message.starts_with("cause cause"), "{message}");
    assert!(message.contains("scopes[s000] (intruder), scopes[s001] (intruder), "), "{message}");
    assert!(message.ends_with(" more"), "{message}");
    let long = with_strangers("cause", &[stranger("scopes[a]", &"m".repeat(5000))]);
    assert!(long.len() < 400 && long.starts_with("cause; items of"), "{long}");
}
