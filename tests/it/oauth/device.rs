//! The device grant (RFC 8628), from the device to its user and back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fantoccini::Locator;
use futures::future::join_all;
use holdfast::domain::user::{AccountRole, Email};
use holdfast::domain::{Account, Actor, SecretText};
use holdfast::identity::NewAccount;
use holdfast::store::{Revoke, RevokeCause};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::harness::{Answer, Server, Setup, client, credential, now, resource_server, secret, server};
use super::prover::Prover;
use crate::store::engine;
use crate::support::browser::{Browser, Page};
use crate::support::chromium::Chromium;
use crate::support::lossy::Lossy;
use crate::support::postgres;

const MEDIA: &str = "https://media.example.com/mcp";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const PASSWORD: &str = "correct horse battery";

/// A television, another one, and a resource that new users may read.
async fn world(server: &Server) {
    let change = json!({
        "displayName": "Media", "roles": [{"name": "reader", "scopes": ["invoices.read", "invoices.write"]}],
        "defaultRole": "reader", "accessToken": {"senderConstraint": "DPoPOptional"},
    });
    let media = resource_server(MEDIA, change);
    let attached =
        json!([{"name": "media", "resourceServerID": "rs_media", "scopes": ["invoices.read", "invoices.write"]}]);
    let television = client(json!({
        "displayName": "Television", "authenticationMethod": "None", "grantTypes": ["device_code", "refresh_token"],
        "resources": attached,
        "tokens": {"refreshLifetimeSeconds": 86_400, "refreshIdleSeconds": 7200, "senderConstraint": "None"},
    }));
    let box_ = client(json!({"displayName": "Box", "grantTypes": ["device_code"], "resources": attached}));
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    tx.put("rs_media", &media, None, now()).await.unwrap();
    for (id, spec) in [("tv", &television), ("tv2", &television), ("box", &box_)] {
        tx.put(id, spec, None, now()).await.unwrap();
    }
    tx.put_credential("box", &credential("cred-box", &secret("box"))).await.unwrap();
    tx.commit().await.unwrap();
    server.store.refresh().await.unwrap();
}

async fn person(server: &Server, email: &str) -> Account {
    let new = NewAccount {
        email: Email::parse(email).unwrap(),
        name: "Ada Lovelace".to_owned(),
        role: AccountRole::User,
        password: SecretText::new(PASSWORD),
    };
    server.identity.create(new, &Actor::recorded("test")).await.unwrap()
}

/// A browser that somebody has signed in with.
async fn visitor(server: &Server, email: &str) -> Browser {
    let visitor = Browser::at(&server.public);
    assert_eq!(visitor.log_in(email, PASSWORD).await.status, 303);
    visitor
}

async fn begin(server: &Server, client: &str, more: &[(&str, &str)]) -> Answer {
    let form: Vec<(&str, &str)> = [("client_id", client)].iter().chain(more).copied().collect();
    let request = server.http.post(format!("{}/oauth/device_authorization", server.public)).form(&form);
    super::harness::answer(request).await
}

async fn codes(server: &Server, client: &str, more: &[(&str, &str)]) -> (String, String) {
    let answer = begin(server, client, more).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |member: &str| answer.json()[member].as_str().unwrap().to_owned();
    (text("device_code"), text("user_code"))
}

async fn poll_with(server: &Server, client: &str, code: &str, more: &[(&str, &str)]) -> Answer {
    let form = [("grant_type", GRANT), ("device_code", code), ("client_id", client)];
    let form: Vec<(&str, &str)> = form.iter().chain(more).copied().collect();
    super::harness::answer(server.http.post(format!("{}/oauth/token", server.public)).form(&form)).await
}

async fn poll(server: &Server, code: &str) -> Answer {
    poll_with(server, "tv", code, &[]).await
}

/// Types the code and decides.
async fn decide(visitor: &Browser, user_code: &str, decision: &str) -> Page {
    let page = visitor.fetch("/device").await;
    let shown = visitor.submit_once(&page, "/device", &[("user_code", user_code)]).await;
    assert_eq!(shown.status, 200, "{}", shown.html);
    visitor.submit_once(&shown, "/device", &[("user_code", user_code), ("decision", decision)]).await
}

/// L-01, L-04, L-05, S22: the whole way; a link with the code in it only fills in the form.
#[tokio::test]
async fn a_device_is_let_in_by_its_user_and_by_nobody_else() {
    let server = server().await;
    world(&server).await;
    let ada = person(&server, "ada@example.com").await;
    let answer = begin(&server, "tv", &[("scope", "invoices.read invoices.write unknown")]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let begun = answer.json();
    assert_eq!((&begun["expires_in"], &begun["interval"]), (&json!(600), &json!(5)));
    let (device_code, user_code) = (begun["device_code"].as_str().unwrap(), begun["user_code"].as_str().unwrap());
    assert!(device_code.starts_with("hfdc_") && device_code.len() == 48);
    let letters = |half: &str| half.len() == 4 && half.bytes().all(|b| b"BCDFGHJKLMNPQRSTVWXZ".contains(&b));
    assert!(user_code.split('-').all(letters) && user_code.len() == 9, "{user_code}");
    assert_eq!(begun["verification_uri"], "https://auth.example.com/device");
    let complete = begun["verification_uri_complete"].as_str().unwrap();
    assert_eq!(complete, format!("https://auth.example.com/device?user_code={user_code}"));

    let link = complete.strip_prefix("https://auth.example.com").unwrap();
    let browser = Browser::at(&server.public);
    let away = browser.fetch(link).await;
    assert_eq!(away.status, 303);
    let login = browser.fetch(away.to()).await;
    let form = [("email", "ada@example.com"), ("password", PASSWORD), ("to", link)];
    let entered = browser.submit_once(&login, "/login", &form).await;
    assert_eq!((entered.status, entered.to()), (303, link));
    let page = browser.fetch(link).await;
    assert!(page.status == 200 && page.html.contains(&format!("value=\"{user_code}\"")), "{}", page.html);
    assert_eq!(poll(&server, device_code).await.error(), "authorization_pending", "looking at it allows nothing");
    let typed = format!(" {}", user_code.to_lowercase().replace('-', " "));
    let shown = browser.submit_once(&page, "/device", &[("user_code", &typed)]).await;
    for part in
        ["Allow <bdi>Television</bdi>?", "127.0.0.1", "invoices.write", "far-reaching", "Media", user_code, MEDIA]
    {
        assert!(shown.html.contains(part), "{part}: {}", shown.html);
    }
    assert!(!shown.html.contains("invoices.void") && shown.header("content-security-policy").contains("'none'"));
    server.clock.advance(5);
    assert_eq!(poll(&server, device_code).await.error(), "authorization_pending", "and so does seeing it");
    let done = browser.submit_once(&shown, "/device", &[("user_code", user_code), ("decision", "allow")]).await;
    assert!(done.status == 200 && done.html.contains("Device connected"), "{}", done.html);
    server.clock.advance(5);
    let answer = poll(&server, device_code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let issued = answer.json();
    assert_eq!((&issued["scope"], &issued["token_type"]), (&json!("invoices.read invoices.write"), &json!("Bearer")));
    assert!(issued["refresh_token"].as_str().unwrap().starts_with("hfrt_"));
    let consents = server.store.read().await.unwrap().consents_of(&ada.id).await.unwrap();
    assert_eq!((consents.len(), consents[0].client_id.as_str()), (1, "tv"), "the user sees it and can take it back");
    assert_eq!(poll(&server, device_code).await.error(), "invalid_grant", "once");
    for line in [
        "holdfast_device_codes_total{outcome=\"issued\"} 1",
        "holdfast_device_codes_total{outcome=\"approved\"} 1",
        "holdfast_device_codes_total{outcome=\"redeemed\"} 1",
        "holdfast_device_authorization_duration_seconds_count 1",
        "holdfast_consent_decisions_total{decision=\"granted\",flow=\"device\"} 1",
    ] {
        assert!(server.metric(line), "{line}");
    }
    let mut tx = server.store.read().await.unwrap();
    let kinds: Vec<_> = tx.audit_events(None, 10).await.unwrap().into_iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"consent_granted"), "{kinds:?}");
}

/// L-02: what a device is told while it waits; `slow_down` is remembered, also by another server.
#[tokio::test]
async fn a_device_that_polls_too_fast_waits_longer_everywhere() {
    let url = postgres::fresh().await.url;
    let one = Setup { url: Some(url.clone()), ..Setup::default() }.start().await;
    world(&one).await;
    let two = Setup { url: Some(url), ..Setup::default() }.start().await;
    let (code, _) = codes(&one, "tv", &[]).await;
    let servers = [&one, &two];
    let advance = |seconds| servers.into_iter().for_each(|server| server.clock.advance(seconds));
    for (wait, expected) in [
        (0, "authorization_pending"),
        (5, "authorization_pending"),
        (4, "slow_down"),
        (9, "slow_down"),
        (15, "authorization_pending"),
        (14, "slow_down"),
        (20, "authorization_pending"),
    ] {
        advance(wait);
        let server = servers[usize::try_from(wait).unwrap() % 2];
        assert_eq!(poll(server, &code).await.error(), expected, "after {wait} s");
    }
    advance(600);
    assert_eq!(poll(&one, &code).await.error(), "expired_token");
}

/// L-02, L-07, R-23, R-57: refusals, with nothing changed by them.
#[tokio::test]
async fn what_a_device_may_not_is_refused() {
    let server = server().await;
    world(&server).await;
    let ada = person(&server, "ada@example.com").await;
    for (client, more, error) in [
        ("browser", &[][..], "invalid_client"),
        ("app", &[], "unauthorized_client"),
        ("nobody", &[], "invalid_client"),
        ("tv", &[("scope", "invoices.void")], "invalid_scope"),
        ("tv", &[("resource", "https://unknown.example.com")], "invalid_target"),
        ("tv", &[("code_challenge", "x")], "invalid_request"),
        ("tv", &[("code_challenge", "x"), ("code_challenge_method", "S256")], "invalid_request"),
        ("tv", &[("authorization_details", "[]")], "invalid_authorization_details"),
        ("box", &[], "invalid_client"),
    ] {
        assert_eq!(begin(&server, client, more).await.error(), error, "{client} {more:?}");
    }
    let (code, user_code) = codes(&server, "tv", &[]).await;
    for (client, code, more, error) in [
        ("tv2", code.as_str(), &[][..], "invalid_grant"),
        ("app", &code, &[], "unauthorized_client"),
        ("tv", "hfdc_x", &[], "invalid_grant"),
        ("tv", &user_code, &[], "invalid_grant"),
        ("tv", &code.replace("hfdc_", "hfac_"), &[], "invalid_grant"),
        ("tv", &code.replace("hfdc_", "hfrt_"), &[], "invalid_grant"),
        ("tv", "", &[], "invalid_request"),
        ("tv", &code, &[("resource", "https://billing.example.com/mcp")], "invalid_target"),
        ("tv", &code, &[("code_verifier", "a-verifier.of_43~characters-or-more-0123456789")], "invalid_grant"),
    ] {
        assert_eq!(poll_with(&server, client, code, more).await.error(), error, "{client} {code} {more:?}");
    }
    assert_eq!(poll(&server, &code).await.error(), "authorization_pending", "nothing of that was a poll");
    let browser = visitor(&server, "ada@example.com").await;
    let done = decide(&browser, &user_code, "deny").await;
    assert!(done.status == 200 && done.html.contains("Not allowed"));
    server.clock.advance(5);
    assert_eq!(poll(&server, &code).await.error(), "access_denied");
    let kept = server.store.read().await.unwrap().consents_of(&ada.id).await.unwrap();
    assert!(kept.is_empty(), "{kept:?}");
    let (_, another) = codes(&server, "tv", &[]).await;
    let page = browser.fetch("/device").await;
    for (form, status) in [
        (&[("user_code", user_code.as_str())][..], 400),
        (&[("user_code", "BCDF-BCDF")], 400),
        (&[("user_code", "")], 400),
        (&[("user_code", another.as_str()), ("decision", "allow")], 400),
    ] {
        let answer = browser.submit_once(&page, "/device", form).await;
        assert_eq!(answer.status, status, "{form:?} {}", answer.html);
    }
    let forged = browser.send("/device", &[("user_code", &another), ("decision", "allow"), ("csrf", "x")]).await;
    assert_eq!(forged.status, 403);
    let stranger = Browser::at(&server.public);
    let login = stranger.fetch("/login?to=%2Fdevice").await;
    let answer = stranger.submit_once(&login, "/device", &[("user_code", &another), ("decision", "allow")]).await;
    assert_eq!((answer.status, answer.to()), (303, "/login?to=%2Fdevice"));
}

/// L-04: who was shown a code decides; nobody guesses, and nobody who is sent a link is bound by another's look.
#[tokio::test]
async fn a_code_is_shown_to_one_session_and_guessed_by_none() {
    let server = server().await;
    world(&server).await;
    person(&server, "ada@example.com").await;
    person(&server, "eve@example.com").await;
    let (ada, eve) = (visitor(&server, "ada@example.com").await, visitor(&server, "eve@example.com").await);
    let (code, user_code) = codes(&server, "tv", &[]).await;
    let page = ada.fetch("/device").await;
    let shown = ada.submit_once(&page, "/device", &[("user_code", &user_code)]).await;
    assert_eq!(shown.status, 200);
    let theirs = eve.fetch("/device").await;
    for form in [&[("user_code", user_code.as_str())][..], &[("user_code", &user_code), ("decision", "allow")]] {
        assert_eq!(eve.submit_once(&theirs, "/device", form).await.status, 400, "{form:?}");
    }
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(eve.submit_once(&theirs, "/device", &[("user_code", "BCDF-BCDF")]).await.status);
    }
    assert_eq!(statuses, [400, 400, 400, 400, 429, 429]);
    assert!(server.metric("holdfast_rate_limit_exceeded_total{endpoint=\"device\"} 2"));
    let allowed = ada.submit_once(&shown, "/device", &[("user_code", &user_code), ("decision", "allow")]).await;
    assert_eq!(allowed.status, 200);
    let again = ada.submit_once(&shown, "/device", &[("user_code", &user_code), ("decision", "deny")]).await;
    assert_eq!(again.status, 400, "decided once");
    assert_eq!(poll(&server, &code).await.status, 200);
}

/// L-05: a user without a role gives nothing away; a consent that is withdrawn ends what no device has fetched.
#[tokio::test]
async fn the_access_policy_is_that_of_the_code_flow() {
    let server = server().await;
    world(&server).await;
    let ada = person(&server, "ada@example.com").await;
    let browser = visitor(&server, "ada@example.com").await;
    let (code, user_code) = codes(&server, "tv", &[]).await;
    decide(&browser, &user_code, "allow").await;
    let mut tx = server.store.write(&Actor::recorded("test")).await.unwrap();
    tx.revoke(Revoke::Subject(&ada.id), RevokeCause::UserDisabled, now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(poll(&server, &code).await.error(), "access_denied");
    server.put("rs_media", &resource_server(MEDIA, json!({"displayName": "Media"}))).await;
    server.store.refresh().await.unwrap();
    let (code, user_code) = codes(&server, "tv", &[]).await;
    let page = browser.fetch("/device").await;
    let refused = browser.submit_once(&page, "/device", &[("user_code", &user_code)]).await;
    assert_eq!(refused.status, 403, "{}", refused.html);
    assert_eq!(poll(&server, &code).await.error(), "authorization_pending");
}

/// L-06, R-13, P-12: who begins with a challenge ends with its verifier; a proof binds what is issued.
#[tokio::test]
async fn a_verifier_and_a_key_are_enforced_when_they_were_begun_with() {
    const VERIFIER: &str = "a-verifier.of_43~characters-or-more-0123456789";
    let server = server().await;
    world(&server).await;
    person(&server, "ada@example.com").await;
    let browser = visitor(&server, "ada@example.com").await;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let begun = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let (code, user_code) = codes(&server, "tv", &begun).await;
    decide(&browser, &user_code, "allow").await;
    for more in [&[][..], &[("code_verifier", "")], &[("code_verifier", &VERIFIER[1..])]] {
        assert_eq!(poll_with(&server, "tv", &code, more).await.error(), "invalid_grant", "{more:?}");
    }
    let key = Prover::new();
    let form = [("grant_type", GRANT), ("device_code", &code), ("client_id", "tv"), ("code_verifier", VERIFIER)];
    let post = |form: Vec<(String, String)>, proof: String| {
        let request = server.http.post(format!("{}/oauth/token", server.public)).header("dpop", proof).form(&form);
        super::harness::answer(request)
    };
    let owned =
        |form: &[(&str, &str)]| form.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    let answer = post(owned(&form), key.proof(&server, json!({}))).await;
    assert_eq!((answer.status, &answer.json()["token_type"]), (200, &json!("DPoP")), "{answer:?}");
    let issued: Value = answer.json();
    let refresh =
        |token: &str| owned(&[("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "tv")]);
    let first = issued["refresh_token"].as_str().unwrap();
    let request = server.http.post(format!("{}/oauth/token", server.public)).form(&refresh(first));
    assert_eq!(super::harness::answer(request).await.error(), "invalid_dpop_proof", "C-08, R-56");
    let other = post(refresh(first), Prover::new().proof(&server, json!({}))).await;
    assert_eq!(other.error(), "invalid_grant", "C-08");
    let own = post(refresh(first), key.proof(&server, json!({}))).await;
    assert_eq!((own.status, &own.json()["token_type"]), (200, &json!("DPoP")), "{own:?}");
}

/// L-03, IV-1, R-16: fifty polls at two servers on one database, one grant.
#[tokio::test]
async fn of_fifty_redemptions_one_is_answered() {
    let url = postgres::fresh().await.url;
    let one = Setup { url: Some(url.clone()), ..Setup::default() }.start().await;
    world(&one).await;
    person(&one, "ada@example.com").await;
    let two = Setup { url: Some(url), ..Setup::default() }.start().await;
    let (code, user_code) = codes(&one, "tv", &[]).await;
    let browser = visitor(&two, "ada@example.com").await;
    decide(&browser, &user_code, "allow").await;
    let polls = (0..50).map(|n| poll(if n % 2 == 0 { &one } else { &two }, &code));
    let answers = join_all(polls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.error() == "invalid_grant"));
}

/// IV-1, FT-12, L-02, L-03: a device is answered once though the answers to commits are lost: its poll is no second poll,
/// and what its user allowed is redeemed.
#[tokio::test]
async fn a_device_is_answered_though_the_answer_is_lost() {
    let fresh = engine::Engine::Postgres.fresh().await;
    let (lossy, url) = Lossy::before(&fresh.url).await;
    let server = Setup { url: Some(url), ..Setup::default() }.start().await;
    world(&server).await;
    person(&server, "ada@example.com").await;
    let browser = visitor(&server, "ada@example.com").await;
    let (code, user_code) = codes(&server, "tv", &[]).await;
    lossy.lose(|| {});
    assert_eq!(poll(&server, &code).await.error(), "authorization_pending");
    assert!(lossy.has_lost());
    decide(&browser, &user_code, "allow").await;
    let key = Prover::new();
    let form = [("grant_type", GRANT), ("device_code", code.as_str()), ("client_id", "tv")];
    let proof = key.proof(&server, json!({}));
    let redeem = async || {
        let request = server.http.post(format!("{}/oauth/token", server.public)).header("dpop", &proof);
        super::harness::answer(request.form(&form)).await
    };
    lossy.lose(|| {});
    let issued = redeem().await;
    assert!(issued.status == 200 && lossy.has_lost(), "{issued:?}");
    assert_eq!(redeem().await.error(), "invalid_grant");
    for (table, rows) in [("token_grant", 1), ("refresh_token", 1), ("used_proof", 1)] {
        assert_eq!(fresh.number(&format!("SELECT count(*) FROM {table}")).await, rows, "{table}");
    }
}

/// L-01, S16: in a real browser: the code stands in one piece, no script is needed, and the device goes on.
#[tokio::test]
async fn a_person_lets_a_device_in() {
    let server = Setup { issuer: "http://localhost:9000".to_owned(), ..Setup::default() }.start().await;
    world(&server).await;
    person(&server, "ada@example.com").await;
    let (code, user_code) = codes(&server, "tv", &[("scope", "invoices.read invoices.write")]).await;
    let chromium = Chromium::start().await;
    chromium.client.goto(&format!("{}/device?user_code={user_code}", server.public)).await.unwrap();
    chromium.arrives("/login").await;
    chromium.fill("email", "ada@example.com").await;
    chromium.fill("password", PASSWORD).await;
    chromium.press("Sign in").await;
    chromium.arrives("/device").await;
    assert_eq!(chromium.ask("document.getElementById('user_code').value").await, user_code.as_str());
    chromium.press("Go on").await;
    chromium.client.wait().for_element(Locator::Css("button[value=allow]")).await.unwrap();
    let text = chromium.text().await;
    assert!(text.contains("Allow Television?") && text.contains(&user_code) && text.contains("127.0.0.1"), "{text}");
    let broken = "[...document.querySelectorAll('strong code')].filter(e => e.getClientRects().length != 1).length";
    chromium.client.set_window_size(360, 800).await.unwrap();
    assert_eq!(chromium.ask(broken).await, 0, "a code that is compared is not broken into lines");
    let wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(chromium.ask(wider).await, false, "and a telephone shows all of the page");
    assert_eq!(chromium.ask("document.querySelectorAll('script, [style], [onclick]').length").await, 0);
    chromium.press("Allow").await;
    chromium.client.wait().for_element(Locator::Css("[role=status]")).await.unwrap();
    assert!(chromium.text().await.contains("Device connected"));
    chromium.close().await;
    assert_eq!(poll(&server, &code).await.status, 200);
}
