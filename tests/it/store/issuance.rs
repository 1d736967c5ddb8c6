//! Tokens: durable before they are answered, and only under the policy that they were decided by.

use futures::future::join_all;
use holdfast::domain::{Actor, Kind, SecretText};
use holdfast::store::{Error, Issuance, IssueOutcome, Revoke, RevokeCause, Store};
use rstest::rstest;
use sqlx::{Connection, Executor, PgConnection};
use uuid::{Builder, Uuid};

use super::engine::Engine::{self, Postgres, Sqlite};
use super::samples::{at, put_all};

pub fn jti(number: u16) -> Uuid {
    let [high, low] = number.to_be_bytes();
    let millis = u64::try_from(at(10).as_millisecond()).unwrap();
    Builder::from_unix_timestamp_millis(millis, &[0, 0, 0, 0, 0, 0, 0, 0, high, low]).into_uuid()
}

pub async fn issuance(store: &Store, number: u16) -> Issuance {
    let mut tx = store.read().await.unwrap();
    let client = tx.entity(Kind::OAuthClient, "portal").await.unwrap().unwrap();
    let server = tx.entity(Kind::ResourceServer, "rs_1").await.unwrap().unwrap();
    Issuance {
        jti: jti(number),
        handle: None,
        client_id: client.id,
        client_revision: client.revision,
        resource_server_id: server.id,
        resource_server_revision: server.revision,
        subject: "portal".into(),
        scope: "invoices.read".into(),
        issued_at: at(10),
        expires_at: at(910),
        credential_id: Some("c1".into()),
    }
}

/// IV-4
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn three_hundred_at_once_are_all_durable(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let template = issuance(&store, 0).await;
    let all = (0..300).map(|number| store.issue(Issuance { jti: jti(number), ..template.clone() }));
    for outcome in join_all(all).await {
        assert_eq!(outcome.unwrap(), IssueOutcome::Recorded);
    }
    assert_eq!(fresh.number("SELECT count(*) FROM access_token").await, 300);
    let row = store.read().await.unwrap().token(jti(299)).await.unwrap().unwrap();
    assert_eq!((row.jti, row.client_id.as_str(), row.issued_at, row.expires_at), (jti(299), "portal", at(10), at(910)));
    assert_eq!((row.scope.as_str(), row.subject.as_str(), row.revoked_at), ("invoices.read", "portal", None));
}

/// IV-3: an acknowledged change of policy holds at once, also where the snapshot does not know of it.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_moved_revision_is_refused_for_that_request_alone(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let good = issuance(&store, 1).await;
    let moved = Issuance { jti: jti(2), client_revision: good.client_revision - 1, ..good.clone() };
    let elsewhere = Issuance { jti: jti(3), resource_server_revision: 0, ..good.clone() };
    let nobody = Issuance { jti: jti(4), client_id: "nobody".into(), ..good.clone() };
    let outcomes = join_all([good.clone(), moved, elsewhere, nobody].map(|i| store.issue(i))).await;
    let outcomes: Vec<IssueOutcome> = outcomes.into_iter().map(Result::unwrap).collect();
    use IssueOutcome::{Recorded, Stale};
    assert_eq!(outcomes, [Recorded, Stale, Stale, Stale]);
    fresh.sql("UPDATE client_resource SET scopes = '[]' WHERE name = 'billing'").await;
    assert_eq!(store.issue(Issuance { jti: jti(5), ..good }).await.unwrap(), Stale);
    assert_eq!(store.issue(issuance(&store, 6).await).await.unwrap(), Recorded);
}

/// A suspend that committed first wins over an issuance in flight; one in flight first is seen by the suspend's cascade.
#[tokio::test]
async fn a_change_under_way_makes_issuance_wait_for_its_end() {
    let (store, _fresh) = Postgres.store().await;
    put_all(&store).await;
    let asked = issuance(&store, 1).await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.delete(Kind::OAuthClient, "portal").await.unwrap();
    let other = store.clone();
    let waiting = tokio::spawn(async move { other.issue(asked).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    tx.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), IssueOutcome::Stale);
}

/// A transaction that somebody left open on one client holds up nobody else.
#[tokio::test]
async fn a_locked_client_holds_up_only_itself() {
    let (store, fresh) = Postgres.store().await;
    put_all(&store).await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put("other", &super::samples::client(), None, at(1)).await.unwrap();
    let other = tx.entity(Kind::OAuthClient, "other").await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let free = issuance(&store, 1).await;
    let held = Issuance { jti: jti(2), client_id: other.id, client_revision: other.revision, ..free.clone() };
    let mut outsider = PgConnection::connect(&fresh.url).await.unwrap();
    outsider.execute("BEGIN; SELECT id FROM client WHERE id = 'other' FOR UPDATE").await.unwrap();
    let (waiting, asked) = (store.clone(), held);
    let waiting = tokio::spawn(async move { waiting.issue(asked).await });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let quick = tokio::time::timeout(std::time::Duration::from_secs(2), store.issue(free)).await;
    assert_eq!(quick.expect("it does not wait").unwrap(), IssueOutcome::Recorded);
    assert!(!waiting.is_finished());
    outsider.execute("COMMIT").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), IssueOutcome::Recorded);
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn one_that_cannot_be_stored_spoils_no_other(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let handle = Some(holdfast::domain::SecretText::new("h".repeat(43)).hash());
    let first = Issuance { handle, ..issuance(&store, 1).await };
    store.issue(first.clone()).await.unwrap();
    let (twin, second) = (Issuance { jti: jti(3), ..first.clone() }, Issuance { jti: jti(2), handle: None, ..first });
    let outcomes = join_all([twin, second].map(|i| store.issue(i))).await;
    assert!(matches!(outcomes[0], Err(Error::Conflict { ref table }) if table == "access_token"), "{outcomes:?}");
    assert!(matches!(outcomes[1], Ok(IssueOutcome::Recorded)));
    assert_eq!(fresh.number("SELECT count(*) FROM access_token").await, 2);
}

/// FT-12: the answer to a commit was lost, and the same token is recorded again.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn the_same_token_twice_is_decided_again(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let first = issuance(&store, 1).await;
    assert_eq!(store.issue(first.clone()).await.unwrap(), IssueOutcome::Recorded);
    assert_eq!(store.issue(first).await.unwrap(), IssueOutcome::Stale);
    assert_eq!(fresh.number("SELECT count(*) FROM access_token").await, 1);
}

/// Using a secret is no change of policy.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn when_a_credential_was_used_is_kept_by_the_hour(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let changes = fresh.number("SELECT count(*) FROM change").await;
    let asked = issuance(&store, 1).await;
    let revision = asked.client_revision;
    store.issue(asked).await.unwrap();
    store.issue(issuance(&store, 2).await).await.unwrap();
    let client = store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await.unwrap().unwrap();
    let used = client.credentials[0].last_used_at.unwrap();
    assert_eq!(used.as_second(), at(10).as_second().div_euclid(3600) * 3600);
    assert_eq!(client.revision, revision);
    assert_eq!(fresh.number("SELECT count(*) FROM change").await, changes);
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn revocation_ends_what_it_names(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let handle = SecretText::new("opaque").hash();
    let template = issuance(&store, 0).await;
    for number in 0..4 {
        let handle = (number == 3).then_some(handle);
        let issued_at = at(10 + i64::from(number));
        store.issue(Issuance { jti: jti(number), handle, issued_at, ..template.clone() }).await.unwrap();
    }
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    assert_eq!(tx.token_by_handle(&handle).await.unwrap().unwrap().jti, jti(3));
    assert_eq!(tx.revoke(Revoke::Token(jti(2)), RevokeCause::Request, at(20)).await.unwrap().tokens, 1);
    assert_eq!(tx.revoke(Revoke::Token(jti(2)), RevokeCause::Request, at(21)).await.unwrap().tokens, 0);
    let leak = Revoke::ClientBefore { client_id: "portal", before: at(11) };
    assert_eq!(tx.revoke(leak, RevokeCause::SecretRevoked, at(22)).await.unwrap().tokens, 1);
    assert_eq!(tx.revoke(Revoke::ResourceServer("rs_2"), RevokeCause::Deleted, at(23)).await.unwrap().tokens, 0);
    assert_eq!(tx.revoke(Revoke::Client("portal"), RevokeCause::Suspended, at(24)).await.unwrap().tokens, 2);
    assert_eq!(tx.token(jti(0)).await.unwrap().unwrap().revoked_at, Some(at(22)));
    assert_eq!(tx.token(jti(3)).await.unwrap().unwrap().revoked_at, Some(at(24)));
    tx.commit().await.unwrap();
    assert_eq!(fresh.number("SELECT count(*) FROM access_token WHERE revoked_at IS NULL").await, 0);
}

/// More than may wait are told so at once, instead of piling up.
#[tokio::test]
async fn too_many_waiting_are_refused_at_once() {
    let fresh = Sqlite.fresh().await;
    let options = holdfast::store::Options { max_waiting: 2, ..fresh.options() };
    let store = Store::open(&options, std::sync::Arc::new(holdfast::domain::observer::Unobserved)).await.unwrap();
    store.migrate().await.unwrap();
    put_all(&store).await;
    let template = issuance(&store, 0).await;
    let _busy = store.write(&Actor::controller()).await.unwrap();
    let mut refused = 0;
    let mut waiting = Vec::new();
    for number in 0..10 {
        let asked = Issuance { jti: jti(number), ..template.clone() };
        let mut issuing = Box::pin({
            let store = store.clone();
            async move { store.issue(asked).await }
        });
        match futures::poll!(&mut issuing) {
            std::task::Poll::Ready(Err(Error::Unavailable(_))) => refused += 1,
            std::task::Poll::Ready(other) => panic!("{other:?}"),
            std::task::Poll::Pending => waiting.push(issuing),
        }
        tokio::task::yield_now().await;
    }
    assert!(refused >= 5, "{refused}");
    drop(_busy);
    for outcome in join_all(waiting).await {
        assert_eq!(outcome.unwrap(), IssueOutcome::Recorded);
    }
}

/// FT-12: a cut that heals at once is not felt by who waits for a token.
#[tokio::test]
async fn a_short_loss_of_connections_fails_no_issuance() {
    let (store, fresh) = Postgres.store().await;
    put_all(&store).await;
    let template = issuance(&store, 0).await;
    let mut locked = store.write(&Actor::controller()).await.unwrap();
    locked.lock_entity(Kind::OAuthClient, "portal").await.unwrap();
    let waiting: Vec<_> = (0..5)
        .map(|number| {
            let (store, asked) = (store.clone(), Issuance { jti: jti(number), ..template.clone() });
            tokio::spawn(async move { store.issue(asked).await })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'holdfast'";
    fresh.sql(kill).await;
    for outcome in join_all(waiting).await {
        assert_eq!(outcome.unwrap().unwrap(), IssueOutcome::Recorded);
    }
    assert!(locked.commit().await.is_err());
    assert_eq!(fresh.number("SELECT count(*) FROM access_token").await, 5);
}
