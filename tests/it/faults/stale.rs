//! The API server shows what was some time ago.

use serde_json::Value;

use super::invariants::hold;
use super::proxy::{Fault, Standing};
use super::site::{Site, named_client};
use crate::controller::harness::{Operator, eventually};

/// FT-03: lists of before a suspension, a deletion and a new beginning. Nothing of what was is put in force again, nothing
/// that came since is touched; then time jumps. OV-9
#[tokio::test]
async fn what_was_is_not_put_in_force_again() {
    let (mut site, operator) = Site::begin().await;
    for name in ["portal", "former", "reborn"] {
        site.client(name).await;
    }
    let old = site.list_without(&[]).await;
    suspend_delete_and_begin_anew(&site).await;
    let before = state(&site).await;
    let (lists, watches) = show(&site, old).await;
    site.looks(&operator, 12).await;
    assert_eq!(state(&site).await, before, "OV-9: while it is stale");
    watches.lift();
    lists.lift();
    hold(&mut site, &operator).await;
    assert_eq!(site.world.get("OAuthClient", "portal").await.data["spec"]["state"], "Suspended");
    operator.stop().await;
}

/// FT-03: the same, met by an operator that has just started and knows nothing else. OV-9
#[tokio::test]
async fn nor_by_who_has_just_started() {
    let (mut site, operator) = Site::begin().await;
    for name in ["portal", "former", "reborn"] {
        site.client(name).await;
    }
    let old = site.list_without(&[]).await;
    suspend_delete_and_begin_anew(&site).await;
    operator.stop().await;
    let before = state(&site).await;
    let lists = site.proxy.fault(Fault::Body(old.into()), |ask| ask.lists() && ask.resource == "oauthclients");
    let watches = site.proxy.fault(Fault::Still, |ask| ask.watch && ask.resource == "oauthclients");
    let operator: Operator = site.world.operator().await;
    eventually("the list to be taken", async || (lists.hits() > 0 && watches.hits() > 0).then_some(())).await;
    site.looks(&operator, 12).await;
    assert_eq!(state(&site).await, before, "OV-9: while it is stale");
    watches.lift();
    lists.lift();
    site.proxy.end_watches();
    operator.stop().await;
    let operator = site.world.operator().await;
    hold(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-03: an old list in which the object that was there before is being deleted; its successor of the same name stays.
#[tokio::test]
async fn an_earlier_object_of_the_name_takes_nothing_along() {
    let (mut site, operator) = Site::begin().await;
    site.client("reborn").await;
    let old = site.list_without(&[]).await;
    let mut dying: Value = serde_json::from_str(&old).unwrap();
    for item in dying["items"].as_array_mut().unwrap() {
        if item["metadata"]["name"] == "reborn" {
            item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
    }
    site.world.delete("OAuthClient", "reborn").await;
    site.world.until_gone("OAuthClient", "reborn").await;
    site.client("reborn").await;
    let before = state(&site).await;
    let (lists, watches) = show(&site, dying.to_string()).await;
    site.looks(&operator, 8).await;
    assert_eq!(state(&site).await, before, "OV-9: while it is stale");
    watches.lift();
    lists.lift();
    hold(&mut site, &operator).await;
    assert_eq!(site.token_of("reborn").await, 200);
    operator.stop().await;
}

async fn suspend_delete_and_begin_anew(site: &Site) {
    let mut spec = named_client("portal");
    spec["state"] = "Suspended".into();
    site.world.apply("OAuthClient", "portal", spec).await;
    site.world.until("OAuthClient", "portal", "Ready", "True", "Suspended").await;
    for name in ["former", "reborn"] {
        site.world.delete("OAuthClient", name).await;
        site.world.until_gone("OAuthClient", name).await;
    }
    site.client("reborn").await;
    site.client("late").await;
    // Events and collections of Secrets come after
    eventually("all to be told", async || {
        let waiting = site.world.count("SELECT COUNT(*) FROM report WHERE reported_at IS NULL").await;
        (waiting == 0 && site.world.secrets().get_opt("former-oauth").await.unwrap().is_none()).then_some(())
    })
    .await;
}

/// Has the watch on clients begin with this list, and say nothing more.
async fn show(site: &Site, list: String) -> (Standing, Standing) {
    let lists = site.proxy.fault(Fault::Body(list.into()), |ask| ask.lists() && ask.resource == "oauthclients");
    let old = site.proxy.fault(Fault::Gone, |ask| ask.watch && ask.resource == "oauthclients");
    site.proxy.end_watches();
    eventually("the list to be taken", async || (lists.hits() > 0).then_some(())).await;
    (lists, old)
}

async fn state(site: &Site) -> (Vec<String>, Vec<String>) {
    let rows = "SELECT id || ' ' || state || ' ' || revision FROM client UNION
        SELECT principal || state || id FROM credential";
    let rows = site.world.texts(rows).await;
    let mut versions = site.world.versions().await;
    versions.retain(|version| !version.starts_with("Event"));
    (rows, versions)
}
