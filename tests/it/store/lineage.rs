//! Lineage: what was made from a grant or a token ends with it, whoever has it.

use std::time::Duration;

use holdfast::domain::Actor;
use holdfast::domain::client::GrantType;
use holdfast::store::{Ended, GrantRow, Issuance, IssueOutcome, Lineage, Revoke, RevokeCause, Store};
use rstest::rstest;
use uuid::Uuid;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::issuance::{issuance, jti};
use super::samples::{at, put_all};

const NOW: i64 = 20;

fn grant(number: u16, parent: Option<u16>) -> GrantRow {
    GrantRow {
        id: jti(number),
        kind: GrantType::AuthorizationCode,
        client_id: "portal".into(),
        subject: format!("usr_{number}"),
        resource_server_id: "rs_1".into(),
        scope: "invoices.read".into(),
        session_id: Some(format!("session-{number}")),
        auth_time: Some(at(1)),
        jkt: None,
        parent: parent.map(jti),
        created_at: at(10),
        expires_at: at(1000),
        revoked_at: None,
    }
}

fn of(grant: Option<u16>, parent: Option<u16>) -> Lineage {
    let depth = parent.map(|_| 1);
    let act = parent.map(|_| serde_json::json!({"sub": "portal"}));
    Lineage { grant_id: grant.map(jti), parent_jti: parent.map(jti), act, depth, ..Lineage::default() }
}

/// A token in a transaction of its own.
async fn issue(store: &Store, template: &Issuance, number: u16, lineage: &Lineage) {
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    let issuance = Issuance { jti: jti(number), ..template.clone() };
    assert_eq!(tx.issue(&issuance, lineage).await.unwrap(), IssueOutcome::Recorded);
    tx.commit().await.unwrap();
}

async fn revoke(store: &Store, what: Revoke<'_>) -> Ended {
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    let ended = tx.revoke(what, RevokeCause::Administrator, at(NOW)).await.unwrap();
    tx.commit().await.unwrap();
    ended
}

async fn lives(store: &Store, numbers: &[u16]) -> Vec<u16> {
    let mut tx = store.read().await.unwrap();
    let mut living = Vec::new();
    for number in numbers {
        if tx.token(jti(*number)).await.unwrap().unwrap().revoked_at.is_none() {
            living.push(*number);
        }
    }
    living
}

/// M8-14, S4, F-04: two grants, each with tokens, and tokens that were exchanged for those, three deep.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn children_end_with_their_parents(#[case] engine: Engine) {
    for (what, left) in [
        (Revoke::Token(jti(11)), &[10, 13, 20, 21, 30][..]),
        (Revoke::Token(jti(13)), &[10, 11, 12, 20, 21, 30]),
        (Revoke::Grant(jti(1)), &[20, 21, 30]),
        (Revoke::Grant(jti(2)), &[10, 11, 12, 13, 30]),
        (Revoke::Subject("usr_1"), &[20, 21, 30]),
        (Revoke::Session("session-2"), &[10, 11, 12, 13, 30]),
        (Revoke::Consent { subject: "usr_1", client_id: "portal", resource_server_id: "rs_1" }, &[20, 21, 30]),
        (
            Revoke::Consent { subject: "usr_1", client_id: "portal", resource_server_id: "rs_2" },
            &[10, 11, 12, 13, 20, 21, 30],
        ),
        (Revoke::Client("portal"), &[]),
        (Revoke::ClientBefore { client_id: "portal", before: at(11) }, &[]),
        (Revoke::ClientBefore { client_id: "portal", before: at(10) }, &[10, 11, 12, 13, 20, 21, 30]),
        (Revoke::ResourceServer("rs_1"), &[]),
    ] {
        let (store, fresh) = engine.store().await;
        put_all(&store).await;
        let template = issuance(&store, 0).await;
        let mut tx = store.write(&Actor::controller()).await.unwrap();
        for number in [1, 2] {
            assert!(tx.put_grant(&grant(number, None)).await.unwrap());
            assert!(!tx.put_grant(&grant(number, None)).await.unwrap(), "once");
        }
        tx.commit().await.unwrap();
        for (number, lineage) in [
            (10, of(Some(1), None)),
            (11, of(Some(1), None)),
            (12, of(None, Some(11))),
            (13, of(None, Some(10))),
            (20, of(Some(2), None)),
            (21, of(None, Some(20))),
            (30, Lineage::default()),
        ] {
            issue(&store, &template, number, &lineage).await;
        }
        let all = [10, 11, 12, 13, 20, 21, 30];
        let ended = revoke(&store, what).await;
        assert_eq!(lives(&store, &all).await, left, "{what:?}");
        assert_eq!(ended.tokens, (all.len() - left.len()) as u64, "{what:?}");
        assert!(revoke(&store, what).await.is_nothing(), "{what:?}: twice");
        let rows = "SELECT count(*) FROM token_grant WHERE revoked_at IS NOT NULL";
        assert_eq!(fresh.number(rows).await as u64, ended.grants);
        let row = store.read().await.unwrap().token(jti(12)).await.unwrap().unwrap();
        assert_eq!(row.lineage, of(None, Some(11)), "it reads back as it was written");
    }
}

/// S18: a grant that was made from another ends with it; more tokens than fit into one statement do, too.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_tree_of_grants_with_many_tokens_ends_whole(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let template = issuance(&store, 0).await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    for (number, parent) in [(1, None), (2, Some(1)), (3, Some(2))] {
        tx.put_grant(&grant(number, parent)).await.unwrap();
    }
    for number in 100..700 {
        let issuance = Issuance { jti: jti(number), ..template.clone() };
        tx.issue(&issuance, &of(Some(number % 3 + 1), None)).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(store.read().await.unwrap().live_grants("usr_2", at(NOW)).await.unwrap(), [grant(2, Some(1))]);
    let ended = revoke(&store, Revoke::Grant(jti(1))).await;
    assert_eq!(ended, Ended { tokens: 600, grants: 3, codes: 0 });
    assert_eq!(fresh.number("SELECT count(*) FROM access_token WHERE revoked_at IS NULL").await, 0);
    assert!(store.read().await.unwrap().live_grants("usr_2", at(NOW)).await.unwrap().is_empty());
}

/// IV-3: an exchange in flight holds its parent, so whoever ends the parent sees the child.
#[tokio::test]
async fn a_child_that_is_being_made_ends_with_its_parent() {
    let (store, _fresh) = Postgres.store().await;
    put_all(&store).await;
    let template = issuance(&store, 0).await;
    issue(&store, &template, 10, &Lineage::default()).await;
    let mut exchange = store.write(&Actor::controller()).await.unwrap();
    assert!(exchange.token_to_use(jti(10)).await.unwrap().unwrap().revoked_at.is_none());
    let other = store.clone();
    let ending = tokio::spawn(async move { revoke(&other, Revoke::Token(jti(10))).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!ending.is_finished());
    exchange.issue(&Issuance { jti: jti(11), ..template }, &of(None, Some(10))).await.unwrap();
    exchange.commit().await.unwrap();
    assert_eq!(ending.await.unwrap().tokens, 2);
    assert!(lives(&store, &[10, 11]).await.is_empty());
}

/// IV-3, mechanics §12: a token of a transaction is recorded only under the policy that it was decided by.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_moved_revision_is_stale_in_a_transaction_too(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let good = issuance(&store, 1).await;
    for stale in [
        Issuance { client_revision: good.client_revision - 1, ..good.clone() },
        Issuance { resource_server_revision: 0, ..good.clone() },
        Issuance { client_id: "nobody".into(), ..good.clone() },
        Issuance { resource_server_id: "rs_none".into(), ..good.clone() },
    ] {
        let mut tx = store.write(&Actor::controller()).await.unwrap();
        assert_eq!(tx.issue(&stale, &Lineage::default()).await.unwrap(), IssueOutcome::Stale);
    }
    assert_eq!(fresh.number("SELECT count(*) FROM access_token").await, 0);
    let id = Uuid::nil();
    assert!(store.read().await.unwrap().grant(id).await.unwrap().is_none());
}
