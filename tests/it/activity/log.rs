//! When a log begins, what is listed of it, and who may dismiss what.

use std::sync::Arc;

use holdfast::activity::{Activity, Parts, Rules};
use holdfast::domain::observer::Unobserved;
use holdfast::domain::{ActivityFilter, ActivityType, Actor, Clock};
use rstest::rstest;
use serde_json::json;

use super::stage::{Stage, edited};
use crate::store::engine::Engine::{self, Postgres, Sqlite};

fn room(stage: &Stage) -> Activity {
    let (store, clock) = (stage.house.store.clone(), stage.house.clock.clone());
    let (issuer, rules) = (String::new(), Rules::default());
    Activity::new(Parts { store, clock, observer: Arc::new(Unobserved), issuer, rules })
}

/// D3
#[rstest]
#[tokio::test]
async fn a_log_begins_at_the_first_launch_and_survives_a_draft(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::empty(engine).await;
    let room = room(&stage);
    let all = ActivityFilter::default();
    assert!(room.log("rs_never", &all, 10).await.unwrap().is_none());
    stage.house.apply(&stage.provider).await;
    let draft = edited(&stage.server, "lifecycle", json!("Draft"));
    stage.id = stage.house.apply(&draft).await.entity_id;
    let draft = edited(&draft, "displayName", json!("Before"));
    stage.house.apply(&draft).await;
    let page = room.log(&stage.id, &all, 10).await.unwrap().unwrap();
    assert!(page.launch.is_none() && page.records.is_empty() && page.next.is_none());
    // meant to be live, and not ready for it
    let unready = edited(&stage.server, "scopes", json!([]));
    stage.house.apply(&unready).await;
    assert!(room.log(&stage.id, &all, 10).await.unwrap().unwrap().launch.is_none());
    stage.house.apply(&stage.server).await;
    assert_eq!(stage.fresh().await, ["launched"]);
    let launch = room.log(&stage.id, &all, 10).await.unwrap().unwrap().launch.unwrap();
    assert_eq!(launch.by, Actor::controller());
    stage.house.apply(&draft).await;
    assert_eq!(stage.fresh().await, ["display_name_changed", "lifecycle_changed"].map(|t| t), "and goes on");
    stage.house.apply(&stage.server).await;
    assert_eq!(stage.fresh().await, ["display_name_changed", "lifecycle_changed"]);
    assert_eq!(room.log(&stage.id, &all, 10).await.unwrap().unwrap().launch.unwrap(), launch, "launched once");
}

/// What an earlier version launched has a log from the first leader of this one on.
#[rstest]
#[tokio::test]
async fn what_is_live_already_is_launched_by_the_leader(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    stage.house.database.sql("DELETE FROM launch").await;
    stage.house.store.settle_launches(stage.epoch(), stage.house.clock.now()).await.unwrap();
    let told = stage.news().await;
    assert_eq!(
        (told.len(), told[0].activity.event, told[0].cause.actor.as_str()),
        (1, ActivityType::Launched, "server")
    );
    stage.house.store.settle_launches(stage.epoch(), stage.house.clock.now()).await.unwrap();
    assert_eq!(stage.fresh().await, [] as [&str; 0]);
}

/// D4
#[rstest]
#[tokio::test]
async fn pages_are_whole_and_filters_hold(#[values(Sqlite, Postgres)] engine: Engine) {
    let stage = Stage::on(engine).await;
    for round in 0..7 {
        stage.house.apply(&edited(&stage.server, "displayName", json!(format!("X{round}")))).await;
    }
    let room = room(&stage);
    let mut filter = ActivityFilter::default();
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = room.log(&stage.id, &filter, 4).await.unwrap().unwrap();
        assert!(page.records.len() <= 4);
        seen.extend(page.records.iter().map(|record| record.id));
        pages += 1;
        filter.before = page.next;
        if filter.before.is_none() {
            break;
        }
    }
    let mut newest_first: Vec<i64> = stage.log().await.iter().map(|record| record.id).collect();
    newest_first.reverse();
    assert_eq!((seen, pages), (newest_first, 3), "9 records");
    let count = async |filter: ActivityFilter| room.log(&stage.id, &filter, 100).await.unwrap().unwrap().records.len();
    let all = ActivityFilter::default;
    assert_eq!(count(ActivityFilter { types: vec![ActivityType::DisplayNameChanged], ..all() }).await, 7);
    let two = vec![ActivityType::Launched, ActivityType::ClientAttached];
    assert_eq!(count(ActivityFilter { types: two, ..all() }).await, 2);
    let first = stage.log().await[2].cause.at;
    let (since, until) =
        (ActivityFilter { since: Some(first), ..all() }, ActivityFilter { until: Some(first), ..all() });
    assert_eq!(count(since).await + count(until).await, 9, "from then on, and before then");
    assert_eq!(count(ActivityFilter { dismissed: Some(true), ..all() }).await, 0);
    assert_eq!(count(ActivityFilter { dismissed: Some(false), ..all() }).await, 9);
}

/// D4: by the id of its own resource server only; who was first stays.
#[rstest]
#[tokio::test]
async fn a_record_is_dismissed_once_and_by_its_own_server_only(#[values(Sqlite, Postgres)] engine: Engine) {
    let stage = Stage::on(engine).await;
    let (room, record) = (room(&stage), stage.log().await[0].id);
    let (anna, ben) = (Actor::api_key("anna"), Actor::api_key("ben"));
    assert!(room.dismiss("rs_other", record, &anna).await.unwrap().is_none());
    assert!(room.dismiss(&stage.id, record + 1000, &anna).await.unwrap().is_none());
    assert!(stage.log().await[0].dismissed.is_none());
    let first = room.dismiss(&stage.id, record, &anna).await.unwrap().unwrap().dismissed.unwrap();
    assert_eq!(first.1, anna);
    assert_eq!(room.dismiss(&stage.id, record, &ben).await.unwrap().unwrap().dismissed.unwrap(), first);
    let mut tx = stage.house.store.read().await.unwrap();
    assert_eq!(tx.undismissed(&stage.id).await.unwrap(), 1);
    assert_eq!(stage.log().await.len(), 2, "nothing is deleted");
}
