//! What happens to a Secret behind the operator's back.

use holdfast::domain::SecretText;
use holdfast::domain::policy::Policy;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};

use super::invariants::{hold, hold_but};
use super::site::{Site, now};
use crate::controller::harness::{Operator, eventually};

/// Whether a value opens a client, as the policy in force has it.
fn opens(operator: &Operator, id: &str, value: &str) -> bool {
    let (hash, now) = (SecretText::new(value).hash(), now());
    operator.store.snapshot().client(id).unwrap().credentials.iter().any(|c| c.hash == hash && c.is_live(now))
}

async fn portal(site: &Site) -> (String, String) {
    site.client("portal").await;
    (site.world.secret("portal-oauth", "client_id").await, site.world.secret("portal-oauth", "client_secret").await)
}

/// FT-07: emptied, robbed of a key, or deleted: there is a new credential in it soon, and the one before works on for its
/// overlap. OV-3, K5
#[rstest]
#[case::emptied(Some(json!({"data": null})))]
#[case::robbed(Some(json!({"data": {"client_secret": null}})))]
#[case::deleted(None)]
#[tokio::test]
async fn a_secret_that_lost_its_credential(#[case] change: Option<Value>) {
    let (mut site, operator) = Site::begin().await;
    let (id, before) = portal(&site).await;
    let secrets = site.world.secrets();
    match change {
        Some(change) => {
            secrets.patch("portal-oauth", &PatchParams::default(), &Patch::Merge(change)).await.map(drop).unwrap();
        }
        None => secrets.delete("portal-oauth", &DeleteParams::default()).await.map(drop).unwrap(),
    }
    let after = eventually("a new credential", async || {
        let secret = secrets.get_opt("portal-oauth").await.unwrap()?;
        let value = String::from_utf8(secret.data?.get("client_secret")?.0.clone()).unwrap();
        assert!(opens(&operator, &id, &before), "K5: the one before works on");
        (value != before).then_some(value)
    })
    .await;
    hold(&mut site, &operator).await;
    assert!(opens(&operator, &id, &before) && opens(&operator, &id, &after));
    assert_eq!(site.token_of("portal").await, 200);
    operator.stop().await;
}

/// FT-07: a value that was cut short is somebody's own doing and is left as it is; what worked goes on working.
#[tokio::test]
async fn a_secret_that_was_cut_short_is_left_and_told() {
    let (mut site, operator) = Site::begin().await;
    let (id, before) = portal(&site).await;
    let cut = Patch::Merge(json!({"stringData": {"client_secret": &before[..10]}}));
    site.world.secrets().patch("portal-oauth", &PatchParams::default(), &cut).await.unwrap();
    site.world.until("OAuthClient", "portal", "SecretCurrent", "False", "SecretConflict").await;
    hold_but(&mut site, &operator, &[("portal", "SecretConflict")]).await;
    assert_eq!(site.world.secret("portal-oauth", "client_secret").await, before[..10]);
    assert!(opens(&operator, &id, &before));
    operator.stop().await;
}

/// FT-07: made again by somebody else, with another uid: as it was, it is taken as ours; of another type and without our
/// marker, it is somebody else's.
#[rstest]
#[case::as_it_was(true)]
#[case::as_another(false)]
#[tokio::test]
async fn a_secret_that_was_made_again(#[case] as_it_was: bool) {
    let (mut site, operator) = Site::begin().await;
    let (id, before) = portal(&site).await;
    let secrets = site.world.secrets();
    let mut copy: Secret = secrets.get("portal-oauth").await.unwrap();
    let version = copy.metadata.uid.take();
    (copy.metadata.resource_version, copy.metadata.managed_fields) = (None, None);
    if !as_it_was {
        copy.metadata.owner_references = None;
        copy.metadata.annotations = None;
        copy.type_ = Some("example.com/other".to_owned());
    }
    // nobody looks while it is replaced, as in a restore
    operator.stop().await;
    secrets.delete("portal-oauth", &DeleteParams::default()).await.unwrap();
    eventually("it to go", async || secrets.get_opt("portal-oauth").await.unwrap().is_none().then_some(())).await;
    let copy = secrets.create(&PostParams::default(), &copy).await.unwrap();
    assert_ne!(copy.metadata.uid, version);
    let operator = site.world.operator().await;
    if as_it_was {
        hold(&mut site, &operator).await;
        assert_eq!(site.world.secret("portal-oauth", "client_secret").await, before, "the same credential");
        assert_eq!(site.token_of("portal").await, 200);
    } else {
        site.world.until("OAuthClient", "portal", "SecretCurrent", "False", "SecretConflict").await;
        hold_but(&mut site, &operator, &[("portal", "SecretConflict")]).await;
        let left = secrets.get("portal-oauth").await.unwrap();
        assert_eq!(left.metadata.resource_version, copy.metadata.resource_version);
    }
    assert!(opens(&operator, &id, &before));
    operator.stop().await;
}
