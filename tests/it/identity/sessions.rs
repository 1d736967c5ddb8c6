//! Sessions while they last, and each way in which they end.

use std::net::IpAddr;

use holdfast::domain::client::GrantType;
use holdfast::domain::user::SessionEnd;
use holdfast::domain::{SecretText, SignedIn};
use holdfast::identity::{Fingerprint, Identity, Knock, Rules, Seen};
use holdfast::store::GrantRow;
use jiff::SignedDuration;
use rstest::rstest;
use uuid::Uuid;

use super::login::person;
use super::{AGENT, PASSWORD, Room, actor, knock};
use crate::oauth::harness::server;
use crate::store::engine::Engine;
use crate::support::browser::Browser;

const HOME: &str = "192.0.2.1";

async fn seen(identity: &Identity, cookie: &SecretText, agent: &str, from: &str) -> Seen {
    identity.who(Some(cookie.expose()), agent, from.parse::<IpAddr>().unwrap()).await.unwrap()
}

fn ended(reason: &str, count: u64) -> String {
    format!("holdfast_sessions_ended_total{{reason=\"{reason}\"}} {count}\n")
}

/// A grant that began in a session.
async fn grant(room: &Room, signed_in: &SignedIn) -> Uuid {
    let now = room.clock.at();
    let grant = GrantRow {
        id: Uuid::new_v4(),
        kind: GrantType::AuthorizationCode,
        client_id: "app".to_owned(),
        subject: signed_in.user_id.clone(),
        resource_server_id: "rs_a".to_owned(),
        scope: "read".to_owned(),
        session_id: Some(signed_in.session_id.clone()),
        auth_time: Some(now),
        jkt: None,
        parent: None,
        created_at: now,
        expires_at: now + SignedDuration::from_hours(24),
        revoked_at: None,
    };
    let mut tx = room.store.write(&actor()).await.unwrap();
    tx.put_grant(&grant).await.unwrap();
    tx.commit().await.unwrap();
    grant.id
}

async fn lives(room: &Room, grant: Uuid) -> bool {
    room.store.read().await.unwrap().grant(grant).await.unwrap().unwrap().revoked_at.is_none()
}

/// S17: nobody uses it, or it is old: over, counted by reason, once, whoever finds it.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn a_session_ends_by_its_age_and_by_silence(#[case] engine: Engine) {
    let (hour, rules) = (3600, Rules::default());
    let room = Room::open(engine, rules.clone()).await;
    let ada = room.person("ada@example.com").await;
    let used = knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    let kept = grant(&room, &used.signed_in).await;
    knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    for _ in 0..24 {
        room.clock.advance(7 * hour);
        let Seen::Someone(signed_in, account) = seen(&room.identity, &used.cookie, AGENT, HOME).await else { break };
        assert_eq!((&signed_in.user_id, &account.id), (&ada.id, &ada.id));
    }
    assert_eq!(seen(&room.identity, &used.cookie, AGENT, HOME).await, Seen::Over);
    assert!(room.metric(&ended("absolute_timeout", 1)) && room.metric(&ended("idle_timeout", 0)));
    let second = room.second(rules).await;
    let (one, two) = tokio::join!(room.identity.sweep(), second.sweep());
    let all = [one.unwrap(), two.unwrap()].concat();
    assert_eq!(all, [(SessionEnd::AbsoluteTimeout, 1)], "the silent one is past its age too, and counted once");
    assert!(room.metric(&ended("absolute_timeout", 2)), "the one that nobody asked for");
    assert_eq!(room.identity.sweep().await.unwrap(), []);
    knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    room.clock.advance(9 * hour);
    assert!(room.identity.devices(Some(&ada.id)).await.unwrap().is_empty(), "over, though nobody has said so yet");
    assert_eq!(room.identity.sweep().await.unwrap(), [(SessionEnd::IdleTimeout, 1)]);
    assert!(room.metric("holdfast_sessions_created_total 3\n"));
    assert!(lives(&room, kept).await, "nobody has asked for the end of what it began");
}

/// S17: a cookie that comes from another browser is stolen; an update of the browser is no other one.
#[rstest]
#[case::same(Fingerprint::Browser, AGENT, HOME, true)]
#[case::update(Fingerprint::Browser, "Mozilla/5.0 (X11; Linux x86_64) Firefox/141.0", HOME, true)]
#[case::elsewhere(Fingerprint::Browser, AGENT, "198.51.100.1", true)]
#[case::another(Fingerprint::Browser, "curl/8.0", HOME, false)]
#[case::network(Fingerprint::BrowserAndNetwork, AGENT, "198.51.100.1", false)]
#[case::neighbour(Fingerprint::BrowserAndNetwork, AGENT, "192.0.2.99", true)]
#[case::off(Fingerprint::None, "curl/8.0", "198.51.100.1", true)]
#[tokio::test]
async fn a_stolen_cookie_ends_the_session(
    #[case] fingerprint: Fingerprint,
    #[case] agent: &str,
    #[case] from: &str,
    #[case] goes_on: bool,
) {
    let room = Room::open(Engine::Sqlite, Rules { fingerprint, ..Rules::default() }).await;
    room.person("ada@example.com").await;
    let entered = knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    let found = seen(&room.identity, &entered.cookie, agent, from).await;
    assert_eq!(matches!(found, Seen::Someone(..)), goes_on);
    let owner = seen(&room.identity, &entered.cookie, AGENT, HOME).await;
    assert_eq!(matches!(owner, Seen::Someone(..)), goes_on, "for both");
    assert!(room.metric(&ended("fingerprint_mismatch", u64::from(!goes_on))));
}

/// S17: what a command beside the server ends is counted by the server, once.
#[tokio::test]
async fn what_a_command_ends_is_counted_by_the_server() {
    let room = Room::open(Engine::Sqlite, Rules::default()).await;
    let ada = room.person("ada@example.com").await;
    let entered = knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    let command = super::room(&room.store, &room.clock, None, Rules::default());
    assert_eq!(command.force_logout(&ada.id, &actor()).await.unwrap(), 1);
    assert_eq!(seen(&room.identity, &entered.cookie, AGENT, HOME).await, Seen::Over);
    assert!(room.metric(&ended("revoked_remotely", 0)));
    room.identity.sweep().await.unwrap();
    room.identity.sweep().await.unwrap();
    assert!(room.metric(&ended("revoked_remotely", 1)));
}

/// IV-3: a sign-out ends what the session began; the other session and what it began go on.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn a_sign_out_ends_what_the_session_began(#[case] engine: Engine) {
    let room = Room::open(engine, Rules::default()).await;
    room.person("ada@example.com").await;
    let one = knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    let two = knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    let (first, second) = (grant(&room, &one.signed_in).await, grant(&room, &two.signed_in).await);
    room.identity.sign_out(&one.signed_in).await.unwrap();
    assert_eq!((lives(&room, first).await, lives(&room, second).await), (false, true));
    assert_eq!(seen(&room.identity, &one.cookie, AGENT, HOME).await, Seen::Over);
    assert!(matches!(seen(&room.identity, &two.cookie, AGENT, HOME).await, Seen::Someone(..)));
    room.identity.sign_out(&one.signed_in).await.unwrap();
    assert!(room.metric(&ended("logout", 1)), "once");
}

/// IV-3, C-07: nobody who signs in at the moment of being disabled stays in; everything that was issued ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_person_is_out_whoever_was_first() {
    // whoever knocks too late has failed, and is not to be locked out for it
    let failures = Rules { failures_per_pair: 1000, failures_per_source: 1000, ..Rules::default() };
    let rules = Rules { hashing: 4, max_waiting: 100, failures_per_identity: 1000, ..failures };
    let room = Room::open(Engine::Postgres, rules.clone()).await;
    let second = room.second(rules).await;
    let ada = room.person("ada@example.com").await;
    let before = knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    let granted = grant(&room, &before.signed_in).await;
    let mut knocks = tokio::task::JoinSet::new();
    for i in 0..50 {
        let identity = if i % 2 == 0 { room.identity.clone() } else { second.clone() };
        knocks.spawn(async move { knock(&identity, "ada@example.com", PASSWORD, HOME).await });
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(second.disable(&ada.id, &actor()).await.unwrap());
    let ended = knocks.join_all().await;
    for entered in ended.into_iter().flatten() {
        assert_eq!(seen(&room.identity, &entered.cookie, AGENT, HOME).await, Seen::Over);
    }
    assert!(room.store.read().await.unwrap().live_sessions(Some(&ada.id), 100).await.unwrap().is_empty());
    assert!(!lives(&room, granted).await);
    assert!(!second.disable(&ada.id, &actor()).await.unwrap(), "a second time changes nothing");
    assert!(room.identity.enable(&ada.id, &actor()).await.unwrap());
    assert_eq!(seen(&room.identity, &before.cookie, AGENT, HOME).await, Seen::Over, "what was ended stays ended");
    knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
}

/// the browser that another person had is that person's no longer.
#[tokio::test]
async fn a_browser_is_one_persons_at_a_time() {
    let room = Room::open(Engine::Sqlite, Rules::default()).await;
    room.person("ada@example.com").await;
    room.person("bob@example.com").await;
    let ada = knock(&room.identity, "ada@example.com", PASSWORD, HOME).await.unwrap();
    let (password, source) = (SecretText::new(PASSWORD), HOME.parse().unwrap());
    let (email, cookie) = ("bob@example.com", Some(&ada.cookie));
    let knock = Knock { email, password: &password, source, user_agent: AGENT, cookie };
    let bob = room.identity.sign_in(&knock).await.unwrap();
    assert_ne!(bob.signed_in.session_id, ada.signed_in.session_id);
    assert_eq!(seen(&room.identity, &ada.cookie, AGENT, HOME).await, Seen::Over);
    assert!(room.metric(&ended("logout", 1)) && room.metric("holdfast_sessions_created_total 2\n"));
}

/// S17: from the account page: another device goes, nobody else's does, and all is counted and logged.
#[tokio::test]
async fn a_device_is_signed_out_remotely_by_its_owner_alone() {
    let server = server().await;
    let account = person(&server, "ada@example.com").await;
    person(&server, "eve@example.com").await;
    let (laptop, mut phone) = (Browser::at(&server.public), Browser::at(&server.public));
    let eve = Browser::at(&server.public);
    phone.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1".to_owned();
    laptop.log_in("ada@example.com", PASSWORD).await;
    phone.log_in("ada@example.com", PASSWORD).await;
    eve.log_in("eve@example.com", PASSWORD).await;
    let page = laptop.fetch("/account").await;
    assert!(page.html.contains("Safari on iPhone"), "{}", page.html);
    let session = page.field("session");
    let hers = eve.fetch("/account").await;
    assert_eq!(eve.submit_once(&hers, "/account/end-session", &[("session", &session)]).await.status, 303);
    assert_eq!(phone.fetch("/account").await.status, 200, "Eve ends nothing of Ada's");
    let answer = laptop.submit_once(&page, "/account/end-session", &[("session", &session)]).await;
    assert_eq!((answer.status, answer.to()), (303, "/account"));
    assert_eq!(phone.fetch("/account").await.status, 303);
    assert!(!laptop.fetch("/account").await.html.contains("iPhone"));
    assert!(server.metric(&ended("revoked_remotely", 1)));
    assert_eq!(server.identity.devices(Some(&account.id)).await.unwrap().len(), 1);
}

/// A person sets another password: only this browser stays, under another cookie.
#[tokio::test]
async fn a_password_is_changed_by_who_knows_the_old_one() {
    let server = server().await;
    person(&server, "ada@example.com").await;
    let (here, there) = (Browser::at(&server.public), Browser::at(&server.public));
    here.log_in("ada@example.com", PASSWORD).await;
    there.log_in("ada@example.com", PASSWORD).await;
    let page = here.fetch("/account/password").await;
    for (old, new, repeated, says) in [
        ("wrong", "another fine sentence", "another fine sentence", "That is not your password."),
        (PASSWORD, "another fine sentence", "another find sentence", "differ"),
        (PASSWORD, "short", "short", "A password has at least 12 characters."),
        (PASSWORD, "ada@example.com", "ada@example.com", "first that anybody would guess"),
    ] {
        let form = [("old", old), ("new", new), ("repeated", repeated)];
        let answer = here.submit_once(&page, "/account/password", &form).await;
        assert_eq!(answer.status, 400);
        assert!(answer.html.contains(says), "{says} in {}", answer.html);
    }
    assert_eq!(there.fetch("/account").await.status, 200, "nothing has happened");
    let before = here.cookies();
    let form = [("old", PASSWORD), ("new", "another fine sentence"), ("repeated", "another fine sentence")];
    assert_eq!(here.submit_once(&page, "/account/password", &form).await.to(), "/account");
    assert_eq!((here.fetch("/account").await.status, there.fetch("/account").await.status), (200, 303));
    let after = here.cookies();
    here.set_cookies(before);
    assert_eq!(here.fetch("/account").await.status, 303, "the old cookie opens nothing");
    here.set_cookies(after);
    let again = Browser::at(&server.public);
    assert_eq!(again.log_in("ada@example.com", PASSWORD).await.status, 403);
    assert_eq!(again.log_in("ada@example.com", "another fine sentence").await.status, 303);
}
