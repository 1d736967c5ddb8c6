//! The API server is away, overloaded or broken, for a while.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::invariants::{hold, is_patient};
use super::proxy::{Call, Fault, Proxy};
use super::site::{RESCAN, Site, named_client};
use crate::controller::harness::{Operator, eventually};

/// What somebody does meanwhile: edits `portal`, deletes `former`, makes `late`.
async fn meanwhile(site: &Site) {
    let mut spec = named_client("portal");
    spec["displayName"] = "Edited".into();
    site.world.apply("OAuthClient", "portal", spec).await;
    site.world.delete("OAuthClient", "former").await;
    site.world.apply("OAuthClient", "late", named_client("late")).await;
}

async fn caught_up(site: &mut Site, operator: &Operator) {
    site.world.until_gone("OAuthClient", "former").await;
    hold(site, operator).await;
    assert_eq!(site.world.get("OAuthClient", "portal").await.data["spec"]["displayName"], "Edited");
    for (name, reason) in [("portal", "Updated"), ("late", "SecretGenerated"), ("former", "Deleted")] {
        let told = site.world.events(name).await;
        assert_eq!(told.iter().filter(|event| event.1 == reason).count(), 1, "{name}: {told:?}");
    }
    assert_eq!(site.token_of("late").await, 200);
}

/// FT-01: everything is refused or cut off, watches too; then it is as if nothing had been. OV-1, OV-2, OV-12
#[rstest]
#[case::broken(Fault::answer(500, "InternalError"))]
#[case::away(Fault::answer(503, "ServiceUnavailable"))]
#[case::too_slow(Fault::answer(504, "Timeout"))]
#[case::unreachable(Fault::Unheard)]
#[tokio::test]
async fn an_outage_is_sat_out(#[case] fault: Fault) {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    site.client("former").await;
    let outage = site.proxy.fault(fault, |_| true);
    site.proxy.tear_watches();
    meanwhile(&site).await;
    eventually("the operator to notice", async || (outage.hits() > 20).then_some(())).await;
    outage.lift();
    caught_up(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-01: longer than a Lease holds. Whoever led leads again, by a later epoch. OV-6, OV-12
#[tokio::test]
async fn an_outage_may_outlast_the_lease() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    site.client("former").await;
    let epoch = operator.leadership.borrow().unwrap();
    let outage = site.proxy.fault(Fault::Unheard, |_| true);
    site.proxy.tear_watches();
    meanwhile(&site).await;
    eventually("the term to end", async || operator.leadership.borrow().is_none().then_some(())).await;
    outage.lift();
    let next = eventually("the next term", async || *operator.leadership.borrow()).await;
    assert!(next > epoch);
    caught_up(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-01: who is told to come later comes later.
#[tokio::test]
async fn retry_after_is_heeded() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    site.client("former").await;
    let busy = Fault::Answer { status: 429, reason: "TooManyRequests", retry_after: Some(3) };
    let outage = site.proxy.fault(busy, |_| true);
    site.proxy.end_watches();
    meanwhile(&site).await;
    eventually("the operator to notice", async || (outage.hits() > 12).then_some(())).await;
    outage.lift();
    let refused = site.proxy.calls();
    let refused: Vec<_> = refused.iter().filter(|call| call.status == 429).collect();
    for (place, call) in refused.iter().enumerate() {
        // but for what was under way at the same time
        let mut later = refused[place + 1..].iter().filter(|again| again.at - call.at > Duration::from_millis(200));
        let again = later.find(|again| what(again) == what(call)).map(|again| again.at - call.at);
        let early = again.filter(|again| *again < Duration::from_millis(2900));
        assert_eq!(early, None, "{} {}", call.ask.method, call.ask.path);
    }
    caught_up(&mut site, &operator).await;
    operator.stop().await;
}

/// The method, the path, and what of the query is not a moment.
fn what(call: &Call) -> (String, String, bool) {
    let (path, query) = call.ask.path.split_once('?').unwrap_or((&call.ask.path, ""));
    let label = query.split('&').find(|pair| pair.starts_with("labelSelector")).unwrap_or_default();
    (call.ask.method.to_string(), format!("{path} {label}"), call.ask.watch)
}

/// FT-01: what was asked is done, and nobody hears of it: nothing is done twice. OV-8
#[tokio::test]
async fn answers_may_be_lost() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    site.client("former").await;
    let lost = site.proxy.every(3, Fault::Lost, |ask| ask.has_effect());
    meanwhile(&site).await;
    caught_up(&mut site, &operator).await;
    assert!(lost.lift() > 2);
    let secrets = site.world.count("SELECT COUNT(*) FROM credential WHERE state <> 'current'").await;
    assert_eq!(secrets, 0, "no credential was made in vain");
    operator.stop().await;
}

/// FT-02: a connection of which the other end is gone is not waited for for ever, whatever was asked on it.
#[tokio::test]
async fn a_write_that_is_swallowed_is_written_again() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    site.client("former").await;
    let swallows = |proxy: &Proxy| proxy.fault(Fault::Silent, |ask| ask.has_effect() || ask.resource == "secrets");
    let silence = swallows(&site.proxy);
    meanwhile(&site).await;
    eventually("something to be swallowed", async || (silence.hits() > 2).then_some(())).await;
    silence.lift();
    caught_up(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-01: a slow API server. No look is begun before the one before has ended, and all is done.
#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    site.client("former").await;
    let slow = site.proxy.fault(Fault::Late(RESCAN / 4), |ask| !ask.watch);
    meanwhile(&site).await;
    caught_up(&mut site, &operator).await;
    slow.lift();
    is_patient(&site.proxy.calls());
    assert_eq!(site.world.get("OAuthClient", "late").await.data["spec"]["state"], json!("Active"));
    operator.stop().await;
}
