//! `POST /admin/plan`: bounded, for whoever may read, and without a trace in the database.

use reqwest::header::CONTENT_TYPE;
use rstest::rstest;
use serde_json::json;

use crate::oauth::harness::{Answer, Server, answer, secret, server};

const YAML: &str = "application/yaml";

async fn plan(server: &Server, who: &str, query: &str, (media, body): (&str, String)) -> Answer {
    let request = server.http.post(format!("{}/admin/plan{query}", server.admin)).bearer_auth(secret(who));
    answer(request.header(CONTENT_TYPE, media).body(body)).await
}

fn resource_server(name: &str) -> String {
    format!(
        "apiVersion: holdfast.dev/v1alpha1\nkind: ResourceServer\nmetadata: {{name: {name}}}\n\
        spec: {{resourceURI: 'https://{name}.example.net/mcp'}}\n"
    )
}

/// K7
#[tokio::test]
async fn whoever_may_read_may_plan_and_nothing_is_written() {
    let server = server().await;
    let before = server.store.read().await.unwrap().last_sequence().await.unwrap();
    for who in ["vera", "olga", "anna"] {
        let got = plan(&server, who, "?namespace=web", (YAML, resource_server("new"))).await;
        assert_eq!((got.status, &got.json()["summary"]), (200, &json!({"create": 1})), "{got:?}");
        let owner = json!({"kind": "ResourceServer", "namespace": "web", "name": "new"});
        assert_eq!(got.json()["objects"][0]["owner"], owner);
    }
    let nothing = plan(&server, "vera", "", (YAML, "---\nkind: Deployment\napiVersion: apps/v1\n".into())).await;
    assert_eq!(nothing.json(), json!({"summary": {}, "objects": []}), "kinds of others are passed over");
    assert_eq!(server.store.read().await.unwrap().last_sequence().await.unwrap(), before);
    assert!(server.metric("holdfast_admin_operations_total{entity=\"resource\",op=\"plan\",outcome=\"success\"} 4"));
}

#[rstest]
#[case::media("", "application/json", "{}".into(), 415, "application/yaml")]
#[case::parameter("?frob=1", YAML, String::new(), 400, "unknown parameter frob")]
#[case::twice("?namespace=a&namespace=b", YAML, String::new(), 400, "unknown parameter namespace")]
#[case::namespace("?namespace=a,b", YAML, String::new(), 400, "namespace: must be one namespace")]
#[case::prune("?prune=A", YAML, String::new(), 400, "prune: must be a namespace")]
#[case::unclear("?prune=a", YAML, "kind: [".into(), 400, "prune: a document cannot be told apart")]
#[case::large("", YAML, "#".repeat((4 << 20) + 1), 413, "larger than 4096 KiB")]
#[tokio::test]
async fn what_is_no_plan_is_refused(
    #[case] query: &str,
    #[case] media: &str,
    #[case] body: String,
    #[case] status: u16,
    #[case] says: &str,
) {
    let server = server().await;
    let got = plan(&server, "vera", query, (media, body)).await;
    assert!(got.status == status && got.text.contains(says), "{} {}", got.status, got.text);
}

/// A stream of nothing but openings, anchors or aliases costs no more than a look.
#[rstest]
#[case::depth("[".repeat(100_000))]
#[case::aliases(format!("a: &a [x]\n{}", (0..20).map(|n| format!("b{n}: &b{n} [*a, *a]\n")).collect::<String>()))]
#[case::documents("---\n".repeat(50_000))]
#[tokio::test]
async fn a_stream_that_means_no_good_is_only_invalid(#[case] body: String) {
    let server = server().await;
    let got = plan(&server, "vera", "", (YAML, body)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let objects = got.json()["objects"].as_array().unwrap().clone();
    assert!(objects.len() <= 1 && objects.iter().all(|object| object["action"] == "invalid"), "{objects:?}");
}
