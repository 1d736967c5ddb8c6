//! The authorization flow in a real browser, which enforces what the pages' policies say.

use fantoccini::Locator;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::stage::{ADA, PASSWORD, Stage, app, request};
use crate::oauth::harness::Setup;
use crate::support::chromium::Chromium;

/// A server whose issuer is plain http, as cookies of `https` stay away from a loopback port.
async fn plain() -> Stage {
    Stage::on(Setup { issuer: "http://localhost:9000".to_owned(), ..Setup::default() }).await
}

/// Another site on loopback that answers everything with this page; says its origin.
async fn elsewhere(html: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let html = html.clone();
            tokio::spawn(async move {
                let mut request = [0u8; 4096];
                let _ = stream.read(&mut request).await;
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    html.len()
                );
                let _ = stream.write_all([head.as_bytes(), html.as_bytes()].concat().as_slice()).await;
            });
        }
    });
    origin
}

/// The redirect URI of an application that waits on loopback for its answer.
async fn application() -> String {
    format!("{}/cb", elsewhere("<title>there</title>".to_owned()).await)
}

impl Stage {
    async fn go(&self, chromium: &Chromium, path: &str) {
        chromium.client.goto(&format!("{}{path}", self.server.public)).await.unwrap();
    }
}

async fn sign_in(chromium: &Chromium) {
    chromium.client.wait().for_element(Locator::Id("email")).await.unwrap();
    chromium.fill("email", ADA).await;
    chromium.fill("password", PASSWORD).await;
    chromium.press("Sign in").await;
}

/// S1, M-11, M-13: the policies of the pages let a form end where the client is, and nobody else in.
#[tokio::test]
async fn a_person_allows_an_application_and_denies_it() {
    let stage = plain().await;
    let (chromium, back) = (Chromium::start().await, application().await);
    let asked = request("dcr_tool", &[("redirect_uri", &back), ("scope", "files.read files.write")]);
    stage.go(&chromium, &asked).await;
    sign_in(&chromium).await;
    chromium.client.wait().for_element(Locator::Css("button[value=allow]")).await.unwrap();
    let text = chromium.text().await;
    assert!(text.contains("Allow Tool?") && text.contains("To files.write") && text.contains("127.0.0.1"), "{text}");
    assert_eq!(chromium.ask("document.querySelectorAll('script, [style], [onclick]').length").await, 0);
    let unnamed = "[...document.querySelectorAll('button, a')].filter(e => !e.innerText.trim()).length";
    assert_eq!(chromium.ask(unnamed).await, 0);
    chromium.press("Do not allow").await;
    let url = chromium.arrives("/cb?").await;
    assert!(url.contains("error=access_denied") && url.contains("iss=http"), "{url}");
    stage.go(&chromium, &asked).await;
    chromium.client.wait().for_element(Locator::Css("button[value=allow]")).await.unwrap();
    chromium.press("Allow").await;
    let url = chromium.arrives("code=").await;
    assert!(url.starts_with(&back), "{url}");
    // going back asks anew, and answers nothing by itself
    chromium.client.back().await.unwrap();
    chromium.client.wait().for_element(Locator::Css("button[value=allow]")).await.unwrap();
    assert_eq!(stage.rows("authorization_code").await, 1);
    chromium.close().await;
}

/// From the sign-in form straight on to the client, where nobody has to be asked: the form's policy lets it.
#[tokio::test]
async fn a_sign_in_may_end_at_the_client() {
    let stage = plain().await;
    let (chromium, back) = (Chromium::start().await, application().await);
    let local = app(json!({"consent": "Implicit", "redirectURIs": ["http://127.0.0.1/cb"]}));
    stage.server.put("quiet", &local).await;
    stage.server.store.refresh().await.unwrap();
    stage.go(&chromium, &request("quiet", &[("redirect_uri", &back)])).await;
    sign_in(&chromium).await;
    let url = chromium.arrives("code=").await;
    assert!(url.starts_with(&back), "{url}");
    chromium.close().await;
}

/// a consent page in a frame of another site stays empty.
#[tokio::test]
async fn a_consent_page_in_a_frame_is_empty() {
    let stage = plain().await;
    let chromium = Chromium::start().await;
    stage.go(&chromium, "/login").await;
    sign_in(&chromium).await;
    chromium.arrives("/account").await;
    let asked = request("app", &[]).replace('&', "&amp;");
    let trap = elsewhere(format!("<title>trap</title><iframe src=\"{}{asked}\"></iframe>", stage.server.public)).await;
    chromium.client.goto(&trap).await.unwrap();
    assert_eq!(chromium.client.title().await.unwrap(), "trap");
    chromium.client.enter_frame(0).await.unwrap();
    assert!(chromium.client.find(Locator::Css("button")).await.is_err());
    let counted = "holdfast_http_requests_total{method=\"GET\",route=\"/oauth/authorize\",status=\"200\"} 1\n";
    assert!(stage.server.metric(counted), "it was fetched, and not shown");
    assert_eq!(stage.rows("authorization_code").await, 0);
    chromium.close().await;
}
