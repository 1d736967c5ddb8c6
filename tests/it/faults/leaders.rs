//! Two who think that they lead.

use std::time::{Duration, Instant};

use super::invariants::hold;
use super::proxy::Fault;
use super::site::{Site, named_client};
use crate::controller::harness::eventually;

/// FT-05: a leader is cut off from its Lease in the middle of a walk, and what it wrote last arrives when another leads
/// and has gone on. It changes nothing. OV-6
#[tokio::test]
async fn a_write_of_a_former_leader_comes_too_late() {
    let (mut site, former) = Site::begin().await;
    site.client("portal").await;
    let began = Instant::now();
    let lease = site.proxy.fault(Fault::Silent, |ask| ask.resource == "leases");
    let late = site.proxy.fault(Fault::Late(Duration::from_secs(30)), |ask| ask.writes() && ask.part == "status");
    let mut spec = named_client("portal");
    spec["displayName"] = "By the former".into();
    site.world.apply("OAuthClient", "portal", spec.clone()).await;
    eventually("the last write", async || (late.hits() > 0).then_some(())).await;
    site.world.door = None;
    let next = site.world.operator_named("pod-1").await;
    eventually("the former to step down", async || former.leadership.borrow().is_none().then_some(())).await;
    let stepped_down = Instant::now();
    eventually("the next to lead", async || next.leadership.borrow().map(|_| ())).await;
    spec["displayName"] = "By the next".into();
    spec["state"] = "Suspended".into();
    site.world.apply("OAuthClient", "portal", spec).await;
    site.world.until("OAuthClient", "portal", "Ready", "True", "Suspended").await;
    let arrived = eventually("the last write to arrive", async || {
        let written = site.proxy.asked(|ask| ask.part == "status" && ask.name == "portal");
        written.into_iter().find(|call| call.at > began && call.status != 0)
    })
    .await;
    assert_eq!((arrived.status, arrived.heard), (409, false), "OV-6");
    site.world.until("OAuthClient", "portal", "Ready", "True", "Suspended").await;
    let after = site.proxy.asked(|ask| ask.has_effect());
    let after = after.iter().filter(|call| call.at > stepped_down + Duration::from_secs(5)).count();
    assert_eq!(after, 0, "OV-6: it went on writing");
    late.lift();
    lease.lift();
    hold(&mut site, &next).await;
    former.stop().await;
    next.stop().await;
}

/// FT-05: a Lease that is deleted, and one that somebody else wrote into: whoever leads goes on, alone. OV-6
#[tokio::test]
async fn a_lease_that_was_tampered_with_is_held() {
    use k8s_openapi::api::coordination::v1::Lease;
    use kube::Api;
    use kube::api::{DeleteParams, Patch, PatchParams};
    use serde_json::json;

    let (mut site, operator) = Site::begin().await;
    let epoch = operator.leadership.borrow().unwrap();
    let leases: Api<Lease> = Api::namespaced(site.world.client.clone(), site.world.namespace());
    for turn in 0..20 {
        let labels = Patch::Merge(json!({"metadata": {"labels": {"turn": format!("t{turn}")}}}));
        leases.patch("holdfast", &PatchParams::default(), &labels).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    leases.delete("holdfast", &DeleteParams::default()).await.unwrap();
    eventually("the Lease to be there again", async || leases.get_opt("holdfast").await.unwrap().map(|_| ())).await;
    site.client("portal").await;
    assert_eq!(*operator.leadership.borrow(), Some(epoch));
    hold(&mut site, &operator).await;
    operator.stop().await;
}
