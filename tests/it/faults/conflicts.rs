//! Others write at the same time.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::invariants::hold;
use super::proxy::{Ask, Fault};
use super::site::{Site, named_client};
use crate::controller::harness::eventually;

async fn edit(site: &Site, name: &str, text: &str) {
    let mut spec = named_client(name);
    spec["displayName"] = text.into();
    site.world.apply("OAuthClient", name, spec).await;
}

fn is_kept(ask: &Ask) -> bool {
    ask.writes() && ask.resource != "events"
}

/// FT-04: each n-th write meets a conflict, the Lease's too. Nobody loses the lead, and all is done. OV-1, OV-2
#[rstest]
#[case::second(2)]
#[case::third(3)]
#[tokio::test]
async fn conflicts_are_met_with_another_look(#[case] every: usize) {
    let (mut site, operator) = Site::begin().await;
    let epoch = operator.leadership.borrow().unwrap();
    let conflicts = site.proxy.every(every, Fault::answer(409, "Conflict"), is_kept);
    site.client("portal").await;
    site.client("former").await;
    edit(&site, "portal", "Edited").await;
    site.world.delete("OAuthClient", "former").await;
    site.world.until_gone("OAuthClient", "former").await;
    hold(&mut site, &operator).await;
    assert!(conflicts.lift() > 3);
    assert_eq!(*operator.leadership.borrow(), Some(epoch));
    operator.stop().await;
}

/// FT-04: nothing but conflicts for a while: each object is tried less and less often, and then all is done.
#[tokio::test]
async fn a_storm_of_conflicts_is_sat_out() {
    let (mut site, operator) = Site::begin().await;
    let storm = site.proxy.fault(Fault::answer(409, "Conflict"), |ask| ask.has_effect());
    edit(&site, "portal", "First").await;
    edit(&site, "late", "Late").await;
    eventually("the storm to be felt", async || (storm.hits() > 9).then_some(())).await;
    edit(&site, "portal", "Second").await;
    storm.lift();
    site.world.ready("OAuthClient", "portal").await;
    hold(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-04: somebody writes labels all the time, to the object and to its Secret.
#[tokio::test]
async fn a_second_writer_is_borne() {
    let (mut site, operator) = Site::begin().await;
    site.client("portal").await;
    let stop = CancellationToken::new();
    let (objects, secrets) = (site.world.api("OAuthClient", site.world.namespace()), site.world.secrets());
    let writer = tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        for turn in 0.. {
            let labels = Patch::Merge(json!({"metadata": {"labels": {"turn": format!("t{turn}")}}}));
            let _ = objects.patch("portal", &PatchParams::default(), &labels).await;
            let _ = secrets.patch("portal-oauth", &PatchParams::default(), &labels).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }));
    for text in ["First", "Second", "Third"] {
        edit(&site, "portal", text).await;
        site.world.ready("OAuthClient", "portal").await;
    }
    let mut spec = named_client("portal");
    spec["authentication"]["secret"]["template"] = json!({"labels": {"team": "web"}});
    site.world.apply("OAuthClient", "portal", spec).await;
    let secrets: Api<Secret> = site.world.secrets();
    eventually("the template to be followed", async || {
        let labels = secrets.get("portal-oauth").await.unwrap().metadata.labels.unwrap();
        labels.contains_key("team").then_some(())
    })
    .await;
    stop.cancel();
    writer.await.unwrap();
    hold(&mut site, &operator).await;
    operator.stop().await;
}

/// FT-04: another field manager takes the status by force, over and over; it has the last word for a moment only. OV-10
#[tokio::test]
async fn a_status_that_somebody_else_wrote_does_not_stand() {
    let (mut site, operator) = Site::begin().await;
    let generation = site.client("portal").await.metadata.generation;
    let api = site.world.api("OAuthClient", site.world.namespace());
    for turn in 0..10 {
        let lie = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": {"name": "portal"},
            "status": {"observedGeneration": generation, "conditions": [{
                "type": "Ready", "status": "False", "reason": "Chaos", "message": format!("turn {turn}"),
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation,
            }]},
        });
        api.patch_status("portal", &PatchParams::apply("chaos").force(), &Patch::Apply(lie)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    hold(&mut site, &operator).await;
    operator.stop().await;
}
