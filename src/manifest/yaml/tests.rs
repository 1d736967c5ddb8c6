//! Files as people write them, and as they get them wrong.

use super::*;
use crate::domain::Kind;
use crate::manifest::reference::{Resolved, SecretKey};

const SERVER: &str = "apiVersion: holdfast.dev/v1alpha1\nkind: ResourceServer\nmetadata: {name: billing}\nspec:\n  resourceURI: https://a.example\n";

fn error(text: &str) -> String {
    read(text).remove(0).unwrap_err().to_string()
}

#[test]
fn a_document_that_is_wrong_spoils_no_other() {
    let text = format!(
        "# head\n---\n{SERVER}---\nkind: [\n---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: web, labels: {{team: web}}}}\n"
    );
    let found = read(&text);
    assert_eq!(found.len(), 3);
    let Ok(Document::Object(object)) = &found[0] else { panic!("{:?}", found[0]) };
    assert_eq!(object.key(), OwnerKey::new(Kind::ResourceServer, "default", "billing"));
    assert!(found[1].as_ref().unwrap_err().to_string().starts_with("line 8: not YAML"), "{:?}", found[1]);
    let Ok(Document::Namespace(namespace)) = &found[2] else { panic!("{:?}", found[2]) };
    assert_eq!((namespace.name.as_str(), namespace.labels["team"].as_str()), ("web", "web"));
}

#[test]
fn an_invalid_object_is_known_by_its_key() {
    let text = SERVER.replace("resourceURI", "resourceUri");
    let error = read(&text).remove(0).unwrap_err();
    assert_eq!(error.key, Some(OwnerKey::new(Kind::ResourceServer, "default", "billing")));
    assert_eq!(
        error.to_string(),
        "line 1: ResourceServer/default/billing: spec.resourceURI: required value; spec.resourceUri: unknown field"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let rows = [
        (SERVER.replace("ResourceServer", "Gateway"), "kind: must be one of ResourceServer, OAuthClient, Provider"),
        (SERVER.replace("v1alpha1", "v9"), "ResourceServer of holdfast.dev/v9 is not read here"),
        ("a: 1".to_owned(), "apiVersion: required value"),
        ("[]".to_owned(), "a document must be a mapping"),
        (SERVER.replace("{name: billing}", "{}"), "metadata.name: required value"),
        (SERVER.replace("{name: billing}", "{name: ../../etc}"), "metadata.name: must be lower-case"),
        (SERVER.replace("{name: billing}", "{name: a, namespace: a/b}"), "metadata.namespace: must be at most 63"),
        (SERVER.replace("{name: billing}", "{name: a, namespcae: b}"), "metadata.namespcae: unknown field"),
        (
            SERVER.replace("{name: billing}", "{name: a, labels: {a: 1}}"),
            "metadata.labels.a: must be a string; put it in quotes",
        ),
        (SERVER.replace("spec:", "spec: {}\nspecs:"), "specs: unknown field"),
        (format!("{SERVER}  displayName: no\n"), "spec.displayName: false is of the wrong type: must be string"),
        (
            format!("{SERVER}  lifecycle: live\n"),
            "spec.lifecycle: unsupported value \"live\": supported values: \"Draft\", \"Live\"",
        ),
        (format!("{SERVER}  lifecycle: Draft\n  lifecycle: Live\n"), "not YAML"),
        ("apiVersion: apps/v1\nkind: Deployment".to_owned(), "Deployment of apps/v1 is not read here"),
    ];
    for (text, expected) in rows {
        let said = error(&text);
        assert!(said.contains(expected), "{said}\n    expected {expected}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn an_exported_object_is_read_back() {
    let text = SERVER
        .replace("{name: billing}", "{name: billing, uid: u, generation: 3, creationTimestamp: 2026-11-22T10:00:00Z}")
        + "status: {observedGeneration: 3, conditions: []}\n";
    assert!(read(&text).remove(0).is_ok());
}

#[test]
fn a_secret_is_read_and_never_repeated() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, labels: {holdfast.dev/referenced: 'true'}}\ndata: {a: aHVudGVyMg==}\nstringData: {b: hunter3}\n";
    let Ok(Document::Secret(secret)) = read(text).remove(0) else { panic!() };
    let key = |key: &str| SecretKey { name: "s".into(), key: key.into() };
    let value = |k: &str| secret.resolve(&key(k)).found().map(|text| text.expose().to_owned());
    assert_eq!((value("a").as_deref(), value("b").as_deref(), value("c")), (Some("hunter2"), Some("hunter3"), None));
    assert!(!format!("{secret:?}").contains("hunter"));
    let unlabelled = text.replace("'true'", "'false'");
    let Ok(Document::Secret(secret)) = read(&unlabelled).remove(0) else { panic!() };
    assert!(matches!(secret.resolve(&key("a")), Resolved::NotPermitted));
    for broken in [
        text.replace("aHVudGVyMg==", "hunter4!"),
        text.replace("hunter3", "[hunter5]"),
        text.replace("hunter3}", "hunter6"),
        text.replace("b: hunter3", "../b: hunter7"),
        text.replace("b: hunter3", "b: \"hunter8\n"),
        text.replace("stringData", "stringdata"),
        text.replace("b: hunter3", "b: hunter9, b: hunter9"),
    ] {
        let said = error(&broken);
        assert!(!said.contains("hunter"), "{said}");
    }
}
