//! The same through the real program: from a folder of policy, and in a cluster.

use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use super::policy::soon;
use crate::controller::enforcement::token;
use crate::support::cluster;
use crate::support::server::{Home, Server};

const POLICY: &str = "
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: billing-mcp, namespace: default}
spec:
  resourceURI: https://billing.example.com/mcp
  lifecycle: Live
  scopes: [{name: invoices.read}, {name: invoices.write}]
  tools:
  - {name: list_invoices, access: Scoped, scopes: [invoices.read]}
  introspection: {secret: {name: billing-mcp-introspection}}
";

/// What is asked with the introspection credential.
struct Runtime {
    id: String,
    secret: String,
}

impl Runtime {
    fn of(home: &Home) -> Self {
        let key = |key| home.secret("billing-mcp-introspection", key);
        Self { id: key("client_id"), secret: key("client_secret") }
    }

    fn policy(&self, server: &Server, query: &str) -> RequestBuilder {
        let url = server.public(&format!("/v1/resource-servers/{}/policy{query}", self.id));
        server.client().get(url).basic_auth(&self.id, Some(&self.secret))
    }
}

fn etag(response: &Response) -> String {
    response.headers()["etag"].to_str().unwrap().to_owned()
}

/// D9, D10: policy, manifest, report and gauges; a changed file wakes who waits; a stream ends with the server, at once.
#[tokio::test]
async fn a_folder_s_policy_reaches_its_enforcement_points() {
    let home = Home::with_policy(&[("resourceserver.yaml", POLICY)]);
    let mut server = home.start().await;
    server.event("secret_generated", |_| true).await;
    let runtime = Runtime::of(&home);
    let told = soon("the policy", async || {
        let told = runtime.policy(&server, "").send().await.unwrap();
        (told.status() == 200).then_some(told)
    })
    .await;
    let mut held = etag(&told);
    let policy: Value = told.json().await.unwrap();
    assert_eq!((&policy["state"], &policy["tools"][0]["name"]), (&json!("ready"), &json!("list_invoices")));

    let metrics = async |line: &str| {
        let text = server.client().get(server.admin("/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines().any(|found| found == line).then_some(())
    };
    let current = "holdfast_enforcement_points{resource_server=\"default/billing-mcp\",state=\"current\"} 1";
    soon("the gauge", async || {
        let asked = runtime.policy(&server, "").header("if-none-match", &held);
        let answer = asked.header("holdfast-enforcement-point", "pod-0").send().await.unwrap();
        // its first secret still moves the version for a moment
        if answer.status() == 200 {
            held = etag(&answer);
        }
        metrics(current).await
    })
    .await;

    let wait =
        runtime.policy(&server, "?wait=55").header("if-none-match", &held).timeout(Duration::from_secs(60)).send();
    let change = async {
        let ping = "  - {name: ping, access: Public}\n  introspection:";
        home.write("resourceserver.yaml", &POLICY.replace("  introspection:", ping));
    };
    let (woken, ()) = tokio::join!(wait, change);
    let woken = woken.unwrap();
    assert_eq!(woken.status(), 200);
    assert_ne!(etag(&woken), held);
    assert_eq!(woken.json::<Value>().await.unwrap()["tools"].as_array().unwrap().len(), 2);
    let lagging = "holdfast_enforcement_points{resource_server=\"default/billing-mcp\",state=\"lagging\"} 1";
    soon("the lag", async || metrics(lagging).await).await;

    let url = server.public(&format!("/v1/resource-servers/{}/manifest", runtime.id));
    let manifest = json!({"tools": [{"name": "ping"}, {"name": "drop_tables", "suggested_access": "public"}]});
    let put = server.client().put(url).basic_auth(&runtime.id, Some(&runtime.secret)).json(&manifest);
    let published: Value = put.send().await.unwrap().json().await.unwrap();
    assert_eq!(published, json!({"changed": true, "tools": 2, "unmapped": ["drop_tables"]}));
    server.event("manifest_published", |line| line["unmapped"] == 1).await;
    let key = home.api_key("vera", "viewer");
    let url = server.admin(&format!("/admin/resource-servers/{}/manifest", runtime.id));
    let seen: Value = server.client().get(url).bearer_auth(key).send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["tools"][0]["state"], "unmapped");

    let stream = runtime.policy(&server, "").header("accept", "text/event-stream").timeout(Duration::from_secs(60));
    let mut stream = stream.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    server.signal("TERM");
    assert!(stream.chunk().await.unwrap().is_none(), "the stream ends whole");
    assert!(server.ended().await.success());
    assert!(server.events("cut_off").is_empty(), "{}", server.log());
}

/// D10: in a cluster a workload needs no secret: the projected token of a ServiceAccount that policy names, for this
/// audience and no other.
#[tokio::test]
async fn a_service_account_of_a_cluster_reads_its_policy() {
    let client = cluster::client().await;
    cluster::install_crds(&client).await;
    let namespace = cluster::namespace(&client).await;
    let mut home = Home::new();
    home.set("KUBECONFIG", &cluster::kubeconfig());
    home.set("HOLDFAST_OPERATOR__ENABLED", "true");
    home.set("HOLDFAST_OPERATOR__NAMESPACE", &namespace);
    home.set("HOLDFAST_OPERATOR__NAMESPACES", &format!("[\"{namespace}\"]"));
    let server = home.start().await;
    let kind = GroupVersionKind::gvk("holdfast.dev", "v1alpha1", "ResourceServer");
    let resource = ApiResource::from_gvk_with_plural(&kind, "resourceservers");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "ResourceServer", "metadata": {"name": "mcp"},
        "spec": {
            "resourceURI": "https://workload.example.com/mcp", "lifecycle": "Live", "scopes": [{"name": "a"}],
            "tools": [{"name": "ping", "access": "Public"}], "runtime": {"serviceAccountRefs": [{"name": "mcp"}]}}
    });
    api.patch("mcp", &PatchParams::apply("kubectl").force(), &Patch::Apply(object)).await.unwrap();
    let id = soon("the object to be ready", async || {
        let object = api.get("mcp").await.unwrap();
        object.data["status"]["resourceServerID"].as_str().map(str::to_owned)
    })
    .await;
    let issuer = format!("http://localhost:{}", home.public);
    let get = async |token: &str, held: Option<&str>| {
        let request =
            server.client().get(server.public(&format!("/v1/resource-servers/{id}/policy"))).bearer_auth(token);
        let request = request.header("holdfast-enforcement-point", "mcp-0");
        held.iter().fold(request, |request, tag| request.header("if-none-match", *tag)).send().await.unwrap()
    };
    let own = token(&client, &namespace, "mcp", Some(&format!("{issuer}/v1"))).await;
    let told = soon("the policy", async || {
        let told = get(own.expose(), None).await;
        (told.status() == 200).then_some(told)
    })
    .await;
    let held = etag(&told);
    assert_eq!(told.json::<Value>().await.unwrap()["tools"][0]["name"], "ping");
    let others = [
        token(&client, &namespace, "mcp", None).await,
        token(&client, &namespace, "mcp", Some(&issuer)).await,
        token(&client, &namespace, "mcp", Some(&format!("{issuer}/admin"))).await,
        token(&client, &namespace, "another", Some(&format!("{issuer}/v1"))).await,
    ];
    for other in &others {
        assert_eq!(get(other.expose(), None).await.status(), 401);
    }
    assert_eq!(get(own.expose(), Some(&held)).await.status(), 304);
    let synced = soon("the condition", async || {
        let object = api.get("mcp").await.unwrap();
        let conditions = object.data["status"]["conditions"].as_array().unwrap().clone();
        conditions.into_iter().find(|c| c["type"] == "PolicySynced" && c["status"] == "True")
    })
    .await;
    assert_eq!(synced["reason"], "Synced");
}
