//! What an object asks for, and everything that is refused where no API server can.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::yaml::{Document, read};
use super::*;
use crate::domain::desired::SecretSource;
use crate::domain::resource_server::Lifecycle;
use crate::domain::{SecretText, Spec};

pub(super) fn object(kind: &str, spec: Value) -> Object {
    let object = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": kind, "metadata": {"name": "it", "namespace": "web"}, "spec": spec});
    match read(&object.to_string()).remove(0) {
        Ok(Document::Object(object)) => object,
        other => panic!("{other:?}"),
    }
}

fn client(more: Value) -> Object {
    let mut spec = json!({
        "grantTypes": ["client_credentials"],
        "authentication": {"method": "ClientSecretBasic", "secret": {"name": "it-oauth"}},
        "resources": [
            {"name": "a", "resourceServerRef": {"name": "a"}, "scopes": ["z", "b"]},
            {"name": "b", "resourceServerRef": {"name": "b", "namespace": "other"}, "scopes": []}],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object("OAuthClient", spec)
}

fn server(more: Value) -> Object {
    let mut spec = json!({"resourceURI": "https://a.example/mcp", "lifecycle": "Live", "scopes": [{"name": "a.read"}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object("ResourceServer", spec)
}

fn policy() -> Policy {
    Policy { issuer: Some("https://auth.example.com".parse().unwrap()), ..Policy::default() }
}

fn trusting() -> Policy {
    Policy { trusted: Trusted::All, ..policy() }
}

fn refusal(object: &Object, policy: &Policy) -> String {
    let invalid = desired(object, &References::default(), policy).unwrap_err();
    format!("{}: {invalid}", invalid.cause.as_str())
}

fn wanted(object: &Object, references: &References) -> domain::Desired {
    desired(object, references, &policy()).unwrap()
}

#[test]
fn a_client_gets_what_resolves_and_is_told_what_does_not() {
    let client = client(json!({}));
    let key = |namespace: &str, name: &str| ObjectKey::new(namespace, name);
    let references = References {
        namespace_uid: "uid-1".into(),
        resource_servers: BTreeMap::from([
            (key("web", "a"), Resolved::Found("rs_a".into())),
            (key("other", "b"), Resolved::NotPermitted),
        ]),
        ..References::default()
    };
    let desired = wanted(&client, &references);
    let Spec::Client(spec) = &desired.spec else { panic!() };
    let attached: Vec<_> = spec.resources.iter().map(|r| (r.resource_server_id.as_str(), r.scopes.join(" "))).collect();
    assert_eq!(attached, [("rs_a", "b z".to_owned())]);
    assert_eq!(spec.display_name, "it", "the object's name unless given");
    assert_eq!(
        (desired.owner.key.to_string().as_str(), desired.owner.namespace_uid.as_str()),
        ("OAuthClient/web/it", "uid-1")
    );
    assert!(matches!(desired.secret, SecretSource::Generated(rotation) if rotation.overlap_seconds == 86_400));
    let said: Vec<_> = unresolved(&client, &references).into_iter().map(|u| (u.reason, u.error.to_string())).collect();
    assert_eq!(
        said,
        [(
            "RefNotPermitted",
            "spec.resources[b].resourceServerRef: ResourceServer other/b does not allow this namespace in spec.allowedNamespaces".to_owned()
        )]
    );
}

/// "Could not read" is never "absent".
#[test]
fn a_reference_that_could_not_be_read_detaches_nobody() {
    let references = References {
        resource_servers: BTreeMap::from([(ObjectKey::new("web", "a"), Resolved::Unreadable)]),
        ..References::default()
    };
    let invalid = desired(&client(json!({})), &references, &policy()).unwrap_err();
    assert_eq!(invalid.cause, Cause::RefUnreadable);
    assert_eq!(invalid.to_string(), "spec.resources[a].resourceServerRef: web/a could not be read");
}

#[test]
fn a_referenced_secret_must_be_strong_and_labelled() {
    let client = client(
        json!({"authentication": {"method": "ClientSecretPost", "secret": {"name": "mine", "source": "Referenced"}}}),
    );
    let key = SecretKey { name: "mine".into(), key: "client_secret".into() };
    let strong = "0123456789abcdefghijklmnopqrstuvwxyz";
    let rows: [(Resolved<SecretText>, Option<&str>); 5] = [
        (Resolved::Found(SecretText::new(strong)), None),
        (Resolved::Found(SecretText::new("short")), Some("SecretInvalid")),
        (Resolved::NotPermitted, Some("RefNotPermitted")),
        (Resolved::Missing, Some("RefNotFound")),
        (Resolved::Unreadable, Some("RefUnreadable")),
    ];
    for (resolved, reason) in rows {
        let references = References { secrets: BTreeMap::from([(key.clone(), resolved)]), ..References::default() };
        let said: Vec<_> =
            unresolved(&client, &references).into_iter().filter(|u| u.error.path.contains("secret")).collect();
        assert_eq!(said.first().map(|u| u.reason), reason);
        let secret = wanted(&client, &references).secret;
        match reason {
            None => assert!(
                matches!(secret, SecretSource::Referenced { hash, .. } if hash == SecretText::new(strong).hash())
            ),
            Some(_) => assert_eq!(secret, SecretSource::Unresolved, "what is live stays live"),
        }
        assert!(!format!("{said:?}").contains("short"));
    }
}

#[test]
fn only_trusted_namespaces_have_power_over_the_installation() {
    let login =
        json!({"type": "OIDC", "purposes": ["Login"], "clientID": "a", "oidc": {"issuerURL": "https://idp.example"}});
    let rows = [
        (object("Provider", login), "spec.purposes: Login"),
        (client(json!({"consent": "Implicit"})), "spec.consent: Implicit"),
        (client(json!({"adoptionPolicy": "Force"})), "spec.adoptionPolicy: Force"),
        (server(json!({"exchange": {"mode": "Any"}})), "spec.exchange.mode: Any"),
        (server(json!({"resourceURI": "https://auth.example.com/a/b/mcp"})), "spec.resourceURI: the issuer's own host"),
    ];
    for (object, what) in rows {
        let expected = format!("NotPermitted: {what} is only for the namespaces of operator.trusted_namespaces");
        assert_eq!(refusal(&object, &policy()), expected);
        assert!(desired(&object, &References::default(), &trusting()).unwrap().trusted);
    }
}

#[test]
fn what_no_pattern_can_say_about_a_uri() {
    let public = |uri: &str| {
        client(
            json!({"grantTypes": ["authorization_code"], "authentication": {"method": "None"}, "redirectURIs": [uri]}),
        )
    };
    let rows = [
        ("https://a.example:65536/cb", Some("the port must be at most 65535")),
        ("https://a.example:65535/cb", None),
        ("http://[::1]:99999/cb", Some("the port must be at most 65535")),
        ("http://[::1]/cb", None),
        ("https://0x7f.1/cb", Some("\"0x7f.1\" is not a host")),
        ("https://1.1/cb", Some("\"1.1\" is not a host")),
        ("com.example.app:/cb", None),
        ("cursor://x/cb", None),
        (
            "warp:/cb",
            Some(
                "scheme warp is not allowed: a private-use scheme has a dot in it (RFC 8252), or is listed in the configuration",
            ),
        ),
    ];
    for (uri, message) in rows {
        let invalid = desired(&public(uri), &References::default(), &policy()).err().map(|e| e.to_string());
        assert_eq!(invalid, message.map(|m| format!("spec.redirectURIs[0]: {m}")), "{uri}");
    }
}

#[test]
fn the_issuers_own_addresses_are_nobodys() {
    for uri in [
        "https://auth.example.com",
        "https://auth.example.com/",
        "https://auth.example.com/admin",
        "https://auth.example.com/v1",
        "https://auth.example.com/billing/billing-mcp",
        "https://auth.example.com/.well-known/x/y",
    ] {
        let said = refusal(&server(json!({"resourceURI": uri})), &trusting());
        assert_eq!(
            said, "InvalidSpec: spec.resourceURI: this path on the issuer's host belongs to the issuer",
            "{uri}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let object = client(json!({
        "allowedNamespaces": {"from": "Selector", "selector": {
            "matchLabels": {"a b": "c"}, "matchExpressions": [{"key": "x", "operator": "In"}, {"key": "y", "operator": "Exists", "values": ["a"]}]}},
        "authentication": {"method": "PrivateKeyJWT", "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "A+A"}]}},
        "resources": [{"name": "a", "resourceServerRef": {"name": "s"}}, {"name": "b", "resourceServerRef": {"name": "s", "namespace": "web"}}],
    }));
    let said = desired(&object, &References::default(), &policy()).unwrap_err();
    let paths: Vec<_> = said.errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.allowedNamespaces.selector.matchLabels",
            "spec.allowedNamespaces.selector.matchExpressions[0].values",
            "spec.allowedNamespaces.selector.matchExpressions[1].values",
            "spec.resources[b].resourceServerRef",
            "spec.authentication.jwks.keys[0].x",
            "spec.authentication.jwks.keys[0].y",
        ]
    );
    let listed = Policy { selectors: false, ..policy() };
    assert!(
        refusal(&object, &listed)
            .contains("spec.allowedNamespaces.from: Selector needs an operator that watches all namespaces")
    );
}

#[test]
fn live_waits_for_all_gates_and_names_them_together() {
    let blocked = server(json!({
        "scopes": [],
        "tools": [{"name": "list", "access": "Scoped"}],
        "accessPolicy": {"defaultRole": "reader"},
        "runtime": {"clientRefs": [{"name": "gateway"}]},
    }));
    let Object::ResourceServer(inner) = &blocked else { panic!() };
    let references = References::default();
    assert_eq!(
        resource_server::activation_failures(inner, &references, &policy()),
        [
            "spec.scopes is empty",
            "tool list is Scoped and names no scope",
            "default role reader is not in spec.roles",
            "spec.runtime.clientRefs[0]: OAuthClient web/gateway was not found or is not ready",
        ]
    );
    let lifecycle = |object: &Object| match wanted(object, &references).spec {
        Spec::ResourceServer(spec) => spec.lifecycle,
        other => panic!("{other:?}"),
    };
    assert_eq!(lifecycle(&blocked), Lifecycle::NeedsSetup, "a blocked one issues nothing");
    assert_eq!(lifecycle(&server(json!({}))), Lifecycle::Live);
}

#[test]
fn defaults_come_from_the_installation_where_the_object_is_silent() {
    let policy = Policy { token_lifetime_seconds: 300, drift_mode: domain::DriftMode::Warn, ..policy() };
    let silent = desired(&server(json!({})), &References::default(), &policy).unwrap();
    let Spec::ResourceServer(spec) = &silent.spec else { panic!() };
    assert_eq!((spec.access_token.lifetime_seconds, silent.drift), (300, domain::DriftMode::Warn));
    assert_eq!((silent.deletion, silent.adoption), (domain::DeletionPolicy::Delete, domain::AdoptionPolicy::IfUnowned));
    let more = json!({
        "accessToken": {"lifetimeSeconds": 60}, "deletionPolicy": "Retain", "adoptionPolicy": "Never", "reconciliation": "Paused",
        "driftPolicy": {"mode": "Ignore", "ignoreFields": ["displayName", "accessToken"]},
    });
    let loud = desired(&server(more), &References::default(), &policy).unwrap();
    let Spec::ResourceServer(spec) = &loud.spec else { panic!() };
    assert_eq!((spec.access_token.lifetime_seconds, loud.drift, loud.paused), (60, domain::DriftMode::Ignore, true));
    assert_eq!(loud.ignore_fields.into_iter().collect::<Vec<_>>(), ["accessToken", "displayName"]);
    assert_eq!((loud.deletion, loud.adoption), (domain::DeletionPolicy::Retain, domain::AdoptionPolicy::Never));
}

#[test]
fn the_annotation_retains_whatever_the_spec_says() {
    let text = "apiVersion: holdfast.dev/v1alpha1\nkind: ResourceServer\nmetadata: {name: a, annotations: {holdfast.dev/deletion-policy: Retain}}\nspec: {resourceURI: 'https://a.example'}\n";
    let Ok(Document::Object(object)) = read(text).remove(0) else { panic!() };
    assert_eq!(deletion_policy(&object), domain::DeletionPolicy::Retain);
}

#[test]
fn an_object_of_another_installation_is_not_ours() {
    let of = |installation: &str| server(json!({"installation": installation}));
    assert!(is_ours(&server(json!({})), &policy()) && is_ours(&of("default"), &policy()));
    assert!(!is_ours(&of("another"), &policy()));
}

#[test]
fn who_may_refer_is_for_the_other_side_to_say() {
    let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
    let rows = [
        (json!({"from": "Same"}), false),
        (json!({"from": "All"}), true),
        (json!({"from": "Selector", "selector": {"matchLabels": {"team": "web"}}}), true),
        (json!({"from": "Selector", "selector": {"matchLabels": {"team": "db"}}}), false),
        (
            json!({"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["db"]}]}}),
            true,
        ),
        (
            json!({"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}),
            false,
        ),
        (json!({"from": "Selector", "selector": {}}), true),
    ];
    for (allowed, expected) in rows {
        let allowed = serde_json::from_value(allowed).unwrap();
        assert_eq!(permits(&allowed, "billing", "web", &labels), expected, "{allowed:?}");
        assert!(permits(&allowed, "web", "web", &labels), "its own namespace always may");
    }
}

#[test]
fn what_was_applied_says_what_is_immutable() {
    let last = wanted(&server(json!({})), &References::default());
    let moved = wanted(&server(json!({"resourceURI": "https://b.example"})), &References::default());
    let said = immutable::check(&moved, "rs_1", &last.spec).unwrap_err().to_string();
    assert_eq!(said, "spec.resourceURI: resourceURI is immutable: delete the object and create another one");
    assert!(immutable::check(&last, "rs_1", &last.spec).is_ok());
    let last = wanted(&client(json!({})), &References::default());
    let named = wanted(&client(json!({"clientID": "portal"})), &References::default());
    assert!(immutable::check(&named, "portal", &last.spec).is_ok());
    assert!(immutable::check(&named, "c_1", &last.spec).unwrap_err().to_string().starts_with("spec.clientID"));
    let public = json!({"authentication": {"method": "None"}, "grantTypes": ["device_code"]});
    let public = wanted(&client(public), &References::default());
    assert!(
        immutable::check(&public, "c_1", &last.spec).unwrap_err().to_string().starts_with("spec.authentication.method")
    );
}
