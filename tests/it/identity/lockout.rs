//! Who must wait before the next guess, and what that tells: nothing.

use std::time::{Duration, Instant};

use holdfast::domain::audit::AuditKind;
use holdfast::identity::{Error, Rules};
use rstest::rstest;

use super::{PASSWORD, Room, knock};
use crate::store::engine::Engine;

fn strict() -> Rules {
    Rules {
        failures_per_pair: 3,
        failures_per_source: 6,
        failures_per_identity: 8,
        max_waiting: 100,
        ..Rules::default()
    }
}

/// S17, R-57: guesses in parallel at two servers count as guesses in a row do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_guesses_at_once_so_many_are_looked_at_as_are_allowed() {
    let rules = Rules { failures_per_pair: 5, max_waiting: 100, ..Rules::default() };
    let room = Room::open(Engine::Postgres, rules.clone()).await;
    let second = room.second(rules).await;
    room.person("ada@example.com").await;
    let mut guesses = tokio::task::JoinSet::new();
    for i in 0..50 {
        let identity = if i % 2 == 0 { room.identity.clone() } else { second.clone() };
        guesses.spawn(async move { knock(&identity, "ada@example.com", &format!("guess {i}"), "198.51.100.1").await });
    }
    let ended = guesses.join_all().await;
    let looked_at = ended.iter().filter(|end| matches!(end, Err(Error::Mismatch))).count();
    let locked = ended.iter().filter(|end| matches!(end, Err(Error::Locked { .. }))).count();
    assert_eq!((looked_at, locked), (5, 45));
}

/// Y-09: neither whether there is such a person nor whether the password was right shows through a lock.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn a_lock_is_the_same_for_everybody_and_ends(#[case] engine: Engine) {
    let room = Room::open(engine, strict()).await;
    room.person("ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        let from = if email.starts_with("ada") { "198.51.100.1" } else { "203.0.113.1" };
        for _ in 0..3 {
            assert!(matches!(knock(&room.identity, email, "wrong", from).await, Err(Error::Mismatch)));
        }
        for password in ["wrong", PASSWORD] {
            let Err(Error::Locked { retry_after }) = knock(&room.identity, email, password, from).await else {
                panic!("{email} is not locked")
            };
            assert_eq!(retry_after, Duration::from_secs(15 * 60), "also the right password is not looked at");
        }
    }
    room.clock.advance(15 * 60);
    knock(&room.identity, "ada@example.com", PASSWORD, "198.51.100.1").await.unwrap();
    assert!(matches!(knock(&room.identity, "nobody@example.com", "x", "203.0.113.1").await, Err(Error::Mismatch)));
    // the sums are in the audit, one row for each network and person
    room.identity.sweep().await.unwrap();
    let events = room.store.read().await.unwrap().audit_events(None, 100).await.unwrap();
    let of = |kind| {
        let mut found: Vec<_> = events.iter().filter(|event| event.kind == kind).collect();
        found.sort_by_key(|event| event.user_id.is_none());
        found
            .iter()
            .map(|event| (event.user_id.is_some(), event.detail["attempts"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(AuditKind::LoginFailed), [(true, 3), (false, 4)]);
    assert_eq!(of(AuditKind::LoginLockedOut), [(true, 2), (false, 2)]);
    let successes = events.iter().filter(|event| event.kind == AuditKind::LoginSucceeded).count();
    assert_eq!(successes, 1);
    let text = format!("{events:?}");
    assert!(!text.contains("nobody@example.com"), "what strangers typed is kept by nobody");
}

/// Whoever guesses locks out the own network, and not the person.
#[tokio::test]
async fn a_guesser_locks_out_nobody_else() {
    let room = Room::open(Engine::Sqlite, strict()).await;
    room.person("ada@example.com").await;
    for _ in 0..5 {
        let _ = knock(&room.identity, "ada@example.com", "wrong", "198.51.100.1").await;
    }
    assert!(matches!(knock(&room.identity, "ada@example.com", "x", "198.51.100.77").await, Err(Error::Locked { .. })));
    knock(&room.identity, "ada@example.com", PASSWORD, "192.0.2.1").await.unwrap();
}

/// One password tried on everybody.
#[tokio::test]
async fn a_network_that_tries_everybody_is_stopped() {
    let room = Room::open(Engine::Sqlite, strict()).await;
    room.person("ada@example.com").await;
    for i in 0..6 {
        let from = format!("2001:db8::{i}");
        assert!(matches!(knock(&room.identity, &format!("p{i}@example.com"), "x", &from).await, Err(Error::Mismatch)));
    }
    assert!(matches!(
        knock(&room.identity, "ada@example.com", PASSWORD, "2001:db8::9").await,
        Err(Error::Locked { .. })
    ));
    knock(&room.identity, "ada@example.com", PASSWORD, "2001:db8:0:1::9").await.unwrap();
}

/// Many networks guess together no faster; where the person has signed in before stays open.
#[tokio::test]
async fn many_networks_together_do_not_lock_the_person_out() {
    let room = Room::open(Engine::Sqlite, strict()).await;
    room.person("ada@example.com").await;
    knock(&room.identity, "ada@example.com", PASSWORD, "192.0.2.1").await.unwrap();
    let mut looked_at = 0;
    for i in 0..20 {
        let guess = knock(&room.identity, "ada@example.com", "wrong", &format!("198.51.{i}.1")).await;
        looked_at += usize::from(matches!(guess, Err(Error::Mismatch)));
    }
    assert_eq!(looked_at, 8);
    let stranger = knock(&room.identity, "ada@example.com", PASSWORD, "203.0.113.1").await;
    assert!(matches!(stranger, Err(Error::Locked { .. })));
    knock(&room.identity, "ada@example.com", PASSWORD, "192.0.2.200").await.unwrap();
}

/// Who remembers at last begins anew, and success is never counted.
#[tokio::test]
async fn a_success_is_no_failure() {
    let room = Room::open(Engine::Sqlite, Rules { failures_per_source: 100, ..strict() }).await;
    room.person("ada@example.com").await;
    for _ in 0..4 {
        for _ in 0..2 {
            let wrong = knock(&room.identity, "ada@example.com", "wrong", "192.0.2.1").await;
            assert!(matches!(wrong, Err(Error::Mismatch)));
        }
        knock(&room.identity, "ada@example.com", PASSWORD, "192.0.2.1").await.unwrap();
    }
    for _ in 0..9 {
        knock(&room.identity, "ada@example.com", PASSWORD, "192.0.2.1").await.unwrap();
    }
}

/// Y-09, R-57: the time tells nothing: whoever is unknown costs a hash too.
#[tokio::test]
async fn an_unknown_address_takes_as_long_as_a_wrong_password() {
    let rules = Rules { failures_per_pair: 1000, failures_per_source: 1000, ..Rules::default() };
    let room = Room::open(Engine::Sqlite, rules).await;
    room.person("ada@example.com").await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for i in 0..15 {
        for (email, times) in [("ada@example.com".to_owned(), &mut known), (format!("n{i}@example.com"), &mut unknown)]
        {
            let begun = Instant::now();
            assert!(matches!(knock(&room.identity, &email, "wrong", "192.0.2.1").await, Err(Error::Mismatch)));
            times.push(begun.elapsed());
        }
    }
    known.sort();
    unknown.sort();
    let ratio = known[7].as_secs_f64() / unknown[7].as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "{known:?} {unknown:?}");
}

/// A full pool answers at once and counts nothing against anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_turned_away_has_not_failed() {
    let rules = Rules { hashing: 1, max_waiting: 1, failures_per_pair: 4, ..Rules::default() };
    let room = Room::open(Engine::Sqlite, rules).await;
    room.person("ada@example.com").await;
    let mut ended = Vec::new();
    // on a busy machine the knocks of a wave may come one after the other
    while !ended.iter().any(|end| matches!(end, Err(Error::Busy))) {
        assert!(ended.len() < 3000, "nobody was turned away");
        let mut knocks = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let identity = room.identity.clone();
            knocks.spawn(async move { knock(&identity, "ada@example.com", PASSWORD, "192.0.2.1").await });
        }
        ended.extend(knocks.join_all().await);
    }
    assert!(!ended.iter().any(|end| matches!(end, Err(Error::Mismatch))));
    knock(&room.identity, "ada@example.com", PASSWORD, "192.0.2.1").await.unwrap();
}
