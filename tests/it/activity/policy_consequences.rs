//! What a change of policy means for tokens, calls, users and old secrets (D6, D7): proved by an enforcement point that
//! knows only the policy endpoint and introspection.

use holdfast::domain::credential::{Credential, CredentialState};
use holdfast::domain::policy::Policy;
use holdfast::domain::{Actor, Kind};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::policy::{Point, path, soon};
use crate::oauth::authorize::stage::{BOB, FILES, Stage, asks_consent, code, files, request};
use crate::oauth::harness::{BILLING, Server, answer, credential, now, secret, server};

fn scope(name: &str) -> Value {
    json!({"name": name, "description": "", "risk": "Low", "upstream": ""})
}

/// D6
#[tokio::test]
async fn a_deleted_scope_stays_in_issued_tokens_and_leaves_new_ones() {
    let server = server().await;
    let tools = json!([{"name": "pay", "access": "Scoped", "scopes": ["invoices.write"], "match": "Any"}]);
    server.put_billing(json!({"tools": tools})).await;
    let old = server.token("reporter", BILLING).await;
    let mut point = Point::new(&server, "pod-0");
    point.refresh().await;
    assert_eq!(point.call("pay", &old).await, 200);
    let left = json!([scope("invoices.read"), scope("invoices.void")]);
    server.put_billing(json!({"tools": tools, "scopes": left})).await;
    let new = server.token("reporter", BILLING).await;
    let scopes = async |token: &str| server.introspect("rs_billing", token).await["scope"].clone();
    assert_eq!(
        (scopes(&old).await, scopes(&new).await),
        (json!("invoices.read invoices.write"), json!("invoices.read"))
    );
    point.refresh().await;
    assert_eq!((point.call("pay", &old).await, point.call("pay", &new).await), (200, 403));
    // the mapping goes, too: nobody gets through any more, whatever the token carries
    server.put_billing(json!({"tools": [], "scopes": left})).await;
    assert_eq!(point.call("pay", &old).await, 200, "until it asks again");
    point.refresh().await;
    assert_eq!((point.call("pay", &old).await, point.call("pay", &new).await), (403, 403));
    assert!(server.is_active(&old).await, "the token itself is as good as it was");
}

/// D6, D8: a tool that nobody lists any more fails closed, alone.
#[tokio::test]
async fn an_unmapped_tool_is_denied_to_all_after_the_next_refresh() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let token = server.token("reporter", BILLING).await;
    let (mut quick, slow) = {
        let mut points = (Point::new(&server, "quick"), Point::new(&server, "slow"));
        points.0.refresh().await;
        points.1.refresh().await;
        points
    };
    let ping = json!([{"name": "ping", "access": "Public", "scopes": [], "match": "Any"}]);
    server.put_billing(json!({"tools": ping})).await;
    quick.refresh().await;
    assert_eq!((quick.call("list_invoices", &token).await, slow.call("list_invoices", &token).await), (403, 200));
    assert_eq!(
        (quick.call("ping", &token).await, quick.held.as_ref().unwrap().1["state"].as_str()),
        (200, Some("ready"))
    );
    let again = json!([{"name": "list_invoices", "access": "Scoped", "scopes": ["invoices.read"], "match": "Any"}]);
    server.put_billing(json!({"tools": again})).await;
    quick.refresh().await;
    assert_eq!((quick.call("list_invoices", &token).await, quick.call("ping", &token).await), (200, 403));
}

/// Changes what people have access to, and waits until memory has it.
async fn put_files(stage: &Stage, change: Value) {
    let revision = || stage.server.store.snapshot().resource_server("rs_files").unwrap().revision;
    let before = revision();
    stage.server.put("rs_files", &files(change)).await;
    soon("the change", async || (revision() > before).then_some(())).await;
}

/// What Bob's browser gets when the app asks for everything: the scopes that he is issued, or why not.
async fn asks(stage: &Stage, email: &str) -> Result<String, u16> {
    let browser = stage.signed_in(email).await;
    let mut page = browser.open(&request("app", &[("scope", "")])).await;
    if asks_consent(&page) {
        page = browser.decide(&page, "allow").await;
    }
    if page.returned("code").is_none() {
        assert!(page.html.contains("You have no access"), "{}", page.html);
        return Err(page.status);
    }
    let token = stage.redeem("app", &code(&page), &[("redirect_uri", "https://app.example.com/cb")]).await.json();
    Ok(token["scope"].as_str().unwrap().to_owned())
}

/// D6: without a default role a new user gets nothing; whoever has it, or is bound, keeps it.
#[tokio::test]
async fn a_default_role_that_is_taken_away_stays_with_who_has_it() {
    let stage = Stage::set().await;
    let binding = json!([{"name": "team", "role": "writer", "subjects": [{"kind": "User", "name": stage.ada}]}]);
    assert_eq!(asks(&stage, BOB).await.unwrap(), "files.read");
    put_files(&stage, json!({"defaultRole": null, "roleBindings": binding})).await;
    assert_eq!(asks(&stage, BOB).await.unwrap(), "files.read", "given before");
    assert_eq!(asks(&stage, "ada@example.com").await.unwrap(), "files.read files.write", "bound by policy");
    crate::oauth::authorize::stage::person(&stage.server, "eve@example.com").await;
    assert_eq!(asks(&stage, "eve@example.com").await.unwrap_err(), 403);
}

/// D6: another default role is for those who come from now on.
#[tokio::test]
async fn another_default_role_is_for_new_users() {
    let stage = Stage::set().await;
    assert_eq!(asks(&stage, BOB).await.unwrap(), "files.read");
    put_files(&stage, json!({"defaultRole": "writer"})).await;
    assert_eq!(asks(&stage, BOB).await.unwrap(), "files.read");
    crate::oauth::authorize::stage::person(&stage.server, "eve@example.com").await;
    assert_eq!(asks(&stage, "eve@example.com").await.unwrap(), "files.read files.write");
    assert_eq!(stage.server.store.snapshot().resource_server_by_uri(FILES).unwrap().id, "rs_files");
}

/// What somebody with this secret is answered: introspection, policy.
async fn opens(server: &Server, value: &str, token: &str) -> (u16, u16) {
    let introspect = server.http.post(format!("{}/oauth/introspect", server.public)).form(&[("token", token)]);
    let policy = server.http.get(format!("{}{}", server.public, path("rs_billing")));
    let both = [introspect, policy].map(|request| request.basic_auth("rs_billing", Some(value)));
    let [introspect, policy] = both;
    (answer(introspect).await.status, answer(policy).await.status)
}

/// D7: two secrets open both doors while the old one lives; each use is noted; then only the new one does.
#[tokio::test]
async fn a_rotated_introspection_secret_overlaps() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let token = server.token("reporter", BILLING).await;
    let (old, new) = (secret("rs_billing"), "the-next-secret-0123456789_0123456789".to_owned());
    let end = now() + SignedDuration::from_secs(7200);
    let retiring =
        Credential { state: CredentialState::Retiring, retire_at: Some(end), ..credential("cred-rs_billing", &old) };
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    tx.put_credential("rs_billing", &retiring).await.unwrap();
    tx.put_credential("rs_billing", &credential("cred-next", &new)).await.unwrap();
    tx.commit().await.unwrap();
    for value in [&old, &new] {
        assert_eq!(opens(&server, value, &token).await, (200, 200));
    }
    let used = async || {
        let entity =
            server.store.read().await.unwrap().entity(Kind::ResourceServer, "rs_billing").await.unwrap().unwrap();
        let stamps: Vec<_> = entity.credentials.iter().map(|c| (c.id.clone(), c.last_used_at)).collect();
        stamps.iter().all(|(_, at)| at.is_some()).then_some(stamps)
    };
    let stamps = soon("both to be stamped", used).await;
    assert_eq!(stamps.len(), 2);
    server.clock.advance(7199);
    assert_eq!(opens(&server, &old, &token).await, (200, 200));
    let later = soon("the later use", async || {
        let found = used().await?;
        let at =
            |stamps: &[(String, Option<jiff::Timestamp>)]| stamps.iter().find(|(id, _)| id == "cred-rs_billing")?.1;
        (at(&found) > at(&stamps)).then_some(())
    });
    later.await;
    server.clock.advance(1);
    assert_eq!(opens(&server, &old, &token).await, (401, 401));
    assert_eq!(opens(&server, &new, &token).await, (200, 200));
}
