//! Decisions about calls: taken once, by whoever acts as the resource server, bounded, and read by filter and cursor.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast::domain::audit::AuditKind;
use holdfast::domain::decision::DecisionReason;
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::oauth::harness::{Answer, Server, Setup, answer, now, secret, server};
use crate::store::engine::{Engine, Fresh};
use crate::support::lossy::{Lossy, Meanwhile};

/// A decision of so many seconds ago.
pub fn decision(id: &str, ago: i64, change: Value) -> Value {
    let time = (now() - SignedDuration::from_secs(ago)).to_string();
    let mut one = json!({"id": id, "time": time, "tool": "list_invoices", "outcome": "allowed", "client_id": "portal",
        "subject": "usr_ada", "scopes": ["invoices.read"], "policy_version": 3, "duration_ms": 12.5, "jti": "j-1"});
    one.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    one
}

fn denied(reason: &str) -> Value {
    json!({"outcome": "denied", "reason": reason})
}

impl Server {
    pub async fn report(&self, who: &str, id: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}/v1/resource-servers/{id}/decisions", self.public));
        let request = request.basic_auth(who, Some(secret(who))).json(body);
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    async fn calls(&self, who: &str, id: &str, query: &str) -> Answer {
        let url = format!("{}/admin/resource-servers/{id}/access-logs{query}", self.admin);
        answer(self.http.get(url).bearer_auth(secret(who))).await
    }

    /// The ids that a query finds, in order.
    async fn ids(&self, query: &str) -> Vec<String> {
        let page = self.calls("vera", "rs_billing", query).await;
        assert_eq!(page.status, 200, "{page:?}");
        let items = page.json()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// A server, and its database, which lives as long.
async fn on(engine: Engine) -> (Server, Fresh) {
    let fresh = engine.fresh().await;
    let server = Setup { url: Some(fresh.url.clone()), ..Setup::default() }.start().await;
    server.put_billing(json!({})).await;
    (server, fresh)
}

/// D12: a batch is kept whole, a retry is safe, and what is kept says whose word it is.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn a_decision_is_kept_once_however_often_it_is_reported(#[case] engine: Engine) {
    let (server, _database) = on(engine).await;
    let whole = decision("d-1", 1, json!({}));
    let bare = json!({"id": "d-2", "time": now().to_string(), "tool": "drop\u{1b}[2J", "outcome": "denied", "reason": "no_token"});
    let batch = json!({"decisions": [whole, bare, decision("d-1", 5, json!({"tool": "other"}))]});
    let first = server.report("rs_billing", "rs_billing", &batch, &[("holdfast-enforcement-point", "pod-0")]).await;
    assert_eq!((first.status, first.json()), (200, json!({"received": 3, "new": 2, "known": 1, "too_old": 0})));
    // the answer was lost: the same comes again, with something new, and from another replica
    let mut more = batch.clone();
    more["decisions"].as_array_mut().unwrap().push(decision("d-3", 0, json!({"client_id": null, "scopes": []})));
    let again = server.report("gateway", "rs_billing", &more, &[]).await;
    assert_eq!(again.json(), json!({"received": 4, "new": 1, "known": 3, "too_old": 0}));
    let page = server.calls("vera", "rs_billing", "").await.json();
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 3, "{page}");
    let first = items.iter().find(|item| item["id"] == "d-1").unwrap();
    let expected = json!({"id": "d-1", "rs_id": "rs_billing", "time": "2030-03-17T17:46:39Z",
        "received_at": now().to_string(), "tool": "list_invoices", "outcome": "allowed", "reason": null,
        "client_id": "portal", "subject": "usr_ada", "scopes": ["invoices.read"], "policy_version": 3, "duration_ms": 12.5,
        "jti": "j-1", "enforcement_point": "pod-0", "reported_by": "client:rs_billing"});
    assert_eq!(*first, expected, "the first word stands");
    let second = items.iter().find(|item| item["id"] == "d-2").unwrap();
    assert_eq!((&second["tool"], &second["reason"]), (&json!("drop\u{fffd}[2J"), &json!("no_token")));
    let third = items.iter().find(|item| item["id"] == "d-3").unwrap();
    assert_eq!((&third["reported_by"], &third["enforcement_point"]), (&json!("client:gateway"), &Value::Null));
    // counted once, too
    let of = |outcome: &str, reason: &str, tool: &str| {
        format!(
            "holdfast_decisions_total{{outcome=\"{outcome}\",reason=\"{reason}\",resource_server=\"billing/billing\",tool=\"{tool}\"}}"
        )
    };
    assert!(server.metric(&format!("{} 2", of("allowed", "none", "list_invoices"))));
    assert!(server.metric(&format!("{} 1", of("denied", "no_token", "undeclared"))));
    assert!(server.metric(
        "holdfast_tool_call_duration_seconds_count{outcome=\"allowed\",resource_server=\"billing/billing\"} 2"
    ));
    assert!(server.metric("holdfast_activity_ingested_total{outcome=\"success\"} 2"));
    let same = server.report("gateway", "rs_billing", &batch, &[]).await.json();
    assert_eq!(same["new"], 0);
    assert!(server.metric("holdfast_activity_ingested_total{outcome=\"unchanged\"} 1"));
    // the same ids of another resource server are others
    let other = server.report("rs_eddsa", "rs_eddsa", &batch, &[]).await.json();
    assert_eq!(other["new"], 2);
}

/// FT-12: the database has the batch and its answer is lost: the reporter is told to come again, and all is known then.
#[tokio::test]
async fn a_batch_is_kept_once_though_the_answer_is_lost() {
    let fresh = Engine::Postgres.fresh().await;
    let loses = Arc::new(AtomicBool::new(true));
    let once = Arc::clone(&loses);
    let decide = move || once.swap(false, Ordering::SeqCst).then(|| -> Meanwhile { Box::new(|| {}) });
    let url = Lossy::at_commits_of("client:gateway", &fresh.url, decide).await;
    let server = Setup { url: Some(url), ..Setup::default() }.start().await;
    let batch = json!({"decisions": [decision("d-1", 1, json!({})), decision("d-2", 1, json!({}))]});
    let lost = server.report("gateway", "rs_billing", &batch, &[]).await;
    assert!(lost.status == 503 && !lost.header("retry-after").is_empty(), "{lost:?}");
    assert!(!loses.load(Ordering::SeqCst), "another commit than that of the batch");
    let again = server.report("gateway", "rs_billing", &batch, &[]).await;
    assert_eq!(again.json(), json!({"received": 2, "new": 0, "known": 2, "too_old": 0}));
    assert_eq!(fresh.number("SELECT count(*) FROM access_log").await, 2);
}

/// Replicas that report the same at the same time, in another order each, are all answered, and each call is new once.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn of_many_who_report_the_same_at_once_each_is_answered(#[case] engine: Engine) {
    let (server, _database) = on(engine).await;
    let all: Vec<Value> = (0..300).map(|number| decision(&format!("d-{number}"), 1, json!({}))).collect();
    let reports = (0..8).map(|replica| {
        let mut own = all.clone();
        own.rotate_left(replica * 37);
        if replica % 2 == 1 {
            own.reverse();
        }
        let server = &server;
        async move { server.report("gateway", "rs_billing", &json!({ "decisions": own }), &[]).await }
    });
    let answers = futures::future::join_all(reports).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let of = |member: &str| answers.iter().map(|answer| answer.json()[member].as_i64().unwrap()).sum::<i64>();
    assert_eq!((of("new"), of("known")), (300, 7 * 300));
    let counted = "holdfast_decisions_total{outcome=\"allowed\",reason=\"none\",resource_server=\"billing/billing\",tool=\"list_invoices\"} 300";
    assert!(server.metric(counted));
}

/// A thousand at once, and not one more; what is older than the log goes back is passed over, and said to be.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn a_batch_is_large_and_bounded(#[case] engine: Engine) {
    let (server, _database) = on(engine).await;
    let month = 30 * 86_400;
    let many = |count: usize, ago: i64| -> Vec<Value> {
        (0..count).map(|number| decision(&format!("d-{ago}-{number}"), ago, json!({}))).collect()
    };
    let mut all = many(998, 60);
    all.extend([decision("old", month + 1, json!({})), decision("just", month, json!({}))]);
    let taken = server.report("gateway", "rs_billing", &json!({ "decisions": all }), &[]).await;
    assert_eq!(taken.json(), json!({"received": 1000, "new": 999, "known": 0, "too_old": 1}));
    let old = server
        .report("gateway", "rs_billing", &json!({"decisions": [decision("old", month + 1, json!({}))]}), &[])
        .await;
    assert_eq!(old.json(), json!({"received": 1, "new": 0, "known": 0, "too_old": 1}));
    let one_more = server.report("gateway", "rs_billing", &json!({ "decisions": many(1001, 1) }), &[]).await;
    assert_eq!(one_more.status, 400);
    let large = json!({"decisions": [decision("d", 0, json!({"frob": "x".repeat(1024 * 1024)}))]});
    assert_eq!(server.report("gateway", "rs_billing", &large, &[]).await.status, 413);
    assert_eq!(server.ids("?limit=200&until=2030-02-16T00:00:00Z").await, ["just"]);
}

/// One bad decision, and nothing of the batch is kept; the place and the member are named.
#[rstest]
#[case::unknown(json!({"granted_scopes": ["invoices.write"]}), "decisions[1].granted_scopes: unknown member")]
#[case::future(json!({"time": "2030-03-17T17:51:41Z"}), "decisions[1].time: lies in the future")]
#[case::reason(json!({"reason": "because"}), "decisions[1].reason: one of the reasons that there are")]
#[case::outcome(json!({"outcome": "Allowed"}), "decisions[1].outcome: allowed or denied")]
#[case::injection(json!({"subject": "usr_1\n{\"event\":\"login\"}"}), "decisions[1].subject: 1 to 512 bytes")]
#[case::id(json!({"id": "a b"}), "decisions[1].id: 1 to 64 letters")]
#[tokio::test]
async fn a_batch_with_one_bad_decision_is_refused_whole(#[case] change: Value, #[case] problem: &str) {
    let server = server().await;
    let batch = json!({"decisions": [decision("d-1", 0, json!({})), decision("d-2", 0, change)]});
    let refused = server.report("rs_billing", "rs_billing", &batch, &[]).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_request"), "{refused:?}");
    let text = refused.json()["error_description"].as_str().unwrap().to_owned();
    assert!(text.starts_with(problem), "{text}");
    assert_eq!(server.ids("").await, [""; 0]);
    assert!(server.metric("holdfast_activity_ingested_total{outcome=\"invalid\"} 1"));
}

#[tokio::test]
async fn whoever_is_not_the_resource_server_reports_nothing() {
    let server = server().await;
    let batch = json!({"decisions": [decision("d-1", 0, json!({}))]});
    let mut seen = Vec::new();
    for (who, id) in [("rs_eddsa", "rs_billing"), ("rs_eddsa", "rs_unknown"), ("reporter", "rs_billing")] {
        let denied = server.report(who, id, &batch, &[]).await;
        assert_eq!(denied.status, 403, "{denied:?}");
        seen.push(denied.text);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "nothing is told of what there is");
    assert_eq!(server.audited(AuditKind::AuthorizationDenied).await, 3);
    assert!(server.metric("holdfast_activity_ingested_total{outcome=\"denied\"} 3"));
    let url = format!("{}/v1/resource-servers/rs_billing/decisions", server.public);
    assert_eq!(answer(server.http.post(&url).json(&batch)).await.status, 401);
    let text = server.http.post(&url).basic_auth("gateway", Some(secret("gateway"))).body(batch.to_string());
    assert_eq!(answer(text).await.status, 415);
    let strange = server.report("gateway", "rs_billing", &batch, &[("holdfast-enforcement-point", "pod 0")]).await;
    assert!(strange.status == 400 && strange.text.contains("Holdfast-Enforcement-Point"), "{strange:?}");
    assert_eq!(server.ids("").await, [""; 0]);
}

/// What is reported is only ever read: nobody may more than before, and no policy is another.
#[tokio::test]
async fn a_report_grants_nothing() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let tag = server.activity.policy("rs_billing").unwrap().tag.clone();
    let before = server.store.read().await.unwrap().last_sequence().await.unwrap();
    let bold =
        json!({"client_id": "reporter", "subject": "usr_root", "scopes": ["invoices.void", "admin"], "tool": "settle"});
    let batch = json!({"decisions": [decision("d-1", 0, bold)]});
    assert_eq!(server.report("gateway", "rs_billing", &batch, &[]).await.json()["new"], 1);
    let token = server.token("reporter", crate::oauth::harness::BILLING).await;
    assert_eq!(server.introspect("rs_billing", &token).await["scope"], "invoices.read invoices.write");
    assert_eq!(server.activity.policy("rs_billing").unwrap().tag, tag);
    assert_eq!(server.store.read().await.unwrap().last_sequence().await.unwrap(), before, "no change of policy");
}

/// D12: by user, client, tool, outcome, reason and time, alone and together.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn calls_are_found_by_each_of_their_properties(#[case] engine: Engine) {
    let (server, _database) = on(engine).await;
    let batch = json!({"decisions": [
        decision("a", 40, json!({})),
        decision("b", 30, json!({"subject": "usr_bob"})),
        decision("c", 20, json!({"client_id": "app"})),
        decision("d", 10, denied("insufficient_scope")),
        decision("e", 0, json!({"tool": "settle", "outcome": "denied", "reason": "tool_unlisted"}))]});
    assert_eq!(server.report("gateway", "rs_billing", &batch, &[]).await.json()["new"], 5);
    for (query, expected) in [
        ("", "edcba"),
        ("?user=usr_bob", "b"),
        ("?client=app", "c"),
        ("?tool=settle", "e"),
        ("?outcome=denied", "ed"),
        ("?outcome=allowed&user=usr_ada", "ca"),
        ("?reason=insufficient_scope", "d"),
        ("?reason=no_policy", ""),
        ("?since=2030-03-17T17:46:20Z", "edc"),
        ("?until=2030-03-17T17:46:20Z", "ba"),
        ("?since=2030-03-17T17:46:10Z&until=2030-03-17T17:46:30Z&client=portal", "b"),
        ("?user=usr_ada&client=portal&tool=settle&outcome=denied&reason=tool_unlisted", "e"),
        ("?user=Usr_ada", ""),
    ] {
        assert_eq!(server.ids(query).await.concat(), expected, "{query}");
    }
    for (query, named) in [
        ("?froce=1", "froce"),
        ("?user=a&user=b", "user"),
        ("?user=a%00b", "user"),
        ("?outcome=x", "outcome"),
        ("?reason=x", "reason"),
        ("?since=x", "since"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
    ] {
        let refused = server.calls("vera", "rs_billing", query).await;
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text.contains(named), "{refused:?}");
    }
    assert_eq!(server.calls("vera", "rs_never", "").await.status, 404);
    assert_eq!(server.calls("vera", "rs_billing%00", "").await.status, 404);
    let url = format!("{}/admin/resource-servers/rs_billing/access-logs", server.admin);
    assert_eq!(answer(server.http.get(&url)).await.status, 401);
    let own = server.http.get(&url).basic_auth("gateway", Some(secret("gateway")));
    assert_eq!(answer(own).await.status, 401, "who reports may not read");
    let line = "holdfast_admin_operations_total{entity=\"access_log\",op=\"list\",outcome=\"success\"} 13";
    assert!(server.metric(line));
}

/// D12: while rows come in, of the same moment, newer and older, each row that was there is seen once.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn a_cursor_holds_while_rows_come_in(#[case] engine: Engine) {
    let (server, _database) = on(engine).await;
    let there: Vec<String> = (0..23).map(|number| format!("{}-{number}", ["x", "Y", "z.", "_"][number % 4])).collect();
    let at = |number: usize| i64::try_from(number / 5).unwrap() * 10 + 10;
    let batch: Vec<Value> = there.iter().enumerate().map(|(n, id)| decision(id, at(n), json!({}))).collect();
    server.report("gateway", "rs_billing", &json!({ "decisions": batch }), &[]).await;
    let (mut seen, mut query, mut round) = (Vec::new(), "?limit=4".to_owned(), 0);
    loop {
        let page = server.calls("vera", "rs_billing", &query).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=4&cursor={next}");
        round += 1;
        let news = [decision(&format!("new-{round}"), 0, json!({})), decision(&format!("same-{round}"), 20, json!({}))];
        server.report("gateway", "rs_billing", &json!({ "decisions": news }), &[]).await;
    }
    let once: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "none twice: {seen:?}");
    assert!(there.iter().all(|id| once.contains(id)), "none left out: {seen:?}");
    assert!(!seen.iter().any(|id| id.starts_with("new-")), "what is newer comes before");
}

/// Every reason that is documented is taken, and those that the documents name are all.
#[tokio::test]
async fn every_reason_is_documented_and_taken() {
    let server = server().await;
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policy.md")).unwrap();
    let rows = text.split_once("| reason | the call was denied because |\n|---|---|\n").unwrap().1;
    let rows = rows.split("\n\n").next().unwrap().lines();
    let documented: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    let all: Vec<&str> = DecisionReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(documented, all);
    let batch: Vec<Value> = all.iter().map(|reason| decision(reason, 0, denied(reason))).collect();
    let taken = server.report("gateway", "rs_billing", &json!({ "decisions": batch }), &[]).await;
    assert_eq!(taken.json()["new"], all.len());
}
