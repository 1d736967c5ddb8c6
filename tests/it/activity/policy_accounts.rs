//! Service accounts: whose token is good, for how long that is believed, and who is never asked about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use futures::future::BoxFuture;
use holdfast::domain::SecretText;
use holdfast::domain::audit::AuditKind;
use holdfast::domain::reviewer::{ReviewError, Reviewer, ServiceAccount};
use serde_json::{Value, json};

use super::policy::path;
use crate::oauth::harness::{Answer, ISSUER, Server, Setup, answer, now};

const AUDIENCE: &str = "https://auth.example.com/v1";

/// Who knows the tokens `good`; asked so often; away when told so.
#[derive(Default)]
struct Cluster {
    asked: AtomicU32,
    away: std::sync::atomic::AtomicBool,
    revoked: std::sync::atomic::AtomicBool,
}

impl Reviewer for Cluster {
    fn review<'a>(
        &'a self,
        token: &'a SecretText,
        audience: &'a str,
    ) -> BoxFuture<'a, Result<Option<ServiceAccount>, ReviewError>> {
        assert_eq!(audience, AUDIENCE);
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) {
            return async { Err(ReviewError("no route".into())) }.boxed();
        }
        let good = token.expose().ends_with(".good") && !self.revoked.load(Ordering::Relaxed);
        let account = ServiceAccount { namespace: "billing".to_owned(), name: "mcp".to_owned() };
        async move { Ok(good.then_some(account)) }.boxed()
    }
}

/// A token that says these things of itself; `good` is what the cluster knows.
fn token(claims: &Value, signature: &str) -> String {
    format!("e30.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn claims(change: Value) -> Value {
    let mut claims = json!({
        "aud": [AUDIENCE], "sub": "system:serviceaccount:billing:mcp", "exp": now().as_second() + 3600, "jti": "1",
    });
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    claims
}

async fn begin() -> (Server, Arc<Cluster>) {
    let cluster = Arc::new(Cluster::default());
    let server = Setup { reviewer: Some(cluster.clone()), ..Setup::default() }.start().await;
    server.put_billing(json!({"runtimeServiceAccounts": ["billing/mcp"]})).await;
    (server, cluster)
}

async fn get(server: &Server, id: &str, token: &str) -> Answer {
    answer(server.http.get(format!("{}{}", server.public, path(id))).bearer_auth(token)).await
}

/// D10: a ServiceAccount that the resource server names is told its policy, and no other one's.
#[tokio::test]
async fn a_service_account_acts_as_the_resource_server_that_names_it() {
    let (server, cluster) = begin().await;
    let good = token(&claims(json!({})), "good");
    assert_eq!(get(&server, "rs_billing", &good).await.status, 200);
    let (foreign, unknown) = (get(&server, "rs_eddsa", &good).await, get(&server, "rs_unknown", &good).await);
    assert_eq!((foreign.status, foreign.error().as_str()), (403, "access_denied"));
    assert_eq!((foreign.status, foreign.text), (unknown.status, unknown.text));
    assert_eq!(cluster.asked.load(Ordering::Relaxed), 1, "what was found out is remembered");
    let denied =
        server.store.read().await.unwrap().audit_events(Some(AuditKind::AuthorizationDenied), 10).await.unwrap();
    assert_eq!((denied.len(), denied[0].who.as_str()), (2, "serviceaccount:billing/mcp"));
    let manifest = server.http.put(format!("{}/v1/resource-servers/rs_billing/manifest", server.public));
    assert_eq!(answer(manifest.bearer_auth(&good).json(&json!({"tools": []}))).await.status, 200);
    // the token opens nothing else
    let introspect = server.http.post(format!("{}/oauth/introspect", server.public)).bearer_auth(&good);
    assert_eq!(answer(introspect.form(&[("token", "x")])).await.status, 401);
    assert_eq!(ISSUER, AUDIENCE.trim_end_matches("/v1"));
}

/// What is not for us, over, or of an account that nobody names, the cluster is never asked about.
#[tokio::test]
async fn a_token_that_cannot_be_good_costs_the_cluster_nothing() {
    let (server, cluster) = begin().await;
    let changes = [
        json!({"aud": ["https://kubernetes.default.svc"]}),
        json!({"aud": ISSUER}),
        json!({"aud": "https://auth.example.com/admin"}),
        json!({"exp": now().as_second()}),
        json!({"exp": null}),
        json!({"sub": "system:serviceaccount:billing:another"}),
        json!({"sub": "system:node:a"}),
    ];
    let tokens = changes.into_iter().map(|change| token(&claims(change), "good"));
    for token in tokens.chain(["x".to_owned(), "a.b.c".to_owned(), "e30.e30.good".to_owned()]) {
        let refused = get(&server, "rs_billing", &token).await;
        assert_eq!((refused.status, refused.error().as_str()), (401, "invalid_client"), "{token}");
    }
    assert_eq!(cluster.asked.load(Ordering::Relaxed), 0);
}

/// A token that the cluster does not know is refused, and asked about once in a minute; too many of them must wait.
#[tokio::test]
async fn bad_tokens_are_remembered_and_limited() {
    let cluster = Arc::new(Cluster::default());
    let server = Setup { reviewer: Some(cluster.clone()), failures_per_minute: 5, ..Setup::default() }.start().await;
    server.put_billing(json!({"runtimeServiceAccounts": ["billing/mcp"]})).await;
    let forged = token(&claims(json!({})), "forged");
    for _ in 0..3 {
        assert_eq!(get(&server, "rs_billing", &forged).await.status, 401);
    }
    assert_eq!(cluster.asked.load(Ordering::Relaxed), 1);
    server.clock.advance(61);
    assert_eq!(get(&server, "rs_billing", &forged).await.status, 401);
    assert_eq!(cluster.asked.load(Ordering::Relaxed), 2);
    assert_eq!(get(&server, "rs_billing", &forged).await.status, 401);
    assert_eq!(get(&server, "rs_billing", &forged).await.status, 429);
    // whoever is good is not held up by it
    assert_eq!(get(&server, "rs_billing", &token(&claims(json!({})), "good")).await.status, 200);
}

/// What was found out holds for a minute, and never beyond the token's own end.
#[tokio::test]
async fn a_review_is_believed_for_a_minute_at_most() {
    let (server, cluster) = begin().await;
    let good = token(&claims(json!({"exp": now().as_second() + 90})), "good");
    assert_eq!(get(&server, "rs_billing", &good).await.status, 200);
    server.clock.advance(59);
    cluster.revoked.store(true, Ordering::Relaxed);
    assert_eq!(get(&server, "rs_billing", &good).await.status, 200);
    server.clock.advance(1);
    assert_eq!(get(&server, "rs_billing", &good).await.status, 401, "revoked meanwhile");

    cluster.revoked.store(false, Ordering::Relaxed);
    let short = token(&claims(json!({"exp": now().as_second() + 70})), "good");
    assert_eq!(get(&server, "rs_billing", &short).await.status, 200);
    server.clock.advance(10);
    assert_eq!(get(&server, "rs_billing", &short).await.status, 401, "its time is over");
}

/// An API server that is away is no reason to call a token bad.
#[tokio::test]
async fn an_api_server_that_is_away_is_said_to_be_so() {
    let (server, cluster) = begin().await;
    cluster.away.store(true, Ordering::Relaxed);
    let good = token(&claims(json!({})), "good");
    let away = get(&server, "rs_billing", &good).await;
    assert_eq!((away.status, away.error().as_str()), (503, "temporarily_unavailable"));
    assert!(away.text.contains("Kubernetes API"), "{}", away.text);
    cluster.away.store(false, Ordering::Relaxed);
    assert_eq!(get(&server, "rs_billing", &good).await.status, 200);
}

/// A name that is taken off the list is shut out at once, remembered or not.
#[tokio::test]
async fn an_account_that_is_no_longer_named_is_shut_out() {
    let (server, _cluster) = begin().await;
    let good = token(&claims(json!({})), "good");
    assert_eq!(get(&server, "rs_billing", &good).await.status, 200);
    server.put_billing(json!({"runtimeServiceAccounts": []})).await;
    assert_eq!(get(&server, "rs_billing", &good).await.status, 401, "nobody names it, so nobody is asked");
}

/// D12: a ServiceAccount reports what it decided, in its own name, and for no other resource server.
#[tokio::test]
async fn a_service_account_reports_its_decisions() {
    let (server, _) = begin().await;
    let good = token(&claims(json!({})), "good");
    let batch = json!({"decisions": [super::access_log::decision("d-1", 0, json!({}))]});
    let report = |id: &str, token: &str| {
        let url = format!("{}/v1/resource-servers/{id}/decisions", server.public);
        answer(server.http.post(url).bearer_auth(token).json(&batch))
    };
    assert_eq!(report("rs_eddsa", &good).await.status, 403);
    assert_eq!(report("rs_billing", &token(&claims(json!({})), "bad")).await.status, 401);
    assert_eq!(report("rs_billing", &good).await.json()["new"], 1);
    let kept = server.store.read().await.unwrap().access_log("rs_billing", &Default::default(), 10).await.unwrap();
    assert_eq!(kept[0].reported_by.as_str(), "serviceaccount:billing/mcp");
}
