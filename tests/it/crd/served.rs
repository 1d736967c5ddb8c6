//! What users of the definitions see before the operator has said anything: status, columns, selectors.

use holdfast::crd::{OAuthClient, OAuthClientStatus};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::rows::bases;
use crate::support::cluster;

/// kstatus says InProgress of an object that nobody looked at yet, and the READY column is not blank. K6
#[tokio::test]
async fn an_untouched_object_waits_for_the_operator() {
    let client = cluster::client().await;
    cluster::install_crds(&client).await;
    let namespace = cluster::namespace(&client).await;
    let api: Api<OAuthClient> = Api::namespaced(client.clone(), &namespace);
    let object = serde_json::from_value(bases()[0].clone()).unwrap();
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let status = made.status.unwrap();
    assert_eq!(status.observed_generation, Some(-1));
    let ready = &status.conditions[0];
    assert_eq!((ready.type_.as_str(), ready.status.as_str(), ready.reason.as_str()), ("Ready", "Unknown", "Pending"));

    let path = format!("/apis/holdfast.dev/v1alpha1/namespaces/{namespace}/oauthclients");
    let request = axum::http::Request::get(path)
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new());
    let table: Value = client.request(request.unwrap()).await.unwrap();
    let names: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Name", "Client-ID", "Method", "Ready", "Reason", "Drifted", "Age"]);
    assert_eq!(table["rows"][0]["cells"][3], "Unknown");
}

/// A newer operator may write what an older definition does not know.
#[tokio::test]
async fn a_status_takes_words_it_does_not_know_and_is_found_by_its_id() {
    let client = cluster::client().await;
    cluster::install_crds(&client).await;
    let namespace = cluster::namespace(&client).await;
    let api: Api<OAuthClient> = Api::namespaced(client, &namespace);
    let object = serde_json::from_value(bases()[0].clone()).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    let status = json!({"status": {
        "clientID": "c_1", "resources": [{"state": "Unheard"}],
        "drift": {"mode": "Sometimes", "detectedTime": "2026-11-22T10:00:00.12345678901Z"},
        "conditions": [
            {"type": "Novel", "status": "Maybe", "reason": "x y", "message": "", "lastTransitionTime": "2026-11-22T10:00:00Z"},
            {"type": "Broken"}],
    }});
    api.patch_status("portal", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let found = api.list(&ListParams::default().fields("status.clientID=c_1")).await.unwrap().items;
    let read: &OAuthClientStatus = found[0].status.as_ref().unwrap();
    assert_eq!(read.conditions.len(), 1, "what has no form is left out");
    assert_eq!((read.conditions[0].status.as_str(), read.resources[0].state.as_str()), ("Maybe", "Unheard"));
}
