//! Every member of every kind, changed by the admin API: found once, put right once, and the key is named.

use std::collections::BTreeSet;

use holdfast::domain::{Actor, DriftMode, Kind, Reason};
use rstest::rstest;
use serde_json::{Value, json};

use super::{Change, Scene, Told};
use crate::store::engine::Engine::{self, Postgres, Sqlite};

/// One other legal value for each member: kind, member, value, what the Event's field is.
fn edits() -> Vec<(Kind, &'static str, Value, &'static str)> {
    use Kind::{OAuthClient, Provider, ResourceServer};
    let scope = |name: &str, risk: &str| json!({"name": name, "description": "", "risk": risk, "upstream": ""});
    vec![
        (ResourceServer, "resourceURI", json!("https://evil.example/"), "spec.resourceURI"),
        (ResourceServer, "displayName", json!("Evil"), "spec.displayName"),
        (ResourceServer, "lifecycle", json!("Draft"), "spec.lifecycle"),
        (ResourceServer, "tokenSource", json!({"type": "Mint"}), "spec.tokenSource"),
        (
            ResourceServer,
            "scopes",
            json!([
                {"name": "invoices.read", "description": "Read", "risk": "Low", "upstream": ""},
                {"name": "invoices.write", "description": "Write 'them'", "risk": "High", "upstream": "w"},
                scope("everything", "Low")]),
            "spec.scopes[everything]",
        ),
        (
            ResourceServer,
            "tools",
            json!([
                {"name": "list", "access": "Public", "scopes": ["invoices.read", "invoices.write"], "match": "Any"},
                {"name": "ping", "access": "Public", "scopes": [], "match": "All"}]),
            "spec.tools[list]",
        ),
        (ResourceServer, "roles", json!([]), "spec.roles[reader]"),
        (ResourceServer, "defaultRole", Value::Null, "spec.accessPolicy.defaultRole"),
        (ResourceServer, "roleBindings", json!([]), "spec.roleBindings[finance]"),
        (ResourceServer, "accessToken", json!({"lifetimeSeconds": 3600}), "spec.accessToken"),
        (ResourceServer, "allowedNamespaces", json!({"from": "Same"}), "spec.allowedNamespaces"),
        (ResourceServer, "dynamicClients", json!("All"), "spec.dynamicClients"),
        (ResourceServer, "consent", json!("Required"), "spec.consent"),
        (ResourceServer, "exchange", json!({"mode": "Listed"}), "spec.exchange"),
        (ResourceServer, "runtimeClients", json!(["evil"]), "spec.runtime.clientRefs"),
        (ResourceServer, "runtimeServiceAccounts", json!(["evil/evil"]), "spec.runtime.serviceAccountRefs"),
        (ResourceServer, "connect", json!({"allowedReturnURLs": ["https://evil.example"]}), "spec.connect"),
        (ResourceServer, "fronting", json!([]), "spec.fronting[ledger]"),
        (OAuthClient, "displayName", json!("Evil"), "spec.displayName"),
        (OAuthClient, "state", json!("Suspended"), "spec.state"),
        (OAuthClient, "grantTypes", json!(["device_code"]), "spec.grantTypes"),
        (OAuthClient, "redirectURIs", json!(["https://evil.example/cb"]), "spec.redirectURIs"),
        (OAuthClient, "authenticationMethod", json!("None"), "spec.authentication.method"),
        (OAuthClient, "jwks", json!({"keys": [{"kty": "EC"}]}), "spec.authentication.jwks"),
        (OAuthClient, "jwksURI", json!("https://evil.example/jwks"), "spec.authentication.jwksURI"),
        (
            OAuthClient,
            "workloadIdentity",
            json!({"serviceAccountRef": {"name": "evil"}}),
            "spec.authentication.workloadIdentity",
        ),
        (OAuthClient, "agent", json!({"maxDelegationDepth": 9}), "spec.agent"),
        (OAuthClient, "resources", json!([]), "spec.resources[billing]"),
        (OAuthClient, "consent", json!("Implicit"), "spec.consent"),
        (OAuthClient, "tokens", json!({"senderConstraint": "DPoPRequired"}), "spec.tokens"),
        (Provider, "type", json!("OIDC"), "spec.type"),
        (Provider, "purposes", json!(["Login"]), "spec.purposes"),
        (Provider, "displayName", json!("Evil"), "spec.displayName"),
        (Provider, "settings", json!({"tokenEndpoint": "https://evil.example/token"}), "spec.settings"),
        (Provider, "clientID", json!("evil"), "spec.clientID"),
        (Provider, "clientSecretRef", json!({"name": "evil"}), "spec.clientSecretRef"),
        (Provider, "scopes", json!(["admin"]), "spec.scopes"),
        (Provider, "subjectClaim", json!("email"), "spec.subjectClaim"),
        (Provider, "claimMappings", json!([]), "spec.claimMappings"),
        (Provider, "allowedNamespaces", json!({"from": "All"}), "spec.allowedNamespaces"),
    ]
}

fn found(told: &[Told], field: &str) -> Result<(), String> {
    let found: Vec<_> = told.iter().filter(|(reason, ..)| *reason == Reason::DriftDetected).collect();
    let named = |(_, _, note): &&Told| note.contains("by apikey:mallory");
    let ours = found.iter().filter(|(_, path, _)| path == field).count();
    // of a list that was emptied each item is a field
    let one = ours == 1
        && found.iter().all(named)
        && found.iter().map(|(_, path, _)| path).collect::<BTreeSet<_>>().len() == found.len();
    one.then_some(()).ok_or_else(|| format!("{field} was told as {told:?}"))
}

/// K3: whatever member, by whichever key.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_any_member_by_the_admin_api_is_found_once_and_put_right_once(#[case] engine: Engine) {
    let scene = Scene::set(engine).await;
    let mallory = Actor::api_key("mallory");
    let mut edited = BTreeSet::new();
    for (kind, member, value, field) in edits() {
        let object = scene.objects.iter().find(|object| object.spec.kind() == kind).unwrap();
        let id = object.known_id.as_deref().unwrap();
        let patch = json!({ member: value });
        scene.house.provisioner.edit(kind, id, &patch, true, &mallory).await.unwrap_or_else(|e| panic!("{patch}: {e}"));
        let told = scene.apply(DriftMode::Enforce).await.unwrap();
        found(&told, field).unwrap();
        assert!(scene.correct().await, "{kind} {member} was not put right: {told:?}");
        let change = Change { sql: format!("{kind} {member}"), field: None, fields: 0 };
        scene.is_quiet(&change, DriftMode::Enforce).await.unwrap();
        edited.insert((kind, member));
    }
    for object in &scene.objects {
        for path in object.spec.fields().keys() {
            let member = path.split('[').next().unwrap();
            assert!(
                edited.contains(&(object.spec.kind(), member)),
                "{member} of a {} has no edit here",
                object.spec.kind()
            );
        }
    }
}
