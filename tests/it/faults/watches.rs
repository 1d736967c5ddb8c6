//! Watches that end, break, fall silent or are too old, and what happened meanwhile.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;

use super::invariants::hold;
use super::proxy::Fault;
use super::site::{Site, named_client};
use crate::controller::harness::eventually;
use holdfast::domain::policy::Policy;

/// FT-02: watches that end as soon as they begin are begun again, and not at once.
#[rstest]
#[case::ends(Fault::Ends)]
#[case::breaks(Fault::Torn)]
#[case::is_too_old(Fault::Gone)]
#[case::is_refused_as_too_old(Fault::answer(410, "Expired"))]
#[case::is_refused(Fault::answer(500, "InternalError"))]
#[tokio::test]
async fn a_watch_that_does_not_last(#[case] fault: Fault) {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    let (began, brief) = (Instant::now(), site.proxy.fault(fault, |ask| ask.watch));
    site.proxy.end_watches();
    let mut spec = named_client("portal");
    spec["displayName"] = "Edited".into();
    site.world.apply("OAuthClient", "portal", spec).await;
    eventually("some to fail", async || (brief.hits() > 15).then_some(())).await;
    let watches = 6;
    let most = watches * (began.elapsed().as_secs() as usize + 2);
    let hits = brief.lift();
    assert!(hits <= most, "{hits} watches were begun in {:?}", began.elapsed());
    hold(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-02: dropped over and over, by both ways in which a connection ends, without one bookmark; every edit takes effect.
#[tokio::test]
async fn watches_are_dropped_over_and_over() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    let unmarked = site.proxy.fault(Fault::Unmarked, |ask| ask.watch);
    site.proxy.end_watches();
    for round in 0..6 {
        let mut spec = named_client("portal");
        spec["displayName"] = format!("Name {round}").into();
        site.world.apply("OAuthClient", "portal", spec).await;
        site.world.ready("OAuthClient", "portal").await;
        if round % 2 == 0 { site.proxy.tear_watches() } else { site.proxy.end_watches() }
    }
    hold(&mut site, &operator).await;
    assert!(unmarked.lift() > 20);
    operator.stop().await;
}

/// FT-02: connections of which the other end is gone. What happened meanwhile is found within about a minute.
#[tokio::test]
async fn silent_watches_are_given_up() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    site.proxy.still_watches();
    let began = Instant::now();
    let mut spec = named_client("portal");
    spec["displayName"] = "Edited".into();
    site.world.apply("OAuthClient", "portal", spec).await;
    site.world.ready("OAuthClient", "portal").await;
    assert!(began.elapsed() > Duration::from_secs(5), "the watches were not silent");
    hold(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-02: what is deleted while nobody watches is cleaned up, or kept where it is to be kept. OV-4
#[tokio::test]
async fn what_was_deleted_unseen_is_cleaned_up_or_kept() {
    let (mut site, operator) = Site::begin().await;
    let portal = site.client("portal").await;
    let mut retained = named_client("kept");
    retained["deletionPolicy"] = "Retain".into();
    site.world.apply("OAuthClient", "kept", retained).await;
    let kept = site.world.ready("OAuthClient", "kept").await;
    let blind = site.proxy.fault(Fault::answer(500, "InternalError"), |ask| ask.watch || ask.lists());
    site.proxy.tear_watches();
    eventually("the watches to be gone", async || (blind.hits() > 6).then_some(())).await;
    for name in ["portal", "kept"] {
        site.world.delete("OAuthClient", name).await;
    }
    site.world.until_gone("OAuthClient", "kept").await;
    site.world.apply("OAuthClient", "late", named_client("late")).await;
    blind.lift();
    site.world.until_gone("OAuthClient", "portal").await;
    site.world.event("kept", "Retained").await;
    hold(&mut site, &operator).await;
    let snapshot = operator.store.snapshot();
    let known = |object: &kube::api::DynamicObject| {
        snapshot.client(object.data["status"]["clientID"].as_str().unwrap()).is_some()
    };
    assert!(known(&kept) && !known(&portal));
    assert_eq!(site.token_of("kept").await, 200, "its Secret outlives it, too");
    operator.stop().await;
}

/// FT-02: a list that lacks objects deletes none of them, and nobody who is named by another loses what it has. OV-9
#[tokio::test]
async fn a_list_that_lacks_objects_deletes_nothing() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    let mut server = site.world.get("ResourceServer", "mcp").await.data["spec"].clone();
    server["exchange"] = json!({"mode": "Listed", "clientRefs": [{"name": "portal"}]});
    site.world.apply("ResourceServer", "mcp", server.clone()).await;
    site.world.ready("ResourceServer", "mcp").await;
    let state = async || {
        let rows = "SELECT id || ' ' || state || ' ' || revision FROM client UNION
            SELECT id || ' ' || exchange || ' ' || revision FROM resource_server UNION SELECT id || state FROM credential";
        (site.world.texts(rows).await, site.world.versions().await)
    };
    let before = state().await;
    let empty = site.list_without(&["portal"]).await;
    let fewer = site.proxy.fault(Fault::Body(empty.into()), |ask| ask.lists() && ask.resource == "oauthclients");
    let old = site.proxy.fault(Fault::Gone, |ask| ask.watch && ask.resource == "oauthclients");
    site.proxy.end_watches();
    eventually("the list to be taken", async || (fewer.hits() > 0 && old.hits() > 0).then_some(())).await;
    site.looks(&operator, 12).await;
    assert_eq!(state().await, before, "OV-9");
    assert_eq!(site.token_of("portal").await, 200);
    old.lift();
    fewer.lift();
    hold(&mut site, &operator).await;
    operator.stop().await;
}
