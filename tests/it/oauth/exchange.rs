//! Token exchange (RFC 8693) between resources of this server.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::domain::audit::AuditKind;
use holdfast::domain::{Actor, Spec};
use serde_json::{Value, json};

use super::harness::{
    Answer, BILLING, ISSUER, Server, Setup, client, credential, now, resource_server, secret, server,
};
use super::person::{USER, text};
use super::prover::{Prover, token_with};
use crate::store::engine;
use crate::support::lossy::Lossy;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const LEDGER: &str = "https://ledger.example.com/mcp";
const VAULT: &str = "https://vault.example.com/mcp";

/// billing ← portal's users; gateway acts as billing and may exchange into ledger; keeper acts as ledger and may
/// exchange into vault. The user is a reader everywhere.
async fn world(server: &Server) {
    let resource = |uri: &str, runtime: &str, admitted: &str, more: Value| {
        let mut change = json!({
            "runtimeClients": [runtime], "exchange": {"mode": "Listed", "clients": [admitted]},
            "roles": [{"name": "reader", "scopes": ["invoices.read"]}],
            "roleBindings": [{"name": "all", "role": "reader", "subjects": [{"kind": "User", "name": USER}]}],
        });
        for (name, value) in more.as_object().unwrap() {
            change[name] = value.clone();
        }
        resource_server(uri, change)
    };
    let attached =
        |id: &str| json!({"name": id, "resourceServerID": id, "scopes": ["invoices.read", "invoices.write"]});
    let exchanger = |ids: &[&str], more: Value| {
        let resources: Vec<Value> = ids.iter().map(|id| attached(id)).collect();
        let mut change = json!({"grantTypes": ["token_exchange", "client_credentials"], "resources": resources});
        for (name, value) in more.as_object().unwrap() {
            change[name] = value.clone();
        }
        client(change)
    };
    let agent = json!({"agent": {"description": "Keeper", "maxDelegationDepth": 2}});
    let all: [(&str, Spec); 6] = [
        ("rs_ledger", resource(LEDGER, "keeper", "gateway", json!({}))),
        ("rs_vault", resource(VAULT, "nobody", "keeper", json!({"accessToken": {"format": "Opaque"}}))),
        ("gateway", exchanger(&["rs_ledger"], json!({}))),
        ("keeper", exchanger(&["rs_vault", "rs_ledger"], agent)),
        ("outsider", exchanger(&["rs_ledger"], json!({}))),
        ("looper", exchanger(&["rs_loop"], json!({}))),
    ];
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    for (id, spec) in &all {
        tx.put(id, spec, None, now()).await.unwrap();
    }
    for id in ["keeper", "outsider", "looper"] {
        tx.put_credential(id, &credential(&format!("cred-{id}"), &secret(id))).await.unwrap();
    }
    let looped = json!({"runtimeClients": ["looper"], "exchange": {"mode": "Listed", "clients": ["looper"]}});
    tx.put("rs_loop", &resource_server("https://loop.example.com/mcp", looped), None, now()).await.unwrap();
    tx.commit().await.unwrap();
    server.store.refresh().await.unwrap();
}

async fn exchange(server: &Server, id: &str, subject: &str, more: &[(&str, &str)]) -> Answer {
    let form = [("grant_type", GRANT), ("subject_token", subject), ("subject_token_type", ACCESS)];
    let form: Vec<(&str, &str)> = form.iter().chain(more).copied().collect();
    server.post_as(id, "/oauth/token", &form).await
}

async fn exchanged(server: &Server, id: &str, subject: &str, more: &[(&str, &str)]) -> Value {
    let answer = exchange(server, id, subject, more).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn rows(server: &Server) -> i64 {
    let text = server.metrics.render().unwrap();
    let issued = text.lines().filter(|line| line.starts_with("holdfast_tokens_issued_total"));
    issued.map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum()
}

/// M8-03, M8-04, M8-09, M8-11, M8-13, IV-5: the user's token becomes one for another resource, with no more rights, no
/// longer life and no refresh token; where it comes from is written down.
#[tokio::test]
async fn a_users_token_becomes_one_for_the_resource_behind() {
    let server = server().await;
    world(&server).await;
    let issued = server.sign_in("portal").await;
    let subject = text(&issued, "access_token");
    server.clock.advance(600);
    let answer = exchanged(&server, "gateway", subject, &[("resource", LEDGER)]).await;
    assert_eq!(answer["issued_token_type"], ACCESS);
    assert_eq!((&answer["token_type"], &answer["scope"]), (&json!("Bearer"), &json!("invoices.read")));
    assert!(answer.get("refresh_token").is_none());
    let (before, after) = (claims(subject), claims(text(&answer, "access_token")));
    assert_eq!(after["exp"], before["exp"], "no longer than what it was made from");
    assert_eq!((&after["sub"], &after["aud"], &after["client_id"]), (&json!(USER), &json!(LEDGER), &json!("gateway")));
    assert_eq!((&after["auth_time"], &after["iss"]), (&before["auth_time"], &json!(ISSUER)));
    assert!(after.get("act").is_none() && after.get("agent_id").is_none(), "impersonation: {after}");
    let seen = server.introspect("keeper", text(&answer, "access_token")).await;
    assert_eq!((&seen["active"], &seen["client_id"]), (&json!(true), &json!("gateway")));
    assert!(server.metric("holdfast_token_exchange_total{kind=\"impersonation\"} 1"));
    let mut tx = server.store.read().await.unwrap();
    let event = tx.audit_events(Some(AuditKind::TokenExchanged), 9).await.unwrap().remove(0);
    assert_eq!(event.user_id.as_deref(), Some(USER));
    assert_eq!(event.detail["chain"], json!([{"sub": USER, "client": "portal", "jti": before["jti"]}]));
    assert_eq!((&event.detail["jti"], &event.detail["iss"]), (&after["jti"], &json!(ISSUER)));
}

/// M8-04, M8-07, S9: who acts is named outermost, those before inside; agents are in the chain.
#[tokio::test]
async fn a_chain_of_actors_is_told_in_the_token() {
    let server = server().await;
    world(&server).await;
    let issued = server.sign_in("portal").await;
    let own = server.token("gateway", LEDGER).await;
    let actor = |token| [("actor_token", token), ("actor_token_type", ACCESS)];
    let first = exchanged(&server, "gateway", text(&issued, "access_token"), &actor(own.as_str())).await;
    let act = json!({"iss": ISSUER, "sub": "gateway", "client_id": "gateway"});
    assert_eq!(claims(text(&first, "access_token"))["act"], act);
    let keeper = server.token("keeper", LEDGER).await;
    let agent = claims(&keeper);
    assert_eq!((&agent["agent_id"], &agent["agent_chain"]), (&json!("keeper"), &json!(["keeper"])));
    assert_eq!(agent["sub_profile"], "ai_agent");
    let more: Vec<_> = [("audience", VAULT)].into_iter().chain(actor(keeper.as_str())).collect();
    let second = exchanged(&server, "keeper", text(&first, "access_token"), &more).await;
    assert!(text(&second, "access_token").starts_with("hfat_"), "an opaque one");
    let nested = json!({"iss": ISSUER, "sub": "keeper", "client_id": "keeper", "sub_profile": "ai_agent", "act": act});
    let seen = server.introspect("keeper", text(&second, "access_token")).await;
    assert_eq!((&seen["sub"], &seen["act"]), (&json!(USER), &nested));
    assert!(server.metric("holdfast_token_exchange_total{kind=\"delegation\"} 2"));
    assert!(server.metric("holdfast_agent_tokens_issued_total{assurance=\"registered\"} 2"));
}

/// M8-01, M8-02, M8-06, M8-08, M8-09, M8-10, M8-12, R-24 to R-27, D-04: refusals, and nothing is issued by any.
#[tokio::test]
async fn what_is_not_allowed_is_not_exchanged() {
    let server = server().await;
    world(&server).await;
    let issued = server.sign_in("portal").await;
    let users = text(&issued, "access_token");
    let refresh = text(&issued, "refresh_token");
    let own = server.token("gateway", LEDGER).await;
    let keepers = server.token("keeper", LEDGER).await;
    let another = server.token("reporter", BILLING).await;
    let code = server.code("portal").await;
    let long = "A".repeat(17 * 1024);
    let before = rows(&server).await;
    let id_token = "urn:ietf:params:oauth:token-type:id_token";
    type Row<'a> = (&'a str, &'a str, &'a str, Vec<(&'a str, &'a str)>, &'a str);
    let table: Vec<Row<'_>> = vec![
        ("another's client", "outsider", users, vec![], "invalid_request"),
        ("not let in", "outsider", &another, vec![("resource", LEDGER)], "invalid_request"),
        ("not registered for it", "reporter", users, vec![], "unauthorized_client"),
        ("of a public client", "gateway", users, vec![("resource", VAULT)], "unauthorized_client"),
        ("a refresh token", "gateway", refresh, vec![], "invalid_request"),
        ("a code", "gateway", &code, vec![], "invalid_request"),
        ("nothing", "gateway", "x", vec![], "invalid_request"),
        ("17 KiB", "gateway", &long, vec![], "invalid_request"),
        ("unknown target", "gateway", users, vec![("resource", "https://x.example.com")], "invalid_target"),
        ("two targets", "gateway", users, vec![("resource", LEDGER), ("resource", BILLING)], "invalid_target"),
        ("contradiction", "gateway", users, vec![("resource", LEDGER), ("audience", VAULT)], "invalid_target"),
        ("more scope", "gateway", users, vec![("scope", "invoices.void")], "invalid_scope"),
        ("no role for it", "gateway", users, vec![("scope", "invoices.write")], "invalid_scope"),
        ("an ID token", "gateway", users, vec![("requested_token_type", id_token)], "invalid_request"),
        ("actor without type", "gateway", users, vec![("actor_token", &own)], "invalid_request"),
        ("type without actor", "gateway", users, vec![("actor_token_type", ACCESS)], "invalid_request"),
        (
            "another's actor",
            "gateway",
            users,
            vec![("actor_token", &keepers), ("actor_token_type", ACCESS)],
            "invalid_request",
        ),
        (
            "the user as actor",
            "gateway",
            users,
            vec![("actor_token", users), ("actor_token_type", ACCESS)],
            "invalid_request",
        ),
        (
            "a broken actor",
            "gateway",
            users,
            vec![("actor_token", "x"), ("actor_token_type", ACCESS)],
            "invalid_request",
        ),
    ];
    for (name, id, subject, more, error) in &table {
        let answer = exchange(&server, id, subject, more).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, *error), "{name}: {answer:?}");
        assert_eq!(rows(&server).await, before, "{name}");
    }
    for kind in
        [id_token, "urn:ietf:params:oauth:token-type:refresh_token", "urn:ietf:params:oauth:token-type:saml2", "x"]
    {
        let form = [("grant_type", GRANT), ("subject_token", users), ("subject_token_type", kind)];
        assert_eq!(server.post_as("gateway", "/oauth/token", &form).await.error(), "invalid_request", "{kind}");
    }
    let form = [("grant_type", GRANT), ("subject_token_type", ACCESS)];
    assert_eq!(server.post_as("gateway", "/oauth/token", &form).await.error(), "invalid_request", "no token at all");
    let body = format!("grant_type={GRANT}&subject_token={users}&subject_token_type={ACCESS}&client_id=app");
    assert_eq!(server.post("/oauth/token", None, &body).await.error(), "unauthorized_client", "a public client");
    let body = body.replace("&client_id=app", "&client_id=gateway");
    assert_eq!(server.post("/oauth/token", None, &body).await.error(), "invalid_client", "nobody");
    assert_eq!(rows(&server).await, before);
    assert!(server.metric("holdfast_token_exchange_denied_total{reason=\"actor_not_caller\"} 2"));
    server.clock.advance(901);
    assert_eq!(exchange(&server, "gateway", users, &[]).await.error(), "invalid_request", "expired");
}

/// M8-14, IV-3: what ends a token ends everything that was made from it, however far away.
#[tokio::test]
async fn children_end_with_their_parents() {
    let server = server().await;
    world(&server).await;
    for ending in ["grant", "subject", "middle"] {
        let issued = server.sign_in("portal").await;
        let users = text(&issued, "access_token");
        let child = exchanged(&server, "gateway", users, &[]).await;
        let child = text(&child, "access_token").to_owned();
        let grandchild = exchanged(&server, "keeper", &child, &[("resource", VAULT)]).await;
        let grandchild = text(&grandchild, "access_token").to_owned();
        let (who, token) = match ending {
            "grant" => ("portal", text(&issued, "refresh_token")),
            "subject" => ("portal", users),
            _ => ("gateway", child.as_str()),
        };
        assert_eq!(server.introspect("keeper", &grandchild).await["active"], true);
        assert_eq!(server.post_as(who, "/oauth/revoke", &[("token", token)]).await.status, 200);
        for (token, by, lives) in [
            (&grandchild, "keeper", false),
            (&child, "gateway", false),
            (&users.to_owned(), "portal", ending == "middle"),
        ] {
            assert_eq!(server.introspect(by, token).await["active"], lives, "{ending} {by}");
        }
        assert_eq!(exchange(&server, "keeper", &child, &[("resource", VAULT)]).await.error(), "invalid_request");
    }
}

/// M8-05
#[tokio::test]
async fn a_chain_is_no_longer_than_allowed() {
    let server = server().await;
    world(&server).await;
    let mut token = server.token("looper", "https://loop.example.com/mcp").await;
    for _ in 0..4 {
        token = text(&exchanged(&server, "looper", &token, &[]).await, "access_token").to_owned();
    }
    assert_eq!(exchange(&server, "looper", &token, &[]).await.error(), "invalid_request");
    assert!(server.metric("holdfast_token_exchange_denied_total{reason=\"too_deep\"} 1"));
}

/// M8-03, P-10: a bound token is exchanged with a proof and stays bound, whatever the target says.
#[tokio::test]
async fn a_bound_token_stays_bound() {
    let server = server().await;
    world(&server).await;
    let mut bound = resource_server(
        "https://loop.example.com/mcp",
        json!({"runtimeClients": ["looper"], "exchange": {"mode": "Listed", "clients": ["looper"]},
            "accessToken": {"senderConstraint": "DPoPOptional"}}),
    );
    server.put("rs_loop", &bound).await;
    server.store.refresh().await.unwrap();
    let (key, other) = (Prover::new(), Prover::new());
    let form = [("grant_type", "client_credentials")];
    let token = token_with(&server, "looper", &form, &[&key.proof(&server, json!({}))]).await.json();
    let token = text(&token, "access_token").to_owned();
    if let Spec::ResourceServer(policy) = &mut bound {
        policy.access_token.sender_constraint = "None".to_owned();
    }
    server.put("rs_loop", &bound).await;
    server.store.refresh().await.unwrap();
    let form = [("grant_type", GRANT), ("subject_token", &token), ("subject_token_type", ACCESS)];
    assert_eq!(token_with(&server, "looper", &form, &[]).await.error(), "invalid_dpop_proof");
    let wrong = token_with(&server, "looper", &form, &[&other.proof(&server, json!({}))]).await;
    assert_eq!(wrong.error(), "invalid_grant", "its own token, another key");
    let right = token_with(&server, "looper", &form, &[&key.proof(&server, json!({}))]).await.json();
    assert_eq!(right["token_type"], "DPoP");
    assert_eq!(claims(text(&right, "access_token"))["cnf"], json!({"jkt": key.jkt()}));
}

/// IV-1, FT-12, P-07: an exchange with a proof is answered once though the answer to its commit is lost.
#[tokio::test]
async fn a_token_is_exchanged_though_the_answer_is_lost() {
    let fresh = engine::Engine::Postgres.fresh().await;
    let (lossy, url) = Lossy::before(&fresh.url).await;
    let server = Setup { url: Some(url), ..Setup::default() }.start().await;
    world(&server).await;
    let token = server.token("looper", "https://loop.example.com/mcp").await;
    let form = [("grant_type", GRANT), ("subject_token", token.as_str()), ("subject_token_type", ACCESS)];
    let proof = Prover::new().proof(&server, json!({}));
    lossy.lose(|| {});
    let first = token_with(&server, "looper", &form, &[&proof]).await;
    assert!(first.status == 200 && lossy.has_lost(), "{first:?}");
    assert_eq!(server.introspect("looper", text(&first.json(), "access_token")).await["active"], true);
    assert_eq!(token_with(&server, "looper", &form, &[&proof]).await.error(), "invalid_dpop_proof");
    assert_eq!(fresh.number("SELECT count(*) FROM used_proof").await, 1);
}
