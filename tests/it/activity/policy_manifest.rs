//! The manifests that MCP servers publish: replaced whole, compared, and never effective.

use holdfast::domain::activity::ActivityFilter;
use holdfast::domain::audit::AuditKind;
use holdfast::domain::enforcement::Enforcement;
use holdfast::domain::{Epoch, Spec};
use rstest::rstest;
use serde_json::{Value, json};

use super::policy::{Point, billing};
use crate::oauth::harness::{Answer, BILLING, Server, Setup, answer, secret, server};
use crate::store::engine::Engine;

async fn publish(server: &Server, who: &str, id: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let request = server.http.put(format!("{}/v1/resource-servers/{id}/manifest", server.public));
    let request = request.basic_auth(who, Some(secret(who))).json(body);
    answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

/// One tool that is listed, one with another suggestion than what is effective, and one that nobody lists.
fn tools() -> Value {
    json!({"tools": [
        {"name": "list_invoices", "title": "List", "input_schema": {"type": "object"}, "suggested_scopes": ["invoices.read"]},
        {"name": "ping", "annotations": {"readOnlyHint": true}, "suggested_scopes": ["invoices.read"]},
        {"name": "drop_tables", "description": "Drops all", "suggested_access": "public"},
        {"name": "export", "suggested_scopes": ["invoices.export"]}]})
}

/// D9: published in one piece, once, by whoever acts as the resource server.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn a_manifest_is_published_whole_and_the_same_again_writes_nothing(#[case] engine: Engine) {
    let fresh = engine.fresh().await;
    let server = Setup { url: Some(fresh.url.clone()), ..Setup::default() }.start().await;
    server.put_billing(json!({})).await;
    let first = publish(&server, "rs_billing", "rs_billing", &tools(), &[]).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.json(), json!({"changed": true, "tools": 4, "unmapped": ["drop_tables", "export"]}));
    let again = publish(&server, "gateway", "rs_billing", &tools(), &[]).await;
    assert_eq!((again.status, &again.json()["changed"]), (200, &json!(false)));
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(server.audited(AuditKind::ManifestPublished).await, 1);
    let fewer = json!({"tools": [{"name": "ping"}]});
    let second = publish(&server, "gateway", "rs_billing", &fewer, &[]).await;
    assert_eq!(second.json(), json!({"changed": true, "tools": 1, "unmapped": []}));
    assert_ne!(second.header("etag"), first.header("etag"));
    let log = server.store.read().await.unwrap().activities("rs_billing", &ActivityFilter::default(), 100).await;
    let told: Vec<(&str, String)> = log
        .as_ref()
        .unwrap()
        .iter()
        .map(|record| (record.activity.event.as_str(), record.activity.payload.get("tool_name").map(Value::to_string)))
        .map(|(event, tool)| (event, tool.unwrap_or_default()))
        .collect();
    let count = |event: &str| told.iter().filter(|(found, _)| *found == event).count();
    assert_eq!((count("manifest_published"), count("tool_published"), count("tool_withdrawn")), (2, 4, 3), "{told:?}");
    assert!(!told.contains(&("tool_withdrawn", "\"ping\"".to_owned())), "it was published before and after");
    let records =
        server.store.read().await.unwrap().audit_events(Some(AuditKind::ManifestPublished), 10).await.unwrap();
    let by: Vec<&str> = records.iter().map(|record| record.who.as_str()).collect();
    assert_eq!(by, ["client:gateway", "client:rs_billing"]);
    assert_eq!(
        (records[0].resource.as_deref(), &records[0].detail),
        (Some("rs_billing"), &json!({"tools": 1, "unmapped": 0}))
    );
    assert!(server.metric("holdfast_manifests_published_total{outcome=\"success\"} 2"));
    assert!(server.metric("holdfast_manifests_published_total{outcome=\"unchanged\"} 1"));
}

/// Two who publish at the same time do not undo each other's work unawares.
#[tokio::test]
async fn publishers_do_not_overwrite_each_other() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let one = |name: &str| json!({"tools": [{"name": name}]});
    let unpublished = publish(&server, "gateway", "rs_billing", &one("a"), &[("if-match", "*")]).await;
    assert_eq!((unpublished.status, unpublished.error().as_str()), (412, "conflict"));
    let first = publish(&server, "gateway", "rs_billing", &one("a"), &[("if-none-match", "*")]).await;
    assert_eq!(first.status, 200);
    assert_eq!(publish(&server, "gateway", "rs_billing", &one("b"), &[("if-none-match", "*")]).await.status, 412);
    let tag = first.header("etag").to_owned();
    assert_eq!(publish(&server, "gateway", "rs_billing", &one("b"), &[("if-match", &tag)]).await.status, 200);
    let late = publish(&server, "gateway", "rs_billing", &one("c"), &[("if-match", &tag)]).await;
    assert_eq!((late.status, late.error().as_str()), (412, "conflict"));
    assert!(server.metric("holdfast_manifests_published_total{outcome=\"denied\"} 3"));
    assert_eq!(server.audited(AuditKind::ManifestRefused).await, 3);
}

/// Whatever is wrong is named with its place, and a refused attempt is recorded.
#[rstest]
#[case::not_json(json!("tools"), "invalid type")]
#[case::unknown_member(json!({"tools": [], "version": 1}), "unknown field version")]
#[case::unknown_in_a_tool(json!({"tools": [{"name": "a", "scopes": ["x"]}]}), "unknown field scopes")]
#[case::name(json!({"tools": [{"name": "a b"}]}), "tools[0].name: 1 to 128 letters")]
#[case::twice(json!({"tools": [{"name": "a"}, {"name": "a"}]}), "tools[1].name: another tool has this name")]
#[case::access(json!({"tools": [{"name": "a", "suggested_access": "open"}]}), "unknown variant open")]
#[tokio::test]
async fn a_bad_manifest_is_refused_by_name(#[case] body: Value, #[case] problem: &str) {
    let server = server().await;
    let refused = publish(&server, "rs_billing", "rs_billing", &body, &[]).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_request"));
    assert!(refused.text.contains(problem), "{}", refused.text);
    assert_eq!(
        (server.audited(AuditKind::ManifestRefused).await, server.audited(AuditKind::ManifestPublished).await),
        (1, 0)
    );
    assert!(server.metric("holdfast_manifests_published_total{outcome=\"invalid\"} 1"));
}

#[tokio::test]
async fn a_manifest_has_one_form_one_size_and_a_sender() {
    let server = server().await;
    let large = json!({"tools": [{"name": "a", "input_schema": {"x": "y".repeat(1024 * 1024)}}]});
    assert_eq!(publish(&server, "rs_billing", "rs_billing", &large, &[]).await.status, 413);
    let request = server.http.put(format!("{}/v1/resource-servers/rs_billing/manifest", server.public));
    let text = answer(request.basic_auth("rs_billing", Some(secret("rs_billing"))).body("{\"tools\": []}")).await;
    assert_eq!(text.status, 415);
    let mut seen = Vec::new();
    for (who, id, status) in
        [("rs_eddsa", "rs_billing", 403), ("rs_eddsa", "rs_unknown", 403), ("reporter", "rs_billing", 403)]
    {
        let denied = publish(&server, who, id, &tools(), &[]).await;
        assert_eq!(denied.status, status, "{denied:?}");
        seen.push(denied.text);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(server.audited(AuditKind::AuthorizationDenied).await, 3);
    assert!(server.metric("holdfast_manifests_published_total{outcome=\"denied\"} 3"));
}

/// D9, D8: a suggestion changes nothing that counts: not the policy, not its version, not who may call, not whether it is
/// live.
#[tokio::test]
async fn a_suggestion_is_never_effective() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let token = server.token("reporter", BILLING).await;
    let mut point = Point::new(&server, "pod-0");
    assert_eq!(point.refresh().await, 200);
    for _ in 0..2 {
        assert_eq!(publish(&server, "rs_billing", "rs_billing", &tools(), &[]).await.status, 200);
        assert_eq!(point.refresh().await, 304, "the policy is what it was");
        assert_eq!(point.call("drop_tables", &token).await, 403, "suggested as public, listed by nobody");
        assert_eq!(point.call("ping", &token).await, 200, "suggested as scoped, listed as public");
    }
    let Spec::ResourceServer(policy) = billing(json!({})) else { unreachable!() };
    let version = server.activity.policy("rs_billing").unwrap().tag.version;
    let standing = server.activity.standing("rs_billing", &policy, version).await.unwrap();
    assert_eq!((standing.unmapped, standing.suggested), (2, 3));
    // one that is taken away unmaps nothing
    publish(&server, "rs_billing", "rs_billing", &json!({"tools": []}), &[]).await;
    let standing = server.activity.standing("rs_billing", &policy, version).await.unwrap();
    assert_eq!((standing.unmapped, standing.suggested), (0, 0));
    assert_eq!(point.call("list_invoices", &token).await, 200);
    assert_eq!(server.activity.survey(Epoch(0)).await.unwrap().len(), 6);
}

/// D9: an administrator sees both sides, and what to paste.
#[tokio::test]
async fn an_administrator_sees_what_is_published_beside_what_is_effective() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let get = |who: &'static str, id: &'static str| {
        let url = format!("{}/admin/resource-servers/{id}/manifest", server.admin);
        answer(server.http.get(url).bearer_auth(secret(who)))
    };
    let before = get("vera", "rs_billing").await;
    assert_eq!((before.status, &before.json()["manifest"]), (200, &Value::Null));
    publish(&server, "gateway", "rs_billing", &tools(), &[]).await;
    let seen = get("vera", "rs_billing").await.json();
    assert_eq!(
        (&seen["manifest"]["published_by"], seen["manifest"]["tools"].as_array().unwrap().len()),
        (&json!("client:gateway"), 4)
    );
    let states: Vec<(&str, &str, bool)> = seen["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| (tool["name"].as_str().unwrap(), tool["state"].as_str().unwrap(), tool["published"] == true))
        .collect();
    let expected = [
        ("drop_tables", "unmapped", true),
        ("export", "unmapped", true),
        ("list_invoices", "mapped", true),
        ("ping", "public", true),
        ("settle", "mapped", false),
    ];
    assert_eq!(states, expected);
    assert_eq!(seen["unknown_scopes"], json!(["invoices.export"]));
    let pasted: Vec<&Value> =
        seen["suggested_spec_tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(pasted, ["drop_tables", "export", "list_invoices", "ping", "settle"]);
    let listed = seen["suggested_spec_tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "ping").unwrap();
    assert_eq!(
        listed,
        &json!({"name": "ping", "access": "Public", "scopes": [], "match": "Any"}),
        "what is listed stays"
    );
    assert_eq!(get("vera", "rs_unknown").await.status, 404);
    let url = format!("{}/admin/resource-servers/rs_billing/manifest", server.admin);
    assert_eq!(answer(server.http.get(url)).await.status, 401);
}
