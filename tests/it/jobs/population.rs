//! How many there are of everything, counted by the leader.

use std::time::{Duration, Instant};

use holdfast::domain::Clock;
use holdfast::domain::client::ClientState;
use holdfast::domain::observer::ClientSource;
use holdfast::domain::user::AuthSource;
use holdfast::store::{Revoke, RevokeCause};
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use crate::oauth::authorize::stage::{ADA, BOB, Stage, code, request};
use crate::oauth::harness::{Setup, client};
use crate::support::postgres;
use crate::support::server::Home;

const IDLE: SignedDuration = SignedDuration::from_hours(8);

/// O13: users, sessions, clients, grants and families as they are, on both engines; what has ended is not among them.
#[rstest]
#[case::sqlite(false)]
#[case::postgres(true)]
#[tokio::test]
async fn what_there_is_is_counted(#[case] shared: bool) {
    let database = if shared { Some(postgres::fresh().await) } else { None };
    let url = database.as_ref().map(|database| database.url.clone());
    let stage = Stage::on(Setup { url, ..Setup::default() }).await;
    let server = &stage.server;
    let count = async || server.store.population(server.clock.now(), IDLE).await.unwrap();
    let before = count().await;
    assert_eq!((before.users, &before.active_users), (2, &vec![(AuthSource::Local, 2)]));
    assert_eq!((before.sessions, before.grants, before.families), (0, 0, 0));
    let of = |counted: &holdfast::domain::population::Population, state, source| {
        let found = counted.clients.iter().find(|(labels, _)| *labels == (state, source));
        found.map_or(0, |(_, clients)| *clients)
    };
    assert_eq!(of(&before, ClientState::Active, ClientSource::Registration), 2, "{:?}", before.clients);
    assert_eq!(of(&before, ClientState::Suspended, ClientSource::Kubernetes), 1, "{:?}", before.clients);
    let ada = stage.signed_in(ADA).await;
    let bob = stage.signed_in(BOB).await;
    server.put("dcr_new", &client(json!({"state": "Suspended"}))).await;
    let issued = stage.redeem("quiet", &code(&ada.open(&request("quiet", &[])).await), &[]).await;
    assert_eq!(issued.status, 200, "{issued:?}");
    let issued = stage.redeem("quiet", &code(&bob.open(&request("quiet", &[])).await), &[]).await;
    let token = issued.json()["refresh_token"].as_str().unwrap().to_owned();
    let form = format!("grant_type=refresh_token&client_id=quiet&refresh_token={token}");
    assert_eq!(server.post("/oauth/token", None, &form).await.status, 200);
    let all = count().await;
    assert_eq!((all.sessions, all.grants, all.families), (2, 2, 2));
    assert_eq!(of(&all, ClientState::Suspended, ClientSource::Registration), 1);
    server.metrics.population(&all, server.clock.now());
    for line in [
        "holdfast_users_registered 2",
        "holdfast_users_active{auth_source=\"local\"} 2",
        "holdfast_sessions_active 2",
        "holdfast_active_token_families 2",
        "holdfast_oauth_clients_registered{source=\"dcr\",status=\"suspended\"} 1",
        "holdfast_oauth_clients_registered{source=\"cimd\",status=\"active\"} 0",
    ] {
        assert!(server.metric(line), "{line}");
    }
    server.end(Revoke::Subject(&stage.bob), RevokeCause::UserDisabled).await;
    let ended = count().await;
    assert_eq!((ended.grants, ended.families), (1, 1));
    assert!(server.metric("holdfast_grants_revoked_total{cause=\"user_disabled\"} 1"));
    server.clock.advance(3601);
    assert_eq!(count().await.families, 0, "idle for too long");
    server.clock.advance(IDLE.as_secs());
    let late = count().await;
    assert_eq!((late.sessions, late.users), (0, 2));
}

/// O13: the leader counts on its interval, and says when.
#[tokio::test]
async fn the_leader_counts_on_its_interval() {
    let mut home = Home::new();
    home.set("HOLDFAST_METRICS__POPULATION_INTERVAL", "1s");
    let server = home.start().await;
    let made = home.command(&[
        "admin",
        "user",
        "create",
        "--email",
        "a@example.com",
        "--name",
        "A",
        "--password",
        "correct horse battery",
    ]);
    assert!({ made }.output().unwrap().status.success());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = server.get(&server.admin("/metrics")).await.text().await.unwrap();
        let counted = !metrics.contains("holdfast_population_last_success_timestamp_seconds 0\n");
        if counted && metrics.contains("holdfast_users_registered 1\n") {
            return;
        }
        assert!(Instant::now() < deadline, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
