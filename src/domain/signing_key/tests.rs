use super::*;

const ROTATION: KeyRotation = KeyRotation {
    period: Some(SignedDuration::from_secs(1000)),
    publish_ahead: SignedDuration::from_secs(100),
    store: KeyStore::Database,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key(kid: &str, state: KeyState, activate_at: i64) -> KeyLife {
    let retire_at = (state == KeyState::Retiring).then(|| at(activate_at) + KEEP);
    let (algorithm, store) = (SigningAlgorithm::ES256, KeyStore::Database);
    KeyLife { kid: kid.into(), algorithm, state, store, activate_at: at(activate_at), retire_at }
}

fn due_at(keys: &[KeyLife], asked: Option<bool>, now: i64) -> Vec<KeyStep> {
    due(keys, ROTATION, asked.map(|urgent| RotationRequest { urgent }), at(now))
}

fn publish(second: i64) -> Vec<KeyStep> {
    vec![KeyStep::Publish { algorithm: SigningAlgorithm::ES256, activate_at: at(second) }]
}

/// Y-01: published ahead of its first signature, replaced after a period.
#[test]
fn a_period_publishes_ahead_and_activates_on_time() {
    let active = key("a", KeyState::Active, 0);
    assert_eq!(due_at(std::slice::from_ref(&active), None, 899), []);
    assert_eq!(due_at(std::slice::from_ref(&active), None, 900), publish(1000));
    assert_eq!(due_at(std::slice::from_ref(&active), None, 5000), publish(5100), "late is no reason to hurry");
    let both = [active, key("b", KeyState::Next, 1000)];
    assert_eq!(due_at(&both, None, 999), []);
    let activate = KeyStep::Activate { kid: "b".into(), others_retire_at: at(1000) + KEEP };
    assert_eq!(due_at(&both, None, 1000), [activate]);
}

/// IV-6: it stays published for longer than the longest token lives.
#[test]
fn a_key_leaves_the_set_after_its_last_token() {
    let keys = [key("a", KeyState::Retiring, 0), key("b", KeyState::Active, 0)];
    let quiet = KeyRotation { period: None, ..ROTATION };
    assert!(KEEP >= SignedDuration::from_secs(*AccessToken::LIFETIMES.end()) + FOLLOW);
    assert_eq!(due(&keys, quiet, None, at(0) + KEEP - FOLLOW), []);
    assert_eq!(due(&keys, quiet, None, at(0) + KEEP), [KeyStep::Retire { kid: "a".into() }]);
}

#[test]
fn a_request_publishes_at_once_and_never_a_second_one() {
    let active = key("a", KeyState::Active, 0);
    assert_eq!(due_at(std::slice::from_ref(&active), Some(false), 10), publish(110));
    assert_eq!(due_at(std::slice::from_ref(&active), Some(true), 10), publish(12));
    let both = [active, key("b", KeyState::Next, 110)];
    assert_eq!(due_at(&both, Some(false), 20), [], "it is under way");
    assert_eq!(due_at(&both, Some(true), 20), [KeyStep::Hasten { kid: "b".into(), activate_at: at(22) }]);
    let far = [key("a", KeyState::Active, 0), key("b", KeyState::Next, 5000)];
    assert_eq!(due_at(&far, Some(false), 20), [KeyStep::Hasten { kid: "b".into(), activate_at: at(120) }]);
}

#[test]
fn a_key_of_another_store_is_replaced() {
    let active = KeyLife { store: KeyStore::File, ..key("a", KeyState::Active, 0) };
    assert_eq!(due_at(&[active], None, 10), publish(110));
}

#[test]
fn what_never_was_is_not_rotated() {
    assert_eq!(due_at(&[], None, 10), []);
    assert_eq!(due_at(&[key("a", KeyState::Retired, 0)], Some(true), 10), []);
}

/// However often it looks, and whenever it sleeps: one active key at every moment, and none leaves early.
#[test]
fn a_year_of_rotations_has_one_active_key_at_every_moment() {
    let mut keys = vec![key("0", KeyState::Active, 0)];
    let (mut made, mut now) = (1, 0);
    while now < 100_000 {
        // pauses of all lengths, some longer than a period
        now += 1 + (now * 7919) % 1700;
        for step in due_at(&keys, (now % 11 == 0).then_some(now % 2 == 0), now) {
            match step {
                KeyStep::Publish { activate_at, .. } => {
                    assert!(activate_at >= at(now) + FOLLOW);
                    let life = KeyLife { activate_at, ..key(&made.to_string(), KeyState::Next, 0) };
                    keys.push(life);
                    made += 1;
                }
                KeyStep::Hasten { kid, activate_at } => find(&mut keys, &kid).activate_at = activate_at,
                KeyStep::Activate { kid, others_retire_at } => {
                    for old in keys.iter_mut().filter(|key| key.state == KeyState::Active) {
                        (old.state, old.retire_at) = (KeyState::Retiring, Some(others_retire_at));
                    }
                    find(&mut keys, &kid).state = KeyState::Active;
                }
                KeyStep::Retire { kid } => {
                    assert!(find(&mut keys, &kid).retire_at.unwrap() <= at(now));
                    find(&mut keys, &kid).state = KeyState::Retired;
                }
            }
        }
        let count = |state| keys.iter().filter(|key| key.state == state).count();
        assert_eq!(count(KeyState::Active), 1, "at {now}");
        assert!(count(KeyState::Next) <= 1, "at {now}");
    }
    assert!(made > 40, "{made}");
}

fn find<'a>(keys: &'a mut [KeyLife], kid: &str) -> &'a mut KeyLife {
    keys.iter_mut().find(|key| key.kid == kid).unwrap()
}
