//! What enforcement points say that they run, and what is made of it.

use holdfast::activity::{Activity, Surveyed};
use holdfast::domain::Epoch;
use holdfast::domain::enforcement::{Enforcement, Instance, PolicyTag};
use holdfast::domain::{Actor, Kind, OwnerKey, Spec};
use holdfast::store::{EnforcementPoint, Store};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use super::policy::{Point, billing, soon};
use crate::oauth::harness::{Server, now, server};
use crate::store::engine::Engine;

/// How the billing resource stands.
async fn survey(server: &Server) -> Surveyed {
    let all = server.activity.survey(Epoch(0)).await.unwrap();
    all.into_iter().find(|surveyed| surveyed.id == "rs_billing").unwrap()
}

async fn running(store: &Store) -> Vec<(PolicyTag, i64)> {
    let running = store.read().await.unwrap().running(Some("rs_billing"), Timestamp::UNIX_EPOCH).await.unwrap();
    running.into_iter().map(|running| (running.tag, running.points)).collect()
}

/// Waits until so many are reporting, and so many of them run the policy in force.
async fn until(server: &Server, reporting: i64, current: i64) -> Surveyed {
    soon(&format!("{current} of {reporting}"), async || {
        let surveyed = survey(server).await;
        let found = (surveyed.coverage.reporting, surveyed.coverage.current);
        (found == (reporting, current)).then_some(surveyed)
    })
    .await
}

/// D10: what an enforcement point holds when it asks is what it runs.
#[tokio::test]
async fn a_change_is_followed_point_by_point() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let mut word = server.activity.changes();
    let (mut one, mut two) = (Point::new(&server, "pod-0"), Point::new(&server, "pod-1"));
    for point in [&mut one, &mut two] {
        assert_eq!(point.refresh().await, 200);
    }
    assert_eq!(survey(&server).await.coverage, Default::default(), "nobody runs what it was only just given");
    for point in [&mut one, &mut two] {
        assert_eq!(point.refresh().await, 304);
    }
    let surveyed = until(&server, 2, 2).await;
    assert_eq!(surveyed.coverage.lacking_since, None);
    let owner = OwnerKey::new(Kind::ResourceServer, "billing", "billing");
    assert_eq!((surveyed.owner, word.try_recv()), (Some(owner.clone()), Ok(owner.clone())));

    server.put_billing(json!({"tools": []})).await;
    let surveyed = until(&server, 2, 0).await;
    let since = surveyed.coverage.lacking_since.unwrap();
    server.put_billing(json!({})).await;
    assert_eq!(until(&server, 2, 0).await.coverage.lacking_since, Some(since), "the first version that they lack");
    assert_eq!((one.refresh().await, one.refresh().await), (200, 304));
    assert_eq!(until(&server, 2, 1).await.coverage.lacking_since, Some(since), "the slowest counts");
    assert_eq!((two.refresh().await, two.refresh().await), (200, 304));
    assert_eq!(until(&server, 2, 2).await.coverage.lacking_since, None);
    assert!(word.try_recv().is_ok(), "the object is to be looked at again");
}

/// The hot path writes only what is news.
#[tokio::test]
async fn the_same_again_is_written_once_in_a_third_of_the_ttl() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let mut point = Point::new(&server, "pod-0");
    point.refresh().await;
    point.refresh().await;
    until(&server, 1, 1).await;
    let path = server.directory.as_ref().unwrap().path().join("holdfast.db");
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let sql = "SELECT seen_at FROM enforcement_point WHERE instance = 'pod-0'";
    let mut seen = async || sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap();
    let first = seen().await;
    server.clock.advance(99);
    point.refresh().await;
    // another one is written after it, so what was to be written before is there
    let mut other = Point::new(&server, "pod-1");
    other.refresh().await;
    other.refresh().await;
    until(&server, 2, 2).await;
    assert_eq!(seen().await, first);
    server.clock.advance(2);
    point.refresh().await;
    soon("the second report", async || (seen().await > first).then_some(())).await;
}

/// Who is silent for three times the ttl is forgotten, row and all.
#[tokio::test]
async fn a_silent_point_is_forgotten() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let mut point = Point::new(&server, "pod-0");
    point.refresh().await;
    point.refresh().await;
    until(&server, 1, 1).await;
    server.clock.advance(899);
    until(&server, 1, 1).await;
    server.clock.advance(2);
    until(&server, 0, 0).await;
    assert_eq!(running(&server.store).await, []);
}

/// Nobody is counted who does not say who it is, what it holds, or has another's policy; a strange name is refused.
#[tokio::test]
async fn only_a_whole_report_counts() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let held = server.policy_of("rs_billing", "rs_billing", "", &[]).await.header("etag").to_owned();
    let point = ("holdfast-enforcement-point", "pod-0");
    for headers in [vec![("if-none-match", held.as_str())], vec![point], vec![point, ("if-none-match", "\"a\"")]] {
        assert!([200, 304].contains(&server.policy_of("gateway", "rs_billing", "", &headers).await.status));
    }
    for (who, id) in [("reporter", "rs_billing"), ("rs_eddsa", "rs_billing")] {
        server.policy_of(who, id, "", &[point, ("if-none-match", &held)]).await;
    }
    let strange = server.policy_of("gateway", "rs_billing", "", &[("holdfast-enforcement-point", "a b")]).await;
    assert_eq!((strange.status, strange.error().as_str()), (400, "invalid_request"));
    assert!(strange.text.contains("Holdfast-Enforcement-Point"), "{}", strange.text);
    let last = [("holdfast-enforcement-point", "pod-9"), ("if-none-match", held.as_str())];
    server.policy_of("gateway", "rs_billing", "", &last).await;
    until(&server, 1, 1).await;
    assert!(server.metric("holdfast_policy_refreshes_total{outcome=\"invalid\"} 1"));
}

fn point(instance: &str, version: i64, seen: i64) -> EnforcementPoint {
    EnforcementPoint {
        resource_server_id: "rs_billing".to_owned(),
        instance: Instance::parse(instance).unwrap(),
        tag: PolicyTag { version, hash: "0123456789abcdef".to_owned() },
        reported_by: Actor::client("rs_billing"),
        seen_at: Timestamp::from_second(now().as_second() + seen).unwrap(),
    }
}

/// Only so many of one resource server are kept, an older report never replaces a newer one, and all go with the
/// resource server.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn points_are_kept_in_bounds(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put("rs_billing", &billing(json!({})), None, now()).await.unwrap();
    let cases = [("a", 1, 10, true), ("b", 1, 10, true), ("c", 1, 10, false), ("a", 2, 20, true), ("a", 1, 15, false)];
    for (instance, version, seen, kept) in cases {
        let written = tx.put_enforcement_point(&point(instance, version, seen), 2).await.unwrap();
        assert_eq!(written, kept, "{instance} {version} {seen}");
    }
    let stranger = EnforcementPoint { resource_server_id: "rs_gone".to_owned(), ..point("a", 1, 10) };
    assert!(!tx.put_enforcement_point(&stranger, 2).await.unwrap(), "of a resource server that there is not");
    tx.commit().await.unwrap();
    let versions: Vec<(i64, i64)> = running(&store).await.into_iter().map(|(tag, n)| (tag.version, n)).collect();
    assert_eq!(versions, [(1, 1), (2, 1)]);

    let before = Timestamp::from_second(now().as_second() + 15).unwrap();
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    assert!(tx.has_silent_enforcement_points(before).await.unwrap());
    assert_eq!(tx.forget_enforcement_points(before).await.unwrap(), 1);
    assert!(!tx.has_silent_enforcement_points(before).await.unwrap());
    assert!(tx.in_force_after("rs_billing", 0).await.unwrap().is_some());
    assert_eq!(tx.in_force_after("rs_billing", i64::MAX).await.unwrap(), None);
    tx.delete(Kind::ResourceServer, "rs_billing").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(running(&store).await, []);
}

/// After a restore an enforcement point may hold a version that is yet to come, or the same number with another text.
#[tokio::test]
async fn a_restored_database_does_not_call_another_policy_current() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let tag = server.activity.policy("rs_billing").unwrap().tag.clone();
    for (instance, version) in [("same-number", tag.version), ("ahead", tag.version + 1000)] {
        let mut tx = server.store.write(&Actor::server()).await.unwrap();
        tx.put_enforcement_point(&point(instance, version, 0), 10).await.unwrap();
        tx.commit().await.unwrap();
    }
    let surveyed = until(&server, 2, 0).await;
    assert!(surveyed.coverage.lacking_since.is_some());
    let Spec::ResourceServer(policy) = billing(json!({})) else { unreachable!() };
    let activity: &Activity = &server.activity;
    let standing = activity.standing("rs_billing", &policy, tag.version).await.unwrap();
    assert_eq!((standing.coverage.reporting, standing.coverage.current), (2, 0));
}
