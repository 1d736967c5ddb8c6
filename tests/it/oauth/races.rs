//! Fifty at once, at two servers on one PostgreSQL: one winner.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::harness::{Answer, Server, Setup};
use super::person::text;
use crate::support::postgres;

const N: usize = 50;

async fn two() -> [Server; 2] {
    let url = postgres::fresh().await.url;
    let setup = || Setup { url: Some(url.clone()), ..Setup::default() };
    [setup().start().await, setup().start().await]
}

fn succeeded(answers: &[Answer]) -> Vec<&Answer> {
    let (good, bad): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in bad {
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_grant"), "{answer:?}");
    }
    good
}

/// B-14, R-15, R-16, IV-1: one redemption succeeds, and what it was issued is ended, for others have the code.
#[tokio::test]
async fn a_code_has_one_winner() {
    let servers = two().await;
    for client in ["app", "portal"] {
        let code = servers[0].code(client).await;
        let answers = join_all((0..N).map(|i| servers[i % 2].redeem(client, &code))).await;
        let good = succeeded(&answers);
        assert_eq!(good.len(), 1);
        let winner = good[0].json();
        assert!(!servers[1].is_active(text(&winner, "access_token")).await);
        assert_eq!(servers[0].refresh(client, text(&winner, "refresh_token")).await.error(), "invalid_grant");
    }
    let valid: usize = servers
        .iter()
        .filter(|server| {
            server.metric("holdfast_auth_code_reuse_total{verifier=\"valid\"} 1")
                || server.metric("holdfast_auth_code_reuse_total{verifier=\"valid\"} 2")
        })
        .count();
    assert!(valid >= 1, "the second one ended it, the others found nothing to end");
}

/// B-14: guesses at a code that is being redeemed win nothing and end nothing.
#[tokio::test]
async fn guesses_beside_a_redemption_end_nothing_that_was_issued() {
    let servers = two().await;
    let code = servers[0].code("app").await;
    let issued = servers[0].redeem("app", &code).await.json();
    let guesses = (0..N).map(|i| servers[i % 2].redeem_with("app", &code, &[("code_verifier", "")]));
    assert!(succeeded(&join_all(guesses).await).is_empty());
    assert!(servers[1].is_active(text(&issued, "access_token")).await);
    assert_eq!(servers[1].refresh("app", text(&issued, "refresh_token")).await.status, 200);
}

/// C-02, R-17, IV-2, RC-13: everybody gets the same successor, and the family goes on as one chain.
#[tokio::test]
async fn a_refresh_token_has_one_successor() {
    let servers = two().await;
    for client in ["app", "portal"] {
        let mut token = text(&servers[0].sign_in(client).await, "refresh_token").to_owned();
        for _ in 0..3 {
            let answers = join_all((0..N).map(|i| servers[i % 2].refresh(client, &token))).await;
            assert_eq!(succeeded(&answers).len(), N);
            let bodies: Vec<_> = answers.iter().map(Answer::json).collect();
            let successors: BTreeSet<&str> = bodies.iter().map(|body| text(body, "refresh_token")).collect();
            let tokens: BTreeSet<&str> = bodies.iter().map(|body| text(body, "access_token")).collect();
            assert_eq!((successors.len(), tokens.len()), (1, N));
            token = successors.first().copied().unwrap().to_owned();
        }
    }
}

/// C-01: after the window fifty thieves end the family once, and none of them gets anything.
#[tokio::test]
async fn a_theft_is_found_once() {
    let servers = two().await;
    let issued = servers[0].sign_in("app").await;
    let token = text(&issued, "refresh_token");
    assert_eq!(servers[1].refresh("app", token).await.status, 200);
    servers.iter().for_each(|server| server.clock.advance(31));
    let answers = join_all((0..N).map(|i| servers[i % 2].refresh("app", token))).await;
    assert!(succeeded(&answers).is_empty());
    assert_eq!(servers[0].audited(holdfast::domain::audit::AuditKind::RefreshReuse).await, 1);
    assert!(!servers[0].is_active(text(&issued, "access_token")).await);
}

/// IV-3, C-07: an end that was acknowledged wins over refreshes in flight: nothing that they got is active.
#[tokio::test]
async fn an_end_wins_over_refreshes_in_flight() {
    let servers = two().await;
    let token = text(&servers[0].sign_in("app").await, "refresh_token").to_owned();
    let refreshes = join_all((0..N).map(|i| servers[i % 2].refresh("app", &token)));
    let user = holdfast::store::Revoke::Subject(super::person::USER);
    let end = servers[1].end(user, holdfast::store::RevokeCause::UserDisabled);
    let (answers, ended) = tokio::join!(refreshes, end);
    assert_eq!(ended.grants, 1);
    for answer in succeeded(&answers) {
        let answer = answer.json();
        assert!(!servers[0].is_active(text(&answer, "access_token")).await);
        assert_eq!(servers[1].refresh("app", text(&answer, "refresh_token")).await.error(), "invalid_grant");
    }
}
