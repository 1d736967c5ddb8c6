//! The login page: who gets in, what everybody else is told, and what every page carries.

use holdfast::domain::user::{AccountRole, Email};
use holdfast::domain::{Account, Actor, SecretText};
use holdfast::identity::NewAccount;
use rstest::rstest;

use super::PASSWORD;
use crate::oauth::harness::{Server, Setup, server};
use crate::support::browser::{Browser, Page};

/// Somebody with an account.
pub async fn person(server: &Server, email: &str) -> Account {
    let new = NewAccount {
        email: Email::parse(email).unwrap(),
        name: "Ada Lovelace".to_owned(),
        role: AccountRole::User,
        password: SecretText::new(PASSWORD),
    };
    server.identity.create(new, &Actor::recorded("test")).await.unwrap()
}

/// what every page for people carries.
fn is_guarded(page: &Page) {
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    assert_eq!(page.header("access-control-allow-origin"), "", "A-15");
    for forbidden in ["<script", "style=", "onclick", "javascript:"] {
        assert!(!page.html.contains(forbidden), "{forbidden} in {}", page.html);
    }
    assert!(page.html.contains("<html lang=\"en\">"));
}

/// S17, A-14, A-15: from the form to the account page and out again.
#[tokio::test]
async fn somebody_signs_in_looks_around_and_signs_out() {
    let server = server().await;
    person(&server, "ada@example.com").await;
    let ada = Browser::at(&server.public);
    let away = ada.fetch("/account").await;
    assert_eq!((away.status, away.to()), (303, "/login?to=%2Faccount"));
    let page = ada.fetch(away.to()).await;
    assert_eq!(page.status, 200);
    is_guarded(&page);
    let form = [("email", " Ada@Example.COM "), ("password", PASSWORD), ("to", "/account")];
    let entered = ada.submit_once(&page, "/login", &form).await;
    assert_eq!((entered.status, entered.to()), (303, "/account"));
    let cookie = entered.headers.get_all("set-cookie").iter().next().unwrap().to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-holdfast-session=hfls_"), "{cookie}");
    for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires") && !cookie.contains("Domain"), "{cookie}");
    let account = ada.fetch("/account").await;
    is_guarded(&account);
    assert!(account.html.contains("Ada Lovelace") && account.html.contains("this browser"), "{}", account.html);
    assert_eq!(ada.fetch("/login?to=%2Faccount").await.to(), "/account", "who is in is not asked again");
    let stylesheet = account.html.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let style = ada.fetch(stylesheet).await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(style.header("cache-control").contains("immutable"));
    let old = ada.cookies();
    let out = ada.submit_once(&account, "/logout", &[]).await;
    assert_eq!((out.status, out.to()), (303, "/login"));
    assert!(!ada.cookies().contains_key("__Host-holdfast-session"));
    assert_ne!(ada.cookies(), old, "and the browser has another name");
    ada.set_cookies(old);
    assert_eq!(ada.fetch("/account").await.status, 303, "the old cookie opens nothing");
    for line in [
        "holdfast_login_attempts_total{method=\"password\",outcome=\"success\",provider=\"local\"} 1",
        "holdfast_sessions_created_total 1",
        "holdfast_sessions_ended_total{reason=\"logout\"} 1",
    ] {
        assert!(server.metric(line), "{line}");
    }
}

/// Where the issuer is plain http, as on a loopback, a cookie cannot be `__Host-`.
#[tokio::test]
async fn without_tls_the_cookies_have_plain_names() {
    let server = Setup { issuer: "http://localhost:9000".to_owned(), ..Setup::default() }.start().await;
    person(&server, "ada@example.com").await;
    let ada = Browser::at(&server.public);
    assert_eq!(ada.log_in("ada@example.com", PASSWORD).await.status, 303);
    assert_eq!(ada.cookies().keys().collect::<Vec<_>>(), ["holdfast-browser", "holdfast-session"]);
}

/// Y-09: unknown address, wrong password, disabled person, a password that is too long: one answer.
#[tokio::test]
async fn nobody_learns_who_exists() {
    let server = server().await;
    let gone = person(&server, "gone@example.com").await;
    person(&server, "ada@example.com").await;
    server.identity.disable(&gone.id, &Actor::recorded("test")).await.unwrap();
    let mut answers = Vec::new();
    let long = "x".repeat(2000);
    for (email, password) in [
        ("ada@example.com", "not the password"),
        ("nobody@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
        ("ada@example.com", long.as_str()),
        ("no address at all", PASSWORD),
    ] {
        let visitor = Browser::at(&server.public);
        let page = visitor.log_in(email, password).await;
        assert!(!visitor.cookies().contains_key("__Host-holdfast-session"));
        let text = page.html.replace(email, "EMAIL").replace(&page.field("csrf"), "CSRF");
        answers.push((page.status, text));
    }
    assert_eq!(answers[0].0, 403);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert!(
        server.metric("holdfast_login_attempts_total{method=\"password\",outcome=\"denied\",provider=\"local\"} 5")
    );
    assert!(server.metric("holdfast_sessions_created_total 0"));
}

/// R-35, M-13: a form counts only in the browser that its page was made for, and only when that browser says that it
/// comes from us.
#[rstest]
#[case::no_token(None, None, 403)]
#[case::foreign_token(Some("x"), None, 403)]
#[case::foreign_page(Some(""), Some("cross-site"), 403)]
#[case::sibling_page(Some(""), Some("same-site"), 403)]
#[case::our_page(Some(""), Some("same-origin"), 303)]
#[tokio::test]
async fn a_form_of_another_page_is_refused(
    #[case] token: Option<&str>,
    #[case] site: Option<&str>,
    #[case] status: u16,
) {
    let server = server().await;
    person(&server, "ada@example.com").await;
    let ada = Browser::at(&server.public);
    let page = ada.fetch("/login").await;
    let token = token.map(|given| if given.is_empty() { page.field("csrf") } else { given.to_owned() });
    let mut form = vec![("email", "ada@example.com"), ("password", PASSWORD)];
    form.extend(token.as_deref().map(|token| ("csrf", token)));
    let mut request = ada.http.post(format!("{}/login", server.public)).form(&form);
    if let Some(site) = site {
        request = request.header("sec-fetch-site", site);
    }
    let answer = ada.request(request).await;
    assert_eq!(answer.status, status, "{}", answer.html);
    assert_eq!(ada.cookies().contains_key("__Host-holdfast-session"), status == 303);
}

/// the token of one browser is none in another.
#[tokio::test]
async fn a_token_of_another_browser_is_refused() {
    let server = server().await;
    person(&server, "ada@example.com").await;
    let (ada, eve) = (Browser::at(&server.public), Browser::at(&server.public));
    let (_, hers) = (ada.fetch("/login").await, eve.fetch("/login").await);
    let answer = ada.submit_once(&hers, "/login", &[("email", "ada@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(answer.status, 403);
    assert!(!ada.cookies().contains_key("__Host-holdfast-session"));
}

/// after the login somebody goes to one of our own pages, whatever a link said.
#[rstest]
#[case("https://evil.example/", "/account")]
#[case("//evil.example/account", "/account")]
#[case("/account\\@evil.example", "/account")]
#[case("/oauth/authorize?client_id=a&state=x%2Fy", "/oauth/authorize?client_id=a&state=x%2Fy")]
#[tokio::test]
async fn a_login_leads_nowhere_else(#[case] to: &str, #[case] goes: &str) {
    let server = server().await;
    person(&server, "ada@example.com").await;
    let ada = Browser::at(&server.public);
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
    let page = ada.fetch(&format!("/login?{query}")).await;
    assert!(!page.html.contains("evil.example"));
    let form = [("email", "ada@example.com"), ("password", PASSWORD), ("to", to)];
    assert_eq!(ada.submit_once(&page, "/login", &form).await.to(), goes);
    assert_eq!(ada.fetch(&format!("/login?{query}")).await.to(), goes);
}

/// the cookie changes at every login, and an old one opens nothing; the session of the same person goes on.
#[tokio::test]
async fn the_cookie_is_another_after_each_login() {
    let server = server().await;
    let account = person(&server, "ada@example.com").await;
    let ada = Browser::at(&server.public);
    ada.log_in("ada@example.com", PASSWORD).await;
    let first = ada.cookies();
    let session = server.identity.devices(Some(&account.id)).await.unwrap()[0].session_id.clone();
    server.clock.advance(60);
    ada.log_in("ada@example.com", PASSWORD).await;
    assert_ne!(ada.cookies()["__Host-holdfast-session"], first["__Host-holdfast-session"]);
    let devices = server.identity.devices(Some(&account.id)).await.unwrap();
    assert_eq!((devices.len(), &devices[0].session_id), (1, &session));
    assert_eq!(devices[0].authenticated_at.duration_since(devices[0].created_at).as_secs(), 60);
    ada.set_cookies(first);
    assert_eq!(ada.fetch("/account").await.status, 303);
}
