//! A person signs in, consents, and their client gets and renews tokens; nothing secret of it is anywhere.

use std::io::Write;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Target;
use super::canary::are_nowhere;
use crate::support::browser::Browser;

const APP: &str = "
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: app, namespace: default}
spec:
  clientID: app
  displayName: App
  grantTypes: [authorization_code, refresh_token]
  redirectURIs: [https://app.example.com/cb]
  authentication: {method: None}
  resources:
  - name: billing
    resourceServerRef: {name: billing-mcp}
    scopes: [invoices.read]
";
pub(super) const EMAIL: &str = "ada@example.com";
pub(super) const PASSWORD: &str = "password-canary correct horse battery";
const WRONG: &str = "wrong-password-canary staple";
pub(super) const VERIFIER: &str = "verifier-canary-0123456789-abcdefghijklmnopqrstuvwxyz";

/// Who signs in.
pub(super) fn create_user(target: &Target) {
    let arguments =
        ["admin", "user", "create", "--email", EMAIL, "--name", "Ada", "--role", "user", "--password-stdin"];
    let mut command = target.home.command(&arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

async fn token(target: &Target, form: &[(&str, &str)]) -> Value {
    let request = target.server.client().post(target.server.public("/oauth/token")).form(form);
    request.send().await.unwrap().json().await.unwrap()
}

/// Y-05: no password, code, verifier, token or cookie of a whole flow is in the log at its loudest, in the metrics, or in
/// clear in any table.
#[tokio::test]
async fn nothing_secret_of_a_whole_flow_is_kept_or_told() {
    let mut home = crate::directory::samples();
    home.set("HOLDFAST_LOGGING__LEVEL", "trace");
    home.write("app.yaml", APP);
    let mut target = Target::start(home).await;
    target.server.event("reconciled", |line| line["name"] == "app").await;
    create_user(&target);
    let browser = Browser::at(&target.server.public(""));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", "https://app.example.com/cb"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("scope", "invoices.read"),
            ("state", "s"),
        ])
        .finish();
    let path = format!("/oauth/authorize?{query}");
    let page = browser.open(&path).await;
    let page = browser.sign_in(&page, EMAIL, WRONG).await;
    let page = browser.sign_in(&page, EMAIL, PASSWORD).await;
    let csrf = page.form("/oauth/authorize/").fields.into_iter().find(|(name, _)| name == "csrf").unwrap().1;
    let answer = browser.decide(&page, "allow").await;
    let location = url::Url::parse(answer.location().unwrap_or_else(|| panic!("{}", answer.html))).unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let redeem = [
        ("grant_type", "authorization_code"),
        ("client_id", "app"),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
        ("redirect_uri", "https://app.example.com/cb"),
    ];
    let first = token(&target, &redeem).await;
    let text = |answer: &Value, member: &str| answer[member].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let refresh = text(&first, "refresh_token");
    let renew = [("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", refresh.as_str())];
    let second = token(&target, &renew).await;
    let mut secrets: Vec<String> = [PASSWORD, WRONG, VERIFIER].map(str::to_owned).into();
    secrets.extend([code.clone(), csrf, refresh.clone(), text(&second, "refresh_token")]);
    secrets.extend([text(&first, "access_token"), text(&second, "access_token")]);
    secrets.extend(browser.all_cookies());
    // each once more where it does not belong: the code again, tokens at the wrong endpoints and as bearers
    token(&target, &redeem).await;
    for secret in secrets.clone() {
        target.post("/oauth/introspect", &[("token", &secret)]).await;
        target.post("/oauth/revoke", &[("token", &secret)]).await;
        let get =
            target.server.client().get(target.server.admin("/admin/resources")).bearer_auth(secret.replace(' ', "-"));
        assert_ne!(get.send().await.unwrap().status(), 200);
    }
    target.is_unharmed().await;
    are_nowhere(&target, &secrets).await;
}
