//! Rows whose object is gone, on both engines: told once, suspended, back as before, or deleted in the end.

use holdfast::domain::client::ClientState;
use holdfast::domain::orphan::Due;
use holdfast::domain::resource_server::Lifecycle;
use holdfast::domain::{DeletionPolicy, Kind, Reason, Spec};
use holdfast::provision::{ChangeKind, Removed};
use rstest::rstest;

use super::{House, client, reasons, resource_server};
use crate::store::engine::Engine::{self, Postgres, Sqlite};

const HOUR: i64 = 3600;
const MONTH: i64 = 30 * 24 * HOUR;

fn state(spec: Spec) -> String {
    match spec {
        Spec::Client(client) => format!("{:?}", client.state),
        Spec::ResourceServer(server) => format!("{:?}", server.lifecycle),
        Spec::Provider(_) => String::new(),
    }
}

async fn due(house: &House) -> Option<Due> {
    let now = house.clock.at();
    house.provisioner.orphans().await.unwrap().first().and_then(|orphan| orphan.due(now))
}

/// mechanics §6: what is missed twice for an hour issues nothing; it comes back with the same secret, and that is no drift.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_its_object_is_suspended_and_comes_back_as_it_was(#[case] engine: Engine) {
    let house = House::on(engine).await;
    let desired = client("portal");
    house.apply(&desired).await;
    house.told().await;
    house
        .database
        .sql(
            "INSERT INTO access_token (jti, client_id, resource_server_id, subject, scope, issued_at, expires_at)
            VALUES (CAST('0123456789abcdef' AS BLOB), 'portal', 'rs_1', 'portal', 's', 1, 9000000000000000)",
        )
        .await;
    let revoked = "SELECT count(*) FROM access_token WHERE revoked_at IS NOT NULL";
    house.provisioner.miss_object(&desired.owner).await.unwrap();
    house.clock.advance(HOUR);
    assert_eq!(due(&house).await, None, "one look may be wrong");
    for _ in 0..3 {
        house.provisioner.miss_object(&desired.owner).await.unwrap();
    }
    assert_eq!(reasons(&house.told().await), [Reason::OrphanFound], "told once");
    assert_eq!((due(&house).await, house.database.number(revoked).await), (Some(Due::Suspend), 0));
    house.provisioner.suspend_orphan(&desired.owner.key).await.unwrap();
    assert_eq!(reasons(&house.told().await), [Reason::Suspended]);
    assert_eq!(state(house.spec(Kind::OAuthClient, "portal").await.unwrap()), format!("{:?}", ClientState::Suspended));
    assert_eq!(house.database.number(revoked).await, 1);

    let done = house.apply(&desired).await;
    assert_eq!((done.change, done.drift), (ChangeKind::Updated, None));
    assert_eq!(reasons(&house.told().await), [Reason::Updated, Reason::Resumed]);
    assert_eq!(house.spec(Kind::OAuthClient, "portal").await, Some(desired.spec.clone()));
    house.provisioner.forget_orphan(&desired.owner.key).await.unwrap();
    assert_eq!(house.provisioner.orphans().await.unwrap(), []);
    assert_eq!(house.apply(&desired).await.change, ChangeKind::Unchanged);
}

/// mechanics §6: a resource server issues nothing, a month later it is gone.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn after_a_month_the_row_is_deleted(#[case] engine: Engine) {
    let house = House::on(engine).await;
    let desired = resource_server("billing", "https://b.example.com/mcp");
    let id = house.apply(&desired).await.entity_id;
    house.told().await;
    for _ in 0..2 {
        house.provisioner.miss_object(&desired.owner).await.unwrap();
    }
    house.clock.advance(HOUR);
    house.provisioner.suspend_orphan(&desired.owner.key).await.unwrap();
    assert_eq!(state(house.spec(Kind::ResourceServer, &id).await.unwrap()), format!("{:?}", Lifecycle::Draft));
    house.clock.advance(MONTH - HOUR - 1);
    assert_eq!(due(&house).await, None);
    house.clock.advance(1);
    assert_eq!(due(&house).await, Some(Due::Purge));
    let removed = house.provisioner.remove(&desired.owner.key, DeletionPolicy::Delete, "").await.unwrap();
    assert_eq!((removed, house.provisioner.orphans().await.unwrap()), (Removed::Deleted, vec![]));
    assert_eq!(house.spec(Kind::ResourceServer, &id).await, None);
    assert_eq!(house.apply(&desired).await.entity_id, id, "the ids come back, as after any deletion");
}

/// Suspending is not what hides a change that somebody made before.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn drift_of_a_suspended_row_is_found_when_its_object_is_back(#[case] engine: Engine) {
    let house = House::on(engine).await;
    let desired = client("portal");
    house.apply(&desired).await;
    for _ in 0..2 {
        house.provisioner.miss_object(&desired.owner).await.unwrap();
    }
    house.provisioner.suspend_orphan(&desired.owner.key).await.unwrap();
    house.told().await;
    house.database.sql("UPDATE client SET grant_types = '[\"device_code\"]'").await;
    house.apply(&desired).await;
    let told = house.told().await;
    assert_eq!(reasons(&told)[..2], [Reason::DriftDetected, Reason::DriftCorrected], "{told:?}");
    assert_eq!(told[0].1, "spec.grantTypes");
    assert_eq!(house.spec(Kind::OAuthClient, "portal").await, Some(desired.spec));
}
