//! What `config/` holds: samples that work out of the box, and one that is refused.

use std::path::PathBuf;

use holdfast::manifest::yaml::{Document, read};
use holdfast::manifest::{Object, Policy, References, Trusted, desired, strangers};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::rules::{api, words};
use crate::support::cluster;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_samples_are_accepted_and_resolve_among_themselves() {
    let documents: Vec<Document> = files("samples")
        .iter()
        .flat_map(|path| read(&std::fs::read_to_string(path).unwrap()))
        .collect::<Result<_, _>>()
        .unwrap();
    let policy = Policy { trusted: Trusted::Only(["somewhere".to_owned()].into()), ..Policy::default() };
    let mut kinds = Vec::new();
    for document in &documents {
        let Document::Object(object) = document else { continue };
        assert_eq!(object.namespace(), "default");
        desired(object, &References::default(), &policy).unwrap();
        kinds.push(object.kind().as_str());
        let needs = holdfast::manifest::needs(object);
        for key in needs.resource_servers.keys() {
            let there = |d: &Document| matches!(d, Document::Object(Object::ResourceServer(r)) if r.metadata.name.as_deref() == Some(&key.name));
            assert!(documents.iter().any(there), "{key}");
        }
        for key in needs.secrets.keys() {
            let there = |d: &Document| matches!(d, Document::Secret(s) if s.name == key.name && s.resolve(key).found().is_some());
            assert!(documents.iter().any(there), "{key:?}");
        }
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["OAuthClient", "OAuthClient", "Provider", "ResourceServer"]);
}

/// The API server's word on each document of ours in a folder, in a namespace that no other test uses.
async fn judged(folder: &str) -> Vec<Result<(), String>> {
    let client = cluster::client().await;
    cluster::install_crds(&client).await;
    let namespace = cluster::namespace(&client).await;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let mut said = Vec::new();
    for path in files(folder) {
        let text = std::fs::read_to_string(path).unwrap();
        for mut document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            if document["kind"] != "Secret" {
                document["metadata"]["namespace"] = json!(namespace);
                let object: DynamicObject = serde_json::from_value(document.clone()).unwrap();
                let created = api(&client, &namespace, &document).create(&dry, &object).await;
                said.push(created.map(drop).map_err(words));
            }
        }
    }
    said
}

#[tokio::test]
async fn the_api_server_takes_the_samples_and_refuses_the_illegal_one() {
    assert_eq!(judged("samples").await, [Ok(()), Ok(()), Ok(()), Ok(())]);
    let refused = "spec.redirectURIs: Required value: authorization_code requires redirectURIs";
    let said = judged("illegal").await.remove(0).unwrap_err();
    assert!(said.contains(refused), "{said}");
}

/// A scope that somebody patches in survives the next apply of the author, who can see whose it is.
#[tokio::test]
async fn an_item_of_another_hand_is_found_in_managed_fields() {
    let client = cluster::client().await;
    cluster::install_crds(&client).await;
    let namespace = cluster::namespace(&client).await;
    let mut object = super::rows::bases()[1].clone();
    let api = api(&client, &namespace, &object);
    let apply = |who: &str| PatchParams::apply(who).force();
    api.patch("billing", &apply("gitops"), &Patch::Apply(&object)).await.unwrap();
    object["spec"] = json!({"scopes": [{"name": "everything"}]});
    api.patch("billing", &apply("somebody"), &Patch::Apply(&object)).await.unwrap();
    let object = super::rows::bases()[1].clone();
    let kept = api.patch("billing", &apply("gitops"), &Patch::Apply(&object)).await.unwrap();
    let named: Vec<String> = strangers(&kept.metadata).iter().map(ToString::to_string).collect();
    assert_eq!(named, ["scopes[everything] (somebody)"]);
}

#[test]
fn the_illegal_sample_is_refused_with_the_message_in_its_comment() {
    for path in files("illegal") {
        let text = std::fs::read_to_string(path).unwrap();
        let expected = text.lines().nth(1).unwrap().trim_start_matches("#").trim();
        let error = read(&text).remove(0).unwrap_err();
        assert_eq!(error.errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        assert_eq!(error.key.unwrap().to_string(), "OAuthClient/default/no-way-back");
    }
}
