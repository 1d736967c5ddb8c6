//! The policy endpoint: who is told, what, and when it is told again. And an enforcement point that knows nothing else.

use std::time::Duration;

use holdfast::domain::Actor;
use rstest::rstest;
use serde_json::{Value, json};

use crate::oauth::harness::{Answer, BILLING, Server, Setup, answer, client, now, resource_server, secret, server};

/// The path of a policy.
pub fn path(id: &str) -> String {
    format!("/v1/resource-servers/{id}/policy")
}

/// The billing resource with two tools that need scopes and one that does not.
pub fn billing(change: Value) -> holdfast::domain::Spec {
    let mut value = json!({
        "runtimeClients": ["gateway"],
        "tools": [
            {"name": "list_invoices", "access": "Scoped", "scopes": ["invoices.read"], "match": "Any"},
            {"name": "ping", "access": "Public", "scopes": [], "match": "Any"},
            {"name": "settle", "access": "Scoped", "scopes": ["invoices.void", "invoices.write"], "match": "All"}],
    });
    value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    resource_server(BILLING, value)
}

impl Server {
    /// Changes the billing resource and waits until memory has it.
    pub async fn put_billing(&self, change: Value) {
        let before = self.activity.policy("rs_billing").map(|made| made.tag.clone());
        let mut tx = self.store.write(&Actor::controller()).await.unwrap();
        let owner = "ResourceServer/billing/billing".parse().unwrap();
        tx.put("rs_billing", &billing(change), Some(&owner), now()).await.unwrap();
        tx.commit().await.unwrap();
        soon("another policy", async || {
            (self.activity.policy("rs_billing").map(|made| made.tag.clone()) != before).then_some(())
        })
        .await;
    }

    /// What this principal is told with these headers.
    pub async fn policy_of(&self, who: &str, id: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.http.get(format!("{}{}{query}", self.public, path(id))).basic_auth(who, Some(secret(who)));
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }
}

/// Asks again until there is an answer.
pub async fn soon<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An enforcement point that obeys the policy endpoint and introspection, and knows nothing else.
pub struct Point<'a> {
    server: &'a Server,
    name: &'static str,
    /// Entity tag and policy, as given last.
    pub held: Option<(String, Value)>,
}

impl<'a> Point<'a> {
    pub fn new(server: &'a Server, name: &'static str) -> Self {
        Self { server, name, held: None }
    }

    /// Asks for the policy once, saying which it runs.
    pub async fn refresh(&mut self) -> u16 {
        let mut headers = vec![("holdfast-enforcement-point", self.name)];
        let held = self.held.as_ref().map(|(tag, _)| tag.clone());
        headers.extend(held.as_deref().map(|tag| ("if-none-match", tag)));
        let answer = self.server.policy_of("rs_billing", "rs_billing", "", &headers).await;
        if answer.status == 200 {
            self.held = Some((answer.header("etag").to_owned(), answer.json()));
        }
        answer.status
    }

    /// What becomes of a call with this token: 200, 401, 403.
    pub async fn call(&self, tool: &str, token: &str) -> u16 {
        let seen = self.server.introspect("rs_billing", token).await;
        if seen["active"] != true {
            return 401;
        }
        let scopes: Vec<&str> = seen["scope"].as_str().unwrap().split(' ').collect();
        let Some((_, policy)) = &self.held else { return 403 };
        if policy["policy_complete"] != true {
            return 403;
        }
        let Some(tool) = policy["tools"].as_array().unwrap().iter().find(|listed| listed["name"] == tool) else {
            return 403;
        };
        let needed: Vec<&str> = tool["scopes"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        let allowed = match (tool["access"].as_str().unwrap(), tool["match"].as_str().unwrap()) {
            ("public", _) => true,
            ("scoped", "any") => needed.iter().any(|scope| scopes.contains(scope)),
            ("scoped", "all") => !needed.is_empty() && needed.iter().all(|scope| scopes.contains(scope)),
            other => panic!("{other:?}"),
        };
        if allowed { 200 } else { 403 }
    }
}

/// D10: its own credential and its runtime clients get the same whole policy.
#[tokio::test]
async fn whoever_acts_as_the_resource_server_is_told_its_policy() {
    let server = server().await;
    server.put_billing(json!({})).await;
    for who in ["rs_billing", "gateway"] {
        let told = server.policy_of(who, "rs_billing", "", &[]).await;
        assert_eq!((told.status, told.header("content-type")), (200, "application/json"), "{told:?}");
        assert_eq!(told.header("cache-control"), "private, max-age=300");
        let version = told.json()["policy_version"].as_i64().unwrap();
        assert!(told.header("etag").starts_with(&format!("\"{version}-")), "{}", told.header("etag"));
        let scope = |name: &str, risk: &str, text: &str| json!({"name": name, "risk": risk, "description": text});
        let expected = json!({
            "resource_server_id": "rs_billing", "resource_uri": BILLING, "state": "ready", "policy_complete": true,
            "policy_version": version, "ttl_seconds": 300, "default": "deny",
            "scopes": [
                scope("invoices.read", "Low", "Read"), scope("invoices.void", "High", "Void"),
                scope("invoices.write", "High", "Write")],
            "tools": [
                {"name": "list_invoices", "access": "scoped", "scopes": ["invoices.read"], "match": "any"},
                {"name": "ping", "access": "public", "scopes": [], "match": "any"},
                {"name": "settle", "access": "scoped", "scopes": ["invoices.void", "invoices.write"], "match": "all"}],
            "roles": [{"name": "all", "scopes": ["invoices.read", "invoices.write", "invoices.void"]}],
            "metadata": "https://auth.example.com/.well-known/oauth-protected-resource/billing/billing",
        });
        assert_eq!(told.json(), expected);
    }
    assert!(server.metric("holdfast_policy_refreshes_total{outcome=\"success\"} 2"));
}

/// D10: no credentials, and those of anybody else: an answer that tells nothing, whatever is asked for.
#[rstest]
#[case::another_resource_server("rs_eddsa", 403, "access_denied")]
#[case::a_client_that_is_no_runtime("reporter", 403, "access_denied")]
#[case::an_unknown_client("nobody", 401, "invalid_client")]
#[case::an_unknown_resource_server("rs_nobody", 401, "invalid_client")]
#[case::a_public_client("public", 401, "invalid_client")]
#[case::another_method("poster", 401, "invalid_client")]
#[tokio::test]
async fn nobody_else_is_told_anything(#[case] who: &str, #[case] status: u16, #[case] error: &str) {
    let server = server().await;
    let mut seen = Vec::new();
    for id in ["rs_billing", "rs_draft", "rs_unknown", "reporter", "..%2f"] {
        let told = server.policy_of(who, id, "?wait=1", &[("if-none-match", "*")]).await;
        assert_eq!((told.status, told.error().as_str()), (status, error), "{id} {told:?}");
        assert_eq!(told.header("cache-control"), "no-store");
        let names: Vec<String> = told.headers.keys().map(|name| name.to_string()).collect();
        seen.push((told.text, names));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    assert!(server.metric("holdfast_policy_refreshes_total{outcome=\"denied\"} 5"));
}

#[tokio::test]
async fn credentials_have_one_form() {
    let server = server().await;
    let get = |headers: &[&str]| {
        let request = server.http.get(format!("{}{}", server.public, path("rs_billing")));
        answer(headers.iter().fold(request, |request, value| request.header("authorization", *value)))
    };
    let none = get(&[]).await;
    assert_eq!((none.status, none.error().as_str()), (401, "invalid_client"));
    let challenges: Vec<_> = none.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Basic realm=\"holdfast\"", "Bearer realm=\"holdfast\""]);
    let basic = "Basic cnNfYmlsbGluZzp4";
    assert_eq!(get(&[basic, basic]).await.status, 400);
    // without a cluster nobody knows whose it is, and the answer says so
    let token = get(&["Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln"]).await;
    assert_eq!((token.status, token.error().as_str()), (401, "invalid_client"));
    assert!(token.text.contains("need a server that runs in a cluster"), "{}", token.text);
    let odd = answer(server.http.post(format!("{}{}", server.public, path("rs_billing")))).await;
    assert_eq!((odd.status, odd.header("allow")), (405, "GET,HEAD"));
}

/// A suspended client acts as nobody.
#[tokio::test]
async fn a_suspended_runtime_client_is_shut_out() {
    let server = server().await;
    assert_eq!(server.policy_of("gateway", "rs_billing", "", &[]).await.status, 200);
    server.put("gateway", &client(json!({"state": "Suspended", "resources": []}))).await;
    soon("the suspension", async || {
        (server.policy_of("gateway", "rs_billing", "", &[]).await.status == 403).then_some(())
    })
    .await;
}

/// D10: what is held is not sent again; a tag that the same version once had with another text is none.
#[tokio::test]
async fn a_policy_that_is_held_is_not_sent_again() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let told = server.policy_of("rs_billing", "rs_billing", "", &[]).await;
    let tag = told.header("etag").to_owned();
    for held in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = server.policy_of("rs_billing", "rs_billing", "", &[("if-none-match", &held)]).await;
        assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", tag.as_str()), "{held}");
        assert_eq!(again.header("cache-control"), "private, max-age=300");
    }
    assert!(server.metric("holdfast_policy_refreshes_total{outcome=\"unchanged\"} 4"));
    let version = tag.trim_matches('"').split('-').next().unwrap();
    let restored = format!("\"{version}-AAAAAAAAAAAAAAAA\"");
    let again = server.policy_of("rs_billing", "rs_billing", "", &[("if-none-match", &restored)]).await;
    assert_eq!(again.status, 200, "the same number, another policy");
}

/// D10: whatever goes into the policy moves its tag, and its version only forwards.
#[tokio::test]
async fn every_input_moves_the_version() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let scope =
        |name: &str, risk: &str, text: &str| json!({"name": name, "description": text, "risk": risk, "upstream": ""});
    let three = |risk: &str, text: &str| {
        json!([
            scope("invoices.read", risk, text),
            scope("invoices.write", "High", "Write"),
            scope("invoices.void", "High", "Void")
        ])
    };
    let tool = |access: &str, scopes: Value, matching: &str| json!([{"name": "list_invoices", "access": access, "scopes": scopes, "match": matching}]);
    let changes = [
        ("risk", json!({"scopes": three("Medium", "Read")})),
        ("description", json!({"scopes": three("Low", "See")})),
        ("catalogue", json!({"scopes": [scope("invoices.read", "Low", "Read")]})),
        ("fewer tools", json!({"tools": []})),
        ("public", json!({"tools": tool("Public", json!([]), "Any")})),
        ("other scope", json!({"tools": tool("Scoped", json!(["invoices.write"]), "Any")})),
        ("match", json!({"tools": tool("Scoped", json!(["invoices.write"]), "All")})),
        ("roles", json!({"roles": [{"name": "all", "scopes": []}]})),
        ("draft", json!({"lifecycle": "Draft"})),
        ("ready again", json!({})),
    ];
    let mut before = server.activity.policy("rs_billing").unwrap();
    for (what, change) in changes {
        server.put_billing(change).await;
        let now = server.activity.policy("rs_billing").unwrap();
        assert!(now.tag.version > before.tag.version, "{what}: {} after {}", now.tag, before.tag);
        assert_ne!(now.tag.hash, before.tag.hash, "{what}");
        before = now;
    }
}

/// D8: a draft and one that needs setup deny everything, also to who looks at the tools alone.
#[rstest]
#[case("Draft", "draft")]
#[case("NeedsSetup", "needs_setup")]
#[tokio::test]
async fn what_is_not_ready_denies_every_call(#[case] lifecycle: &str, #[case] state: &str) {
    let server = server().await;
    server.put_billing(json!({})).await;
    let token = server.token("reporter", BILLING).await;
    let mut point = Point::new(&server, "pod-0");
    point.refresh().await;
    assert_eq!((point.call("ping", &token).await, point.call("list_invoices", &token).await), (200, 200));
    server.put_billing(json!({"lifecycle": lifecycle})).await;
    assert_eq!(point.refresh().await, 200);
    let (_, policy) = point.held.as_ref().unwrap();
    assert_eq!((&policy["state"], &policy["policy_complete"]), (&json!(state), &json!(false)));
    assert_eq!((&policy["tools"], &policy["ttl_seconds"]), (&json!([]), &json!(60)));
    assert_eq!((point.call("ping", &token).await, point.call("list_invoices", &token).await), (403, 403));
    // issuing stops, what was issued lives on
    assert!(server.is_active(&token).await);
    let named = [("grant_type", "client_credentials"), ("resource", BILLING)];
    assert_eq!(server.post_as("reporter", "/oauth/token", &named).await.error(), "invalid_target");
    server.put_billing(json!({})).await;
    point.refresh().await;
    assert_eq!(point.call("list_invoices", &token).await, 200);
}

/// D8: the admin API launches only what can go, and names everything that keeps it from it.
#[tokio::test]
async fn a_launch_by_the_admin_api_passes_the_same_gate() {
    let server = server().await;
    let tools = json!([{"name": "a", "access": "Scoped", "scopes": [], "match": "Any"}]);
    let bare = json!({"lifecycle": "Draft", "scopes": [], "tools": tools, "defaultRole": "nobody"});
    server.put("rs_loose", &resource_server("https://loose.example.com/mcp", bare)).await;
    let patch = |body: Value| {
        let url = format!("{}/admin/resource-servers/rs_loose", server.admin);
        answer(server.http.patch(url).bearer_auth(secret("anna")).json(&body))
    };
    let refused = patch(json!({"lifecycle": "Live"})).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let text = refused.json()["error_description"].as_str().unwrap().to_owned();
    for failure in
        ["spec.scopes is empty", "tool a is Scoped and names no scope", "default role nobody is not in spec.roles"]
    {
        assert!(text.contains(failure), "{failure}: {text}");
    }
    let scopes = json!([{"name": "x", "description": "", "risk": "Low", "upstream": ""}]);
    let tools = json!([{"name": "a", "access": "Scoped", "scopes": ["x"], "match": "Any"}]);
    let whole = json!({"scopes": scopes, "tools": tools, "defaultRole": "all", "lifecycle": "Live", "roles": [{"name": "all", "scopes": ["x"]}]});
    let launched = patch(whole).await;
    assert_eq!(launched.status, 200, "{launched:?}");
}

/// S21: all enforcement points of one resource server share its budget, which is nobody else's.
#[tokio::test]
async fn a_resource_server_has_a_budget() {
    let limits = holdfast::oauth::ClientLimits { policy: 2, ..Default::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    for status in [200, 200, 429] {
        assert_eq!(server.policy_of("rs_billing", "rs_billing", "", &[]).await.status, status);
    }
    assert_eq!(server.policy_of("gateway", "rs_billing", "", &[]).await.status, 200);
    assert!(server.metric("holdfast_rate_limit_exceeded_total{endpoint=\"policy\"} 1"));
}
