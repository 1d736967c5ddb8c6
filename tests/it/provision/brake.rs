//! The brake on both engines: what passes, what waits, what confirming lets go, and that a restart forgets nothing.

use holdfast::domain::brake::Limits;
use holdfast::domain::{Actor, DeletionPolicy, Desired, Kind, OwnerKey, Reason};
use holdfast::provision::Removed;
use rstest::rstest;

use super::{House, client, reasons};
use crate::store::engine::Engine::{self, Postgres, Sqlite};

const LIMITS: Limits = Limits { per_namespace: 2, overall: 4 };

async fn clients(house: &House, namespace: &str, count: usize) -> Vec<OwnerKey> {
    let mut owners = Vec::new();
    for number in 0..count {
        let name = format!("{namespace}-{number}");
        let mut object: Desired = client(&name);
        object.owner.key.namespace = namespace.to_owned();
        object.owner.namespace_uid = format!("uid-of-{namespace}");
        house.apply(&object).await;
        owners.push(object.owner.key);
    }
    house.told().await;
    owners
}

async fn delete(house: &House, owner: &OwnerKey) -> Removed {
    house.provisioner.remove(owner, DeletionPolicy::Delete, "object").await.unwrap()
}

/// The id of the brake that holds it.
fn held(removed: Removed) -> String {
    match removed {
        Removed::Held(held) => {
            assert!(held.note.contains(&format!("holdfast brake confirm {}", held.brake_id)), "{}", held.note);
            held.brake_id
        }
        other => panic!("{other:?}"),
    }
}

async fn is_in_force(house: &House, owner: &OwnerKey) -> bool {
    house.spec(Kind::OAuthClient, &owner.name).await.is_some()
}

/// mechanics §6: what is beyond the limit waits, is told once, and stays in force.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn the_deletion_too_many_waits_and_the_row_stays(#[case] engine: Engine) {
    let house = House::braked(engine, LIMITS).await;
    let (web, other) = (clients(&house, "web", 4).await, clients(&house, "other", 1).await);
    for owner in &web[..2] {
        assert_eq!(delete(&house, owner).await, Removed::Deleted);
    }
    house.told().await;
    let id = held(delete(&house, &web[2]).await);
    assert_eq!(held(delete(&house, &web[3]).await), id, "one brake for the namespace");
    assert_eq!(held(delete(&house, &web[2]).await), id);
    let told = house.told().await;
    assert_eq!(reasons(&told), [Reason::MassChangeBrake; 2], "once for each");
    assert!(told[0].2.contains("namespace web"), "{}", told[0].2);
    assert!(is_in_force(&house, &web[2]).await && is_in_force(&house, &web[3]).await);
    assert_eq!(delete(&house, &other[0]).await, Removed::Deleted, "another namespace is not held");
    let open = house.provisioner.brakes().await.unwrap();
    assert_eq!(open.iter().map(|brake| brake.held.len()).collect::<Vec<_>>(), [2]);
}

/// mechanics §6: exactly what is held under an id goes, by that id alone.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn confirming_lets_go_what_is_held_under_that_id_and_nothing_else(#[case] engine: Engine) {
    let house = House::braked(engine, LIMITS).await;
    let (provisioner, admin) = (&house.provisioner, Actor::api_key("admin"));
    let web = clients(&house, "web", 4).await;
    for owner in &web[..2] {
        delete(&house, owner).await;
    }
    let id = held(delete(&house, &web[2]).await);
    assert_eq!(provisioner.confirm_brake("brake-0000000000000000", &admin).await.unwrap(), None);
    assert_eq!(held(delete(&house, &web[2]).await), id, "a wrong id changes nothing");
    assert_eq!(provisioner.confirm_brake(&id, &admin).await.unwrap(), Some(vec![web[2].clone()]));
    assert_eq!(delete(&house, &web[2]).await, Removed::Deleted);
    let next = held(delete(&house, &web[3]).await);
    assert_ne!(next, id, "what comes later is another brake's");
    assert_eq!(provisioner.confirm_brake(&id, &admin).await.unwrap(), None, "an old id is no id");
    assert_eq!(held(delete(&house, &web[3]).await), next);
}

/// mechanics §6: the window slides.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn deletions_count_for_a_minute(#[case] engine: Engine) {
    let house = House::braked(engine, LIMITS).await;
    let web = clients(&house, "web", 4).await;
    for (owner, wait) in web[..3].iter().zip([0, 40, 30]) {
        house.clock.advance(wait);
        assert_eq!(delete(&house, owner).await, Removed::Deleted, "{owner}");
    }
    held(delete(&house, &web[3]).await);
}

/// mechanics §6: many namespaces at once open the brake of all.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn too_many_overall_hold_every_namespace(#[case] engine: Engine) {
    let house = House::braked(engine, LIMITS).await;
    for namespace in ["a", "b"] {
        for owner in &clients(&house, namespace, 2).await {
            assert_eq!(delete(&house, owner).await, Removed::Deleted);
        }
    }
    let (c, d) = (clients(&house, "c", 1).await, clients(&house, "d", 1).await);
    let id = held(delete(&house, &c[0]).await);
    assert_eq!(held(delete(&house, &d[0]).await), id);
    assert_eq!(house.provisioner.confirm_brake(&id, &Actor::recorded("cli")).await.unwrap().unwrap().len(), 2);
    assert_eq!(delete(&house, &d[0]).await, Removed::Deleted);
}

/// mechanics §6: a release destroys nothing; it passes, and ends the waiting of what waited.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn releases_pass_and_what_comes_back_waits_no_more(#[case] engine: Engine) {
    let house = House::braked(engine, LIMITS).await;
    let web = clients(&house, "web", 8).await;
    for owner in &web[..4] {
        let removed = house.provisioner.remove(owner, DeletionPolicy::Retain, "object").await.unwrap();
        assert_eq!(removed, Removed::Retained);
    }
    for owner in &web[4..6] {
        assert_eq!(delete(&house, owner).await, Removed::Deleted);
    }
    held(delete(&house, &web[6]).await);
    held(delete(&house, &web[7]).await);
    let removed = house.provisioner.remove(&web[6], DeletionPolicy::Retain, "object").await.unwrap();
    assert_eq!(removed, Removed::Retained, "the escape");
    house.provisioner.withdraw_deletion(&web[7]).await.unwrap();
    assert_eq!(house.provisioner.brakes().await.unwrap(), [], "a brake that holds nothing is over");
    assert!(is_in_force(&house, &web[6]).await && is_in_force(&house, &web[7]).await);
}

/// K11, mechanics §6: window, id and what is held are rows.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn the_next_leader_knows_the_brake(#[case] engine: Engine) {
    let house = House::braked(engine, LIMITS).await;
    let web = clients(&house, "web", 4).await;
    for owner in &web[..2] {
        delete(&house, owner).await;
    }
    let id = held(delete(&house, &web[2]).await);
    house.told().await;
    let next = house.successor(LIMITS).await;
    let again = next.remove(&web[2], DeletionPolicy::Delete, "object").await.unwrap();
    assert_eq!(held(again), id);
    assert_eq!(held(next.remove(&web[3], DeletionPolicy::Delete, "object").await.unwrap()), id);
    assert!(house.provisioner.remove(&web[3], DeletionPolicy::Retain, "object").await.unwrap_err().is_fenced());
}

/// A confirmation leaves a record of who it was.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn who_confirms_is_on_record(#[case] engine: Engine) {
    let house = House::braked(engine, Limits { per_namespace: 1, overall: 0 }).await;
    let web = clients(&house, "web", 2).await;
    delete(&house, &web[0]).await;
    let id = held(delete(&house, &web[1]).await);
    house.provisioner.confirm_brake(&id, &Actor::api_key("night-shift")).await.unwrap();
    let sql = format!("SELECT 1 FROM audit WHERE who = 'apikey:night-shift' AND detail LIKE '%{id}%'");
    assert_eq!(house.database.number(&format!("SELECT count(*) FROM ({sql}) t")).await, 1);
}
