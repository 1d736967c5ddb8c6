//! Enforcement points and published tools in the status of a ResourceServer, and whose a ServiceAccount token is.

use std::time::Duration;

use holdfast::activity::Before;
use holdfast::controller::TokenReviews;
use holdfast::domain::enforcement::Instance;
use holdfast::domain::policy::Policy;
use holdfast::domain::reviewer::Reviewer;
use holdfast::domain::{Actor, SecretText};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::harness::{Operator, World, condition, eventually, resource_server};
use crate::support::cluster;

/// Looks at enforcement points as the leader's job does, until the test ends.
fn surveyed(operator: &Operator) -> tokio::task::JoinHandle<()> {
    let (activity, leadership) = (operator.activity.clone(), operator.leadership.clone());
    tokio::spawn(async move {
        loop {
            let epoch = *leadership.borrow();
            if let Some(epoch) = epoch {
                drop(activity.survey(epoch).await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

/// Says that this enforcement point runs what is in force.
async fn report(operator: &Operator, id: &str, version: i64, instance: &str) {
    let tag = eventually("the policy in memory", async || {
        operator.activity.policy(id).map(|made| made.tag.clone()).filter(|tag| tag.version == version)
    })
    .await;
    operator.activity.report(id, Instance::parse(instance).unwrap(), tag, &Actor::client(id));
}

/// D10, PolicySynced: nobody, everybody, some, everybody again; true before the next revision is ever said to be synced.
#[tokio::test]
async fn policy_synced_follows_the_enforcement_points() {
    let world = World::new().await;
    let operator = world.operator().await;
    let looking = surveyed(&operator);
    let mut spec = resource_server("https://synced.example.com/mcp");
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    let object = world.until("ResourceServer", "mcp", "PolicySynced", "Unknown", "NoEnforcementPoint").await;
    let id = object.data["status"]["resourceServerID"].as_str().unwrap().to_owned();
    let version = object.data["status"]["policyVersion"].as_i64().unwrap();
    report(&operator, &id, version, "pod-0").await;
    report(&operator, &id, version, "pod-1").await;
    let object = world.until("ResourceServer", "mcp", "PolicySynced", "True", "Synced").await;
    assert_eq!(condition(&object, "Ready").status, "True");

    spec["scopes"] = json!([{"name": "invoices.read", "risk": "Low"}]);
    world.apply("ResourceServer", "mcp", spec).await;
    let object = world.until("ResourceServer", "mcp", "PolicySynced", "False", "Lagging").await;
    let said = condition(&object, "PolicySynced").message;
    assert!(said.starts_with("2 of 2 enforcement points do not run the policy in force since 20"), "{said}");
    assert_eq!(condition(&object, "Ready").status, "True", "the policy is in force all the same");
    let version = object.data["status"]["policyVersion"].as_i64().unwrap();
    report(&operator, &id, version, "pod-0").await;
    eventually("one to follow", async || {
        let object = world.get("ResourceServer", "mcp").await;
        condition(&object, "PolicySynced").message.starts_with("1 of 2").then_some(())
    })
    .await;
    report(&operator, &id, version, "pod-1").await;
    let object = world.until("ResourceServer", "mcp", "PolicySynced", "True", "Synced").await;
    assert_eq!(object.data["status"]["enforcementPoints"], json!({"reporting": 2, "current": 2}));
    looking.abort();

    // nothing of it is lost or written anew when the leader changes
    operator.stop().await;
    let versions = world.versions().await;
    let operator = world.operator().await;
    eventually("the object to be looked at", async || {
        use holdfast::domain::StatusBoard;
        (operator.board.statuses().len() == 1).then_some(())
    })
    .await;
    assert_eq!(world.versions().await, versions);
    operator.stop().await;
}

/// D9: what is published counts in status, and changes nothing else.
#[tokio::test]
async fn status_counts_the_tools_that_are_published() {
    let world = World::new().await;
    let operator = world.operator().await;
    let looking = surveyed(&operator);
    let mut spec = resource_server("https://tools.example.com/mcp");
    spec["tools"] = json!([
        {"name": "list", "access": "Scoped", "scopes": ["invoices.read"]}, {"name": "ping", "access": "Public"}]);
    world.apply("ResourceServer", "mcp", spec).await;
    let object = world.ready("ResourceServer", "mcp").await;
    assert_eq!(object.data["status"]["tools"], json!({"mapped": 1, "public": 1, "unmapped": 0, "suggested": 0}));
    let id = object.data["status"]["resourceServerID"].as_str().unwrap();
    eventually("the policy in memory", async || operator.activity.policy(id)).await;
    let manifest = serde_json::from_value(json!({"tools": [
        {"name": "list"}, {"name": "ping", "suggested_scopes": ["invoices.read"]}, {"name": "drop", "suggested_access": "public"}]}));
    let by = (&Actor::client(id), std::net::Ipv4Addr::LOCALHOST.into());
    operator.activity.publish(id, &manifest.unwrap(), &Before::Any, by).await.unwrap();
    let counted = eventually("the tools to be counted", async || {
        let object = world.get("ResourceServer", "mcp").await;
        (object.data["status"]["tools"]["unmapped"] == 1).then_some(object)
    })
    .await;
    let status = &counted.data["status"];
    assert_eq!(status["tools"], json!({"mapped": 1, "public": 1, "unmapped": 1, "suggested": 2}));
    assert_eq!(
        (&status["state"], &status["policyVersion"]),
        (&json!("Ready"), &object.data["status"]["policyVersion"])
    );
    assert_eq!(condition(&counted, "Launched").status, "True");
    looking.abort();
    operator.stop().await;
}

/// D7: a rotated introspection secret lives on for its overlap, and `revokeIssuedBefore` ends it at once.
#[tokio::test]
async fn a_leaked_introspection_secret_ends_at_once() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://leaked.example.com/mcp");
    spec["introspection"] = json!({"secret": {"name": "mcp-introspection"}});
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    let object = world.until("ResourceServer", "mcp", "SecretCurrent", "True", "Current").await;
    let id = object.data["status"]["resourceServerID"].as_str().unwrap().to_owned();
    assert_eq!(world.secret("mcp-introspection", "client_id").await, id);
    let value = async || world.secret("mcp-introspection", "client_secret").await;
    let lives = |value: &str| {
        let hash = SecretText::new(value).hash();
        let snapshot = operator.store.snapshot();
        let held = snapshot.resource_server(&id).map(|entry| entry.credentials.clone()).unwrap_or_default();
        held.iter().any(|credential| credential.hash == hash && credential.is_live(super::secrets::now_time()))
    };
    let first = value().await;
    let level = |seconds: i64| jiff::Timestamp::from_second(super::secrets::now_time().as_second() + seconds).unwrap();
    spec["introspection"]["secret"]["rotation"] =
        json!({"rotateIssuedBefore": level(2).to_string(), "overlapSeconds": 3600});
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    let second = eventually("another secret", async || Some(value().await).filter(|value| *value != first)).await;
    eventually("both to live", async || (lives(&first) && lives(&second)).then_some(())).await;
    eventually("status to name both", async || {
        let object = world.get("ResourceServer", "mcp").await;
        (object.data["status"]["secret"]["retiring"].as_array().map_or(0, Vec::len) == 1).then_some(())
    })
    .await;
    spec["introspection"]["secret"]["rotation"] =
        json!({"revokeIssuedBefore": level(0).to_string(), "overlapSeconds": 3600});
    world.apply("ResourceServer", "mcp", spec).await;
    eventually("the old one to end", async || (!lives(&first)).then_some(())).await;
    let third = value().await;
    eventually("one to live", async || lives(&third).then_some(())).await;
    operator.stop().await;
}

/// A token of this account for this audience, or for the API server's own.
pub async fn token(client: &Client, namespace: &str, name: &str, audience: Option<&str>) -> SecretText {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let mut account = ServiceAccount::default();
    account.metadata.name = Some(name.to_owned());
    if api.get_opt(name).await.unwrap().is_none() {
        api.create(&PostParams::default(), &account).await.unwrap();
    }
    let audiences = audience.map(str::to_owned).into_iter().collect();
    let spec = TokenRequestSpec { audiences, expiration_seconds: Some(600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = api.create_token_request(name, &PostParams::default(), &request).await.unwrap();
    SecretText::new(answer.status.unwrap().token)
}

/// D10: the real API server says whose a projected token is, for exactly the audience that it was made for.
#[tokio::test]
async fn the_api_server_says_whose_a_token_is() {
    const AUDIENCE: &str = "https://auth.example.com/v1";
    let client = cluster::client().await;
    let namespace = cluster::namespace(&client).await;
    let reviews = TokenReviews::new(client.clone());
    let ours = token(&client, &namespace, "mcp", Some(AUDIENCE)).await;
    let found = reviews.review(&ours, AUDIENCE).await.unwrap().unwrap();
    assert_eq!((found.namespace.as_str(), found.name.as_str()), (namespace.as_str(), "mcp"));
    for audience in ["https://auth.example.com/admin", "https://auth.example.com", "https://kubernetes.default.svc"] {
        assert_eq!(reviews.review(&ours, audience).await.unwrap(), None, "{audience}");
    }
    let apiserver_s = token(&client, &namespace, "mcp", None).await;
    assert_eq!(reviews.review(&apiserver_s, AUDIENCE).await.unwrap(), None, "a token that pods have anyway");
    for garbage in ["x", "a.b.c"] {
        assert_eq!(reviews.review(&SecretText::new(garbage), AUDIENCE).await.unwrap(), None, "{garbage}");
    }
    let api: Api<ServiceAccount> = Api::namespaced(client, &namespace);
    api.delete("mcp", &DeleteParams::default()).await.unwrap();
    eventually("the token to end with its account", async || {
        reviews.review(&ours, AUDIENCE).await.unwrap().is_none().then_some(())
    })
    .await;
}
