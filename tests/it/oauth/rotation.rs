//! Keys are replaced under load, and no token is ever without its key.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast::domain::signing_key::{KEEP, KeyRotation, KeyState, KeyStore};
use holdfast::domain::{Actor, AuditKind, Clock};
use holdfast::oauth::{Document, KeyChange, KeySettings};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use super::harness::{Server, Setup, resource_server, secret};
use crate::support::postgres;

/// A verifier's key set may be as old as this.
const CACHED: i64 = 300;
const AHEAD: i64 = 600;
const PERIOD: i64 = 1800;

fn settings() -> KeySettings {
    let seconds = SignedDuration::from_secs;
    let rotation =
        KeyRotation { period: Some(seconds(PERIOD)), publish_ahead: seconds(AHEAD), store: KeyStore::Database };
    KeySettings { rotation, ..KeySettings::default() }
}

async fn two() -> (Server, Server) {
    let url = postgres::fresh().await.url;
    let one = Setup { url: Some(url.clone()), keys: settings(), ..Setup::default() }.start().await;
    let clock = Some(one.clock.clone());
    let two = Setup { url: Some(url), keys: settings(), clock, ..Setup::default() }.start().await;
    (one, two)
}

async fn jwks(server: &Server) -> JwkSet {
    serde_json::from_str(&server.get("/.well-known/jwks.json").await.text).unwrap()
}

/// `None` when the set does not verify it.
fn verified(token: &str, set: &JwkSet) -> Option<Value> {
    let header = decode_header(token).unwrap();
    let key = set.find(&header.kid.unwrap())?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).ok().map(|token| token.claims)
}

fn states(changes: &[KeyChange]) -> Vec<KeyState> {
    changes.iter().map(|change| change.state).collect()
}

fn kids(set: &Document) -> BTreeSet<String> {
    let set: JwkSet = serde_json::from_slice(&set.bytes).unwrap();
    set.keys.into_iter().filter_map(|key| key.common.key_id).collect()
}

/// Waits until both replicas publish the same keys, and says how long that took.
async fn agreed(servers: [&Server; 2]) -> Duration {
    let began = std::time::Instant::now();
    loop {
        let rows = servers[0].store.read().await.unwrap().signing_keys().await.unwrap();
        let published: BTreeSet<String> =
            rows.into_iter().filter(|key| key.life.state.is_published()).map(|key| key.life.kid).collect();
        if servers.iter().all(|server| kids(&server.server.jwks()) == published) {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(10), "the replicas do not follow");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// All that is remembered of a rotation under load.
#[derive(Default)]
struct Witness {
    /// Key sets with the time at which they were fetched.
    sets: Mutex<Vec<(Timestamp, JwkSet)>>,
    tokens: Mutex<Vec<(Timestamp, String)>>,
    over: AtomicBool,
}

impl Witness {
    async fn issue(&self, server: &Server, resource: &str) {
        while !self.over.load(Ordering::Relaxed) {
            let at = server.clock.now();
            let token = server.token("multi", resource).await;
            self.tokens.lock().unwrap().push((at, token));
        }
    }

    async fn fetch(&self, server: &Server) {
        while !self.over.load(Ordering::Relaxed) {
            // the clock may move while it is fetched: what counts is that it was asked for after this
            let at = server.clock.now();
            let set = jwks(server).await;
            if server.clock.now() == at {
                self.sets.lock().unwrap().push((at, set));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Y-01, IV-6: on two replicas, through many rotations and without a pause in issuance, every token verifies against
/// every key set that either replica serves during its life, and against one that a verifier kept from before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_token_verifies_at_any_time_of_its_life() {
    let (one, two) = two().await;
    let epoch = one.store.take_over().await.unwrap();
    let witness = Arc::new(Witness::default());
    let drive = async {
        let mut activated = 0;
        for _ in 0..90 {
            one.clock.advance(100);
            let kept = one.server.keep_keys(epoch).await.unwrap();
            activated += states(&kept.changes).iter().filter(|state| **state == KeyState::Active).count();
            agreed([&one, &two]).await;
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        witness.over.store(true, Ordering::Relaxed);
        activated
    };
    let (activated, ..) = tokio::join!(
        drive,
        witness.issue(&one, super::harness::BILLING),
        witness.issue(&two, "https://eddsa.example.com/"),
        witness.fetch(&one),
        witness.fetch(&two),
    );
    assert!(activated >= 3 * 3, "{activated} keys became active");
    let (sets, tokens) = (witness.sets.lock().unwrap(), witness.tokens.lock().unwrap());
    let signed: BTreeSet<_> = tokens.iter().map(|(_, t)| decode_header(t).unwrap().kid).collect();
    assert!(signed.len() >= 6, "{} keys signed", signed.len());
    let mut verifications = 0;
    // verification in a debug build is slow: each token of a sample, against every set of its life
    let step = (tokens.len() / 150).max(1);
    for (_, token) in tokens.iter().step_by(step) {
        let claims = verified(token, &sets.iter().rfind(|(_, set)| verified(token, set).is_some()).unwrap().1).unwrap();
        let (from, until) = (claims["iat"].as_i64().unwrap() - CACHED, claims["exp"].as_i64().unwrap());
        let kid = decode_header(token).unwrap().kid.unwrap();
        let during = sets.iter().filter(|(at, _)| (from..=until).contains(&at.as_second()));
        for (at, set) in during {
            assert!(set.find(&kid).is_some(), "a set of {at} lacks the key of a token of {}", claims["iat"]);
            verifications += 1;
        }
    }
    assert!(verifications > 1000, "{verifications}");
}

/// Y-01, Y-02: a key is published first, signs later, and is gone when nothing of it can live; each step is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_goes_through_its_life_on_both_replicas() {
    let (one, two) = two().await;
    let epoch = two.store.take_over().await.unwrap();
    assert_eq!(states(&two.server.keep_keys(epoch).await.unwrap().changes), []);
    let first = one.token("reporter", super::harness::BILLING).await;
    two.clock.advance(PERIOD - AHEAD);
    assert_eq!(states(&two.server.keep_keys(epoch).await.unwrap().changes), [KeyState::Next; 3]);
    let took = agreed([&one, &two]).await;
    assert!(took < Duration::from_millis(900), "followed by the feed and not by the poll: {took:?}");
    let answer = one.get("/.well-known/jwks.json").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300", "no longer than it is published ahead");
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 6);
    let unique: BTreeSet<&str> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(unique.len(), 6);
    for key in &keys {
        assert!(key["use"] == "sig" && key["alg"].is_string() && key["kty"].is_string());
        assert!(["d", "p", "q", "dp", "dq", "qi", "k", "oth"].iter().all(|private| key.get(private).is_none()));
    }
    let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
    assert_eq!(kid(&one.token("reporter", super::harness::BILLING).await), kid(&first), "not before its time");
    two.clock.advance(AHEAD);
    let changes = two.server.keep_keys(epoch).await.unwrap().changes;
    assert_eq!(changes.iter().filter(|change| change.state == KeyState::Active).count(), 3);
    let started = std::time::Instant::now();
    while kid(&one.token("reporter", super::harness::BILLING).await) == kid(&first) {
        assert!(started.elapsed() < Duration::from_secs(5), "the other replica goes on with the old key");
    }
    agreed([&one, &two]).await;
    assert!(verified(&first, &jwks(&one).await).is_some());
    assert_eq!(one.introspect("reporter", &first).await["active"], false, "it has expired, and is ours all the same");
    two.clock.advance(KEEP.as_secs());
    let changes = two.server.keep_keys(epoch).await.unwrap().changes;
    assert_eq!(changes.iter().filter(|change| change.state == KeyState::Retired).count(), 3);
    agreed([&one, &two]).await;
    assert!(verified(&first, &jwks(&one).await).is_none());
    let mut tx = one.store.read().await.unwrap();
    for key in tx.signing_keys().await.unwrap() {
        assert_eq!(key.sealed_private.is_empty(), key.life.state == KeyState::Retired, "a retired key is destroyed");
    }
    for (kind, records) in [(AuditKind::KeyPublished, 6), (AuditKind::KeyRotated, 3), (AuditKind::KeyRetired, 6)] {
        assert_eq!(tx.audit_events(Some(kind), 50).await.unwrap().len(), records, "{}", kind.as_str());
    }
}

/// S15: who asks gets new keys without waiting for the period; a leader that was replaced does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_done_by_the_leader_alone() {
    let (one, two) = two().await;
    let (old, new) = (one.store.take_over().await.unwrap(), two.store.take_over().await.unwrap());
    let ask = |server: &Server, key: &str, query: &str| {
        server.http.post(format!("{}/admin/keys/rotate{query}", server.admin)).bearer_auth(secret(key)).send()
    };
    for (key, query, status) in [("vera", "", 403), ("olga", "", 403), ("nobody", "", 401), ("anna", "?now=1", 400)] {
        assert_eq!(ask(&one, key, query).await.unwrap().status(), status, "{key}{query}");
    }
    assert_eq!(one.store.read().await.unwrap().key_rotation_request().await.unwrap(), None);
    assert_eq!(ask(&one, "anna", "").await.unwrap().status(), 202);
    assert!(one.server.keep_keys(old).await.is_err(), "fenced");
    let changes = two.server.keep_keys(new).await.unwrap().changes;
    assert_eq!(states(&changes), [KeyState::Next; 3]);
    assert_eq!(changes[0].who, Actor::api_key("anna"));
    assert_eq!(states(&two.server.keep_keys(new).await.unwrap().changes), [], "once");
    agreed([&one, &two]).await;
    // urgent: as soon as the replicas have it
    assert_eq!(ask(&one, "anna", "?now=true").await.unwrap().status(), 202);
    assert_eq!(states(&two.server.keep_keys(new).await.unwrap().changes), [KeyState::Next; 3]);
    two.clock.advance(2);
    let changes = two.server.keep_keys(new).await.unwrap().changes;
    assert_eq!(changes.iter().filter(|change| change.state == KeyState::Active).count(), 3);
    let list = one.http.get(format!("{}/admin/keys", one.admin)).bearer_auth(secret("vera")).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let of = |state: &str| list["items"].as_array().unwrap().iter().filter(|key| key["state"] == state).count();
    assert_eq!((of("active"), of("retiring"), of("next")), (3, 3, 0));
    assert!(!list.to_string().contains("sealed"));
}

/// A read failure never drops keys: with rows that cannot be read any more the server signs with what it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_read_take_no_key_away() {
    let (one, two) = two().await;
    let before = one.get("/.well-known/jwks.json").await.text;
    let mut tx = one.store.write(&Actor::controller()).await.unwrap();
    let mut broken = tx.signing_keys().await.unwrap().remove(0);
    broken.life.kid = "stranger".into();
    tx.put_signing_key(&broken).await.unwrap();
    tx.commit().await.unwrap();
    assert!(one.server.reload_keys().await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    for server in [&one, &two] {
        assert_eq!(server.get("/.well-known/jwks.json").await.text, before);
        server.token("reporter", super::harness::BILLING).await;
    }
    let opaque = json!({"accessToken": {"format": "Opaque"}});
    one.put("rs_billing", &resource_server(super::harness::BILLING, opaque)).await;
}
