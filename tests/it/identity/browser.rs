//! The pages in a real browser, which enforces what their headers say.

use std::time::Duration;

use fantoccini::Locator;
use holdfast::domain::SecretText;
use holdfast::domain::user::{AccountRole, Email};
use holdfast::identity::NewAccount;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::login::person;
use super::{PASSWORD, actor};
use crate::oauth::authorize::stage::{self, ADA, Stage, request};
use crate::oauth::harness::{Server, Setup, answer};
use crate::support::browser::Browser;
use crate::support::chromium::Chromium;

/// A server whose issuer is plain http, as cookies of `https` stay away from a loopback port.
async fn plain() -> Server {
    Setup { issuer: "http://localhost:9000".to_owned(), ..Setup::default() }.start().await
}

async fn sign_in(chromium: &Chromium, server: &Server, email: &str) {
    chromium.client.goto(&format!("{}/login", server.public)).await.unwrap();
    chromium.fill("email", email).await;
    chromium.fill("password", PASSWORD).await;
    chromium.press("Sign in").await;
    chromium.arrives("/account").await;
}

/// S17, R-33: signs in with the keyboard's order of fields, sees both browsers, signs the other one out, and itself.
#[tokio::test]
async fn a_person_signs_in_and_signs_another_browser_out() {
    let server = plain().await;
    person(&server, "ada@example.com").await;
    let mut phone = Browser::at(&server.public);
    phone.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1".to_owned();
    phone.log_in("ada@example.com", PASSWORD).await;
    let chromium = Chromium::start().await;
    chromium.client.goto(&format!("{}/account", server.public)).await.unwrap();
    chromium.arrives("/login").await;
    assert_eq!(chromium.ask("document.activeElement.id").await, "email", "the first field has the focus");
    let unlabelled = "[...document.querySelectorAll('input:not([type=hidden])')].filter(i => !i.labels.length).length";
    assert_eq!(chromium.ask(unlabelled).await, 0);
    chromium.fill("email", "ada@example.com").await;
    chromium.fill("password", "not the password").await;
    chromium.press("Sign in").await;
    chromium.client.wait().for_element(Locator::Css("[role=alert]")).await.unwrap();
    assert!(chromium.text().await.contains("do not match"));
    assert_eq!(chromium.ask("document.activeElement.id").await, "password");
    chromium.fill("password", PASSWORD).await;
    chromium.press("Sign in").await;
    chromium.arrives("/account").await;
    let text = chromium.text().await;
    assert!(text.contains("Safari on iPhone") && text.contains("Chrome on Linux"), "{text}");
    assert_eq!(phone.fetch("/account").await.status, 200);
    let button = Locator::Css("form[action$='/account/end-session'] button");
    chromium.client.find(button).await.unwrap().click().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    chromium.arrives("/account").await;
    assert!(!chromium.text().await.contains("iPhone"));
    assert_eq!(phone.fetch("/account").await.status, 303, "the phone is signed out");
    chromium.press("Sign out").await;
    chromium.arrives("/login").await;
    chromium.client.back().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!chromium.text().await.contains("Signed-in browsers"), "nothing is kept by the browser");
    chromium.close().await;
}

/// names that are attacks are text, apart from what stands around them, and no script of theirs is run.
#[tokio::test]
async fn a_name_that_is_an_attack_is_only_a_name() {
    let server = plain().await;
    let name =
        "</title><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u{202e}evil";
    let new = NewAccount {
        email: Email::parse("ada@example.com").unwrap(),
        name: name.to_owned(),
        role: AccountRole::User,
        password: SecretText::new(PASSWORD),
    };
    server.identity.create(new, &actor()).await.unwrap();
    let mut other = Browser::at(&server.public);
    other.agent = "<script>document.title='owned'</script>".to_owned();
    other.log_in("ada@example.com", PASSWORD).await;
    let chromium = Chromium::start().await;
    sign_in(&chromium, &server, "ada@example.com").await;
    assert_eq!(chromium.ask("document.title").await, "Your account · Holdfast");
    assert_eq!(chromium.ask("document.scripts.length").await, 0);
    assert_eq!(chromium.ask("document.images.length").await, 1, "only the mark of the house");
    let heading = chromium.client.find(Locator::Css("h1 bdi")).await.unwrap().text().await.unwrap();
    assert!(heading.starts_with("</title><script>document.title='owned'</script>"), "{heading}");
    assert!(!heading.contains('\u{202e}') && heading.chars().count() <= 81, "{heading}");
    assert!(chromium.text().await.contains("<script>document.title='owned'</script>"), "the name of a browser, too");
    // the policy holds also against what would get into the page
    let inject = "(() => { const s = document.createElement('script'); s.textContent = 'document.title=\"owned\"'; \
                  document.body.append(s); const i = document.createElement('iframe'); i.src = 'data:text/html,x'; \
                  document.body.append(i); return document.title })()";
    assert_eq!(chromium.ask(inject).await, "Your account · Holdfast");
    chromium.close().await;
}

/// A site that answers every request with one page, and says where it is.
async fn site(html: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let html = html.clone();
            tokio::spawn(async move {
                let mut request = [0u8; 4096];
                let _ = stream.read(&mut request).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n";
                let answer = format!("{head}content-length: {}\r\n\r\n{html}", html.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    origin
}

/// S1, M-13: signs in on the way to a client, reads what it wants, allows it, arrives at the client though the policy of
/// the page names every place that its form may lead to; then sees it on the account page and takes it back.
#[tokio::test]
async fn a_person_allows_an_application_and_takes_it_back() {
    let stage = Stage::on(Setup { issuer: "http://localhost:9000".to_owned(), ..Setup::default() }).await;
    let client = site("<!doctype html><title>the client</title>Connected".to_owned()).await;
    let callback = format!("{client}/cb");
    let chromium = Chromium::start().await;
    let asked = request("app", &[("redirect_uri", &callback)]);
    chromium.client.goto(&format!("{}{asked}", stage.server.public)).await.unwrap();
    chromium.arrives("/login").await;
    chromium.fill("email", ADA).await;
    chromium.fill("password", stage::PASSWORD).await;
    chromium.press("Sign in").await;
    chromium.arrives("/oauth/authorize").await;
    let text = chromium.text().await;
    assert!(text.contains("Web App") && text.contains("Files") && text.contains("127.0.0.1"), "{text}");
    chromium.press("Allow").await;
    let arrived = chromium.arrives(&client).await;
    assert!(arrived.starts_with(&format!("{callback}?code=hfac_")), "{arrived}");
    assert_eq!(chromium.client.title().await.unwrap(), "the client");
    let code = url::Url::parse(&arrived).unwrap();
    let code = code.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let tokens = stage.redeem("app", &code, &[("redirect_uri", &callback)]).await.json();
    chromium.client.goto(&format!("{}/account", stage.server.public)).await.unwrap();
    let text = chromium.text().await;
    assert!(text.contains("Web App") && text.contains("files.read"), "{text}");
    chromium.press("Take back").await;
    chromium.client.wait().for_element(Locator::Id("applications")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!chromium.text().await.contains("Web App"));
    assert!(stage.server.metric("holdfast_consent_revoked_total{actor=\"user\"} 1"));
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let form = [refresh[0], refresh[1], ("client_id", "app")];
    let refreshed = stage.server.http.post(format!("{}/oauth/token", stage.server.public)).form(&form);
    assert_eq!(answer(refreshed).await.error(), "invalid_grant");
    chromium.close().await;
}

/// no page of ours is shown inside another one.
#[tokio::test]
async fn a_page_in_a_frame_is_empty() {
    let server = plain().await;
    let html = format!("<!doctype html><title>trap</title><iframe src=\"{}/login\"></iframe>", server.public);
    let trap = site(html).await;
    let chromium = Chromium::start().await;
    chromium.client.goto(&trap).await.unwrap();
    assert_eq!(chromium.client.title().await.unwrap(), "trap");
    chromium.client.enter_frame(0).await.unwrap();
    assert!(chromium.client.find(Locator::Id("password")).await.is_err());
    let counted = "holdfast_http_requests_total{method=\"GET\",route=\"/login\",status=\"200\"} 1\n";
    assert!(server.metric(counted), "it was fetched, and not shown");
    chromium.close().await;
}
