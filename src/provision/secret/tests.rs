use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn hash(text: &str) -> SecretHash {
    SecretText::new(text).hash()
}

fn credential(text: &str, state: CredentialState, issued: i64, retire: Option<i64>) -> Credential {
    let (id, hash) = (text.to_owned(), hash(text));
    Credential { id, hash, state, issued_at: at(issued), retire_at: retire.map(at), last_used_at: None }
}

use CredentialState::{Current, Pending, Retiring};

fn states(live: &[Credential], moves: &Moves) -> Vec<(String, CredentialState)> {
    after(live, moves).into_iter().map(|c| (c.id, c.state)).collect()
}

#[test]
fn the_first_secret_is_made_then_promoted() {
    let rotation = Rotation::default();
    assert!(settle(&[], None, &rotation, at(1)).generate);
    let live = [credential("a", Pending, 1, None)];
    let moves = settle(&live, Some(hash("a")), &rotation, at(2));
    assert_eq!(
        (states(&live, &moves), moves.promoted),
        (vec![("a".to_owned(), Current)], Some(("a".to_owned(), false)))
    );
}

/// K5
#[test]
fn at_every_step_of_a_rotation_a_credential_works() {
    let rotation = Rotation { period_seconds: Some(100), overlap_seconds: 10, ..Rotation::default() };
    let live = [credential("a", Current, 0, None)];
    assert!(settle(&live, Some(hash("a")), &rotation, at(99)).is_empty());
    assert!(settle(&live, Some(hash("a")), &rotation, at(100)).generate);
    let both = [live[0].clone(), credential("b", Pending, 100, None)];
    let moves = settle(&both, Some(hash("b")), &rotation, at(101));
    assert_eq!(states(&both, &moves), [("a".to_owned(), Retiring), ("b".to_owned(), Current)]);
    let overlapping = after(&both, &moves);
    assert!(overlapping.iter().all(|c| c.is_live(at(110))));
    let source = SecretSource::Generated(rotation);
    assert_eq!(tend(&source, &overlapping, None, at(111)).retired, ["a"]);
}

#[test]
fn a_lost_secret_is_made_again_and_the_lost_one_retires() {
    let rotation = Rotation::default();
    let live = [credential("a", Current, 0, None)];
    assert!(settle(&live, None, &rotation, at(5)).generate, "the Secret was deleted");
    assert!(settle(&live, Some(hash("x")), &rotation, at(5)).generate, "somebody wrote another value");
    let crashed = [live[0].clone(), credential("b", Pending, 4, None)];
    let moves = settle(&crashed, None, &rotation, at(5));
    assert!(moves.generate, "the value of b died with the process");
    assert_eq!(states(&crashed, &moves), [("a".to_owned(), Current), ("b".to_owned(), Retiring)]);
}

#[test]
fn a_pending_secret_that_nobody_needs_retires() {
    let live = [credential("a", Current, 0, None), credential("b", Pending, 4, None)];
    let moves = settle(&live, Some(hash("a")), &Rotation::default(), at(5));
    assert_eq!((moves.generate, states(&live, &moves)[1].1), (false, Retiring));
}

#[test]
fn revocation_ends_every_older_one_and_never_what_replaced_it() {
    let live =
        [credential("a", Current, 0, None), credential("b", Pending, 4, None), credential("c", Current, 6, None)];
    let source = SecretSource::Generated(Rotation::default());
    assert_eq!(tend(&source, &live, Some(at(5)), at(9)).removed, ["a", "b"]);
}

#[test]
fn a_referenced_secret_replaces_the_one_before_with_an_overlap() {
    let rotation = Rotation { overlap_seconds: 10, ..Rotation::default() };
    let source = |text| SecretSource::Referenced { hash: hash(text), rotation };
    let first = tend(&source("x"), &[], None, at(1));
    let live = after(&[], &first);
    assert_eq!((live.len(), live[0].state), (1, Current));
    assert!(tend(&source("x"), &live, None, at(2)).is_empty());
    let second = tend(&source("y"), &live, None, at(3));
    let states: Vec<_> = after(&live, &second).iter().map(|c| c.state).collect();
    assert_eq!(states, [Retiring, Current]);
    assert_eq!(tend(&SecretSource::Unresolved, &live, None, at(3)), Moves::default(), "unreadable is not absent");
    assert_eq!(tend(&SecretSource::None, &live, None, at(3)).removed.len(), 1);
}
