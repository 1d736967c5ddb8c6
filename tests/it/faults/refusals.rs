//! The API server answers, and will not: no room, no rights, nothing but reading.

use rstest::rstest;

use super::invariants::{hold, hold_but};
use super::proxy::Fault;
use super::site::{Site, named_client};
use crate::controller::harness::{condition, eventually};

/// FT-11: a quota that leaves no room for a Secret, and rights that are taken away. It is said, nothing is lost, and the
/// Secret comes as soon as it may. OV-10
#[rstest]
#[case::quota(Fault::answer(403, "Forbidden"), "POST")]
#[case::rights(Fault::answer(403, "Forbidden"), "GET")]
#[tokio::test]
async fn a_secret_that_may_not_be(#[case] fault: Fault, #[case] method: &'static str) {
    let (mut site, operator) = Site::begin().await;
    let refused =
        site.proxy.fault(fault, move |ask| ask.resource == "secrets" && !ask.watch && ask.method.as_str() == method);
    site.world.apply("OAuthClient", "late", named_client("late")).await;
    let said = site.world.until("OAuthClient", "late", "SecretCurrent", "False", "SecretInvalid").await;
    assert!(condition(&said, "SecretCurrent").message.contains("late-oauth"));
    assert_eq!(condition(&said, "Ready").reason, "SecretInvalid");
    refused.lift();
    site.world.ready("OAuthClient", "late").await;
    hold(&mut site, &operator).await;
    assert_eq!(site.token_of("late").await, 200);
    operator.stop().await;
}

/// FT-11: a full etcd and an API server that only reads. Policy is in force all the same; what could not be said is said
/// later. OV-1, OV-12
#[rstest]
#[case::full(Fault::answer(500, "etcdserver: mvcc: database space exceeded"))]
#[case::reads_only(Fault::answer(405, "MethodNotAllowed"))]
#[tokio::test]
async fn an_api_server_that_takes_no_writes(#[case] fault: Fault) {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    let full = site.proxy.fault(fault, |ask| ask.writes());
    let mut spec = named_client("portal");
    spec["displayName"] = "Edited".into();
    site.world.apply("OAuthClient", "portal", spec).await;
    eventually("the edit to be in force", async || {
        let named = "SELECT COUNT(*) FROM client WHERE display_name = 'Edited'";
        (site.world.count(named).await == 1 && full.hits() > 8).then_some(())
    })
    .await;
    full.lift();
    site.world.event("portal", "Updated").await;
    hold(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-11: no rights to publish Events: the conditions tell the story, and nothing waits for it.
#[tokio::test]
async fn events_that_may_not_be() {
    let (mut site, operator) = Site::begin().await;
    let refused = site.proxy.fault(Fault::answer(403, "Forbidden"), |ask| ask.writes() && ask.resource == "events");
    let mut spec = named_client("late");
    spec["resources"][0]["resourceServerRef"]["name"] = "nowhere".into();
    site.world.apply("OAuthClient", "late", spec).await;
    site.world.until("OAuthClient", "late", "ResolvedRefs", "False", "RefNotFound").await;
    eventually("an Event to be refused", async || (refused.hits() > 0).then_some(())).await;
    hold_but(&mut site, &operator, &[("late", "RefNotFound")]).await;
    operator.stop().await;
}

/// FT-01: Events that cannot be told for long are told whole once they can: what was tried again and again is no flood.
#[tokio::test]
async fn events_that_cannot_be_told_for_long() {
    let (mut site, operator) = Site::begin().await;
    let failing = site.proxy.fault(Fault::answer(500, "InternalError"), |ask| ask.writes() && ask.resource == "events");
    site.client("late").await;
    for name in ["First", "Second", "Third"] {
        let mut spec = named_client("late");
        spec["displayName"] = name.into();
        site.world.apply("OAuthClient", "late", spec).await;
        site.world.ready("OAuthClient", "late").await;
    }
    // more than one object may have, did each attempt count
    eventually("many attempts", async || (failing.hits() > 50).then_some(())).await;
    failing.lift();
    hold(&mut site, &operator).await;
    let told = site.world.events("late").await;
    let times = |reason: &str| told.iter().filter(|event| event.1 == reason).count();
    assert_eq!((times("SecretGenerated"), times("Updated"), times("EventsSummarized")), (1, 3, 0), "{told:?}");
    operator.stop().await;
}
