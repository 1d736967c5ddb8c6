//! Every other grant and every other kind of client, once through; nothing secret of it is anywhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Target;
use super::canary::are_nowhere;
use super::flow::{EMAIL, PASSWORD, VERIFIER, create_user};
use crate::oauth::assertions::{Key, TYPE};
use crate::oauth::prover::Prover;
use crate::support::browser::{Browser, Page};
use crate::support::elsewhere::{self, Elsewhere};

const NOTES: &str = "https://notes.example.com/mcp";
const LEDGER: &str = "https://ledger.example.com/mcp";
const CALLBACK: &str = "http://127.0.0.1:4711/cb";
const STATE: &str = "state-canary-0123456789-abcdefghijklmnop";
const POLICY: &str = "
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: notes, namespace: default}
spec:
  resourceURI: https://notes.example.com/mcp
  lifecycle: Live
  scopes: [{name: notes.read, risk: Low}]
  roles: [{name: reader, scopes: [notes.read]}]
  accessPolicy: {defaultRole: reader}
  accessToken: {senderConstraint: DPoPOptional}
  dynamicClients: All
---
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: ledger, namespace: default}
spec:
  resourceURI: https://ledger.example.com/mcp
  lifecycle: Live
  scopes: [{name: notes.read}]
  exchange: {mode: Listed, clientRefs: [{name: keyed}]}
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: keyed, namespace: default}
spec:
  clientID: keyed
  grantTypes: [client_credentials, token_exchange]
  authentication: {method: PrivateKeyJWT, jwks: JWKS}
  resources:
  - {name: notes, resourceServerRef: {name: notes}, scopes: [notes.read]}
  - {name: ledger, resourceServerRef: {name: ledger}, scopes: [notes.read]}
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: tv, namespace: default}
spec:
  clientID: tv
  grantTypes: [device_code, refresh_token]
  authentication: {method: None}
  resources: [{name: notes, resourceServerRef: {name: notes}, scopes: [notes.read]}]
";

/// The program, a client's two keys, and everything that was secret so far.
struct Run {
    target: Target,
    browser: Browser,
    key: Key,
    prover: Prover,
    secrets: Vec<String>,
}

fn member(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name}: {answer}")).to_owned()
}

impl Run {
    /// Remembers a secret.
    fn keep(&mut self, secret: String) -> String {
        self.secrets.push(secret.clone());
        secret
    }

    fn issuer(&self) -> String {
        format!("http://localhost:{}", self.target.home.public)
    }

    #[allow(clippy::disallowed_methods)] // the real program has a real clock
    fn assertion(&mut self) -> String {
        let now = Timestamp::now().as_second();
        let jti = uuid::Uuid::new_v4();
        let claims = json!({"iss": "keyed", "sub": "keyed", "aud": self.issuer(), "exp": now + 60, "jti": jti});
        let assertion = self.key.assertion(&claims);
        self.keep(assertion)
    }

    #[allow(clippy::disallowed_methods)] // as above
    fn proof(&mut self, path: &str) -> String {
        let (jti, htu) = (uuid::Uuid::new_v4(), format!("{}{path}", self.issuer()));
        let claims = json!({"jti": jti, "htm": "POST", "htu": htu, "iat": Timestamp::now().as_second()});
        let proof = self.prover.sign(&self.prover.header(), &claims.to_string());
        self.keep(proof)
    }

    /// A form with a proof; remembers every token of the answer.
    async fn post(&mut self, path: &str, form: &[(&str, &str)], basic: Option<(&str, &str)>) -> Value {
        let proof = self.proof(path);
        let request = self.target.server.client().post(self.target.server.public(path)).header("dpop", proof);
        let request = basic.into_iter().fold(request, |request, (id, secret)| request.basic_auth(id, Some(secret)));
        let answer: Value = request.form(form).send().await.unwrap().json().await.unwrap();
        let names = ["access_token", "refresh_token", "device_code", "user_code", "request_uri"];
        self.secrets.extend(names.iter().filter_map(|name| answer[name].as_str()).map(str::to_owned));
        answer
    }

    /// A JSON request of registration; remembers what is secret in the answer.
    async fn register(&mut self, method: reqwest::Method, url: &str, body: Value, token: Option<&str>) -> Value {
        let request = self.target.server.client().request(method, url).json(&body);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let names = ["client_secret", "registration_access_token", "token"];
        self.secrets.extend(names.iter().filter_map(|name| answer[name].as_str()).map(str::to_owned));
        answer
    }

    fn code(&mut self, page: &Page) -> String {
        let code = page.returned("code").unwrap_or_else(|| panic!("{}", page.html));
        self.keep(code)
    }
}

/// What a client asks for, with the secrets of this test in it.
fn request(client: &str, redirect_uri: &str) -> Vec<(&'static str, String)> {
    vec![
        ("response_type", "code".to_owned()),
        ("client_id", client.to_owned()),
        ("redirect_uri", redirect_uri.to_owned()),
        ("code_challenge", URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))),
        ("code_challenge_method", "S256".to_owned()),
        ("resource", NOTES.to_owned()),
        ("state", STATE.to_owned()),
    ]
}

/// private_key_jwt, DPoP and token exchange.
async fn machines(run: &mut Run) {
    let assertion = run.assertion();
    let signed = [("client_assertion_type", TYPE), ("client_assertion", assertion.as_str())];
    let form = [&signed[..], &[("grant_type", "client_credentials"), ("resource", NOTES)]].concat();
    let token = member(&run.post("/oauth/token", &form, None).await, "access_token");
    assert_eq!(run.post("/oauth/token", &form, None).await["error"], "invalid_client", "the assertion again");
    let assertion = run.assertion();
    let exchange = [
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion.as_str()),
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("resource", LEDGER),
        ("subject_token", token.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    member(&run.post("/oauth/token", &exchange, None).await, "access_token");
}

/// Registration with an invitation, a pushed request, a code and refresh tokens, management, and the end.
async fn registered(run: &mut Run) {
    let admin = run.target.home.api_key("a", "admin");
    run.keep(admin.clone());
    let url = run.target.server.admin("/admin/dcr/invitations");
    let invited = run.register(reqwest::Method::POST, &url, json!({"uses": 1}), Some(&admin)).await;
    let initial = member(&invited, "token");
    let url = run.target.server.public("/oauth/register");
    let body = json!({"client_name": "Registered", "redirect_uris": [CALLBACK]});
    let client = run.register(reqwest::Method::POST, &url, body.clone(), Some(&initial)).await;
    let (id, secret) = (member(&client, "client_id"), member(&client, "client_secret"));
    let asked = request(&id, CALLBACK);
    let asked: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let pushed = run.post("/oauth/par", &asked, Some((&id, &secret))).await;
    let query = [("client_id", id.clone()), ("request_uri", member(&pushed, "request_uri"))];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let page = run.browser.open(&format!("/oauth/authorize?{query}")).await;
    let page = run.browser.sign_in(&page, EMAIL, PASSWORD).await;
    let answer = run.browser.decide(&page, "allow").await;
    let code = run.code(&answer);
    let redeem = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", VERIFIER)];
    let issued = run.post("/oauth/token", &redeem, Some((&id, &secret))).await;
    let refresh = member(&issued, "refresh_token");
    let renew = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    member(&run.post("/oauth/token", &renew, Some((&id, &secret))).await, "refresh_token");
    let own = format!("{url}/{id}");
    let old = member(&client, "registration_access_token");
    let mut whole = body;
    whole["client_id"] = id.into();
    let renamed = run.register(reqwest::Method::PUT, &own, whole.clone(), Some(&old)).await;
    let new = member(&renamed, "registration_access_token");
    assert_eq!(run.register(reqwest::Method::PUT, &own, whole, Some(&old)).await["error"], "invalid_token");
    let ended = run.target.server.client().delete(&own).bearer_auth(new).send().await.unwrap();
    assert_eq!(ended.status(), 204);
}

/// A client that a document describes.
async fn described(run: &mut Run, elsewhere: &Elsewhere) {
    let id = elsewhere.url("localhost", "/client.json");
    let document = json!({"client_id": id, "client_name": "Described", "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none", "client_secret_of_another_kind": "document-canary-0123456789"});
    elsewhere.put("/client.json", elsewhere::Page::json(&document.to_string()));
    run.keep("document-canary-0123456789".to_owned());
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(request(&id, CALLBACK)).finish();
    let page = run.browser.open(&format!("/oauth/authorize?{query}")).await;
    let answer = run.browser.decide(&page, "allow").await;
    let code = run.code(&answer);
    let redeem = [
        ("grant_type", "authorization_code"),
        ("client_id", id.as_str()),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
    ];
    member(&run.post("/oauth/token", &redeem, None).await, "refresh_token");
}

/// A device, and the browser that lets it in.
async fn device(run: &mut Run) {
    let begun = run.post("/oauth/device_authorization", &[("client_id", "tv")], None).await;
    let user_code = member(&begun, "user_code");
    let page = run.browser.open(&format!("/device?user_code={user_code}")).await;
    let shown = run.browser.submit(&page, "/device", &[("user_code", &user_code)]).await;
    run.browser.submit(&shown, "/device", &[("user_code", &user_code), ("decision", "allow")]).await;
    let code = member(&begun, "device_code");
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let poll = [("grant_type", grant), ("client_id", "tv"), ("device_code", code.as_str())];
    member(&run.post("/oauth/token", &poll, None).await, "refresh_token");
}

/// Y-05, N-10: proofs, assertions, pushed requests, device and user codes, exchanged tokens, secrets and tokens of
/// registration, invitations and what documents say are in no log at its loudest, no metric, and in clear in no table.
#[tokio::test]
async fn nothing_secret_of_any_grant_is_kept_or_told() {
    let (elsewhere, key) = (Elsewhere::start().await, Key::new("1"));
    let mut home = crate::directory::samples();
    home.set("HOLDFAST_LOGGING__LEVEL", "trace");
    home.write("grants.yaml", &POLICY.replace("JWKS", &json!({"keys": [key.jwk()]}).to_string()));
    std::fs::write(home.path().join("ca.pem"), &elsewhere.authority).unwrap();
    home.set("HOLDFAST_OUTBOUND__CA_FILE", home.path().join("ca.pem").to_str().unwrap());
    home.set("HOLDFAST_OUTBOUND__LOOPBACK", "true");
    let target = Target::start(home).await;
    target.server.event("reconciled", |line| line["name"] == "keyed" && line["ready"] == true).await;
    target.server.event("reconciled", |line| line["name"] == "tv" && line["ready"] == true).await;
    create_user(&target);
    let browser = Browser::at(&target.server.public(""));
    let mut run = Run { target, browser, key, prover: Prover::new(), secrets: vec![VERIFIER.into(), PASSWORD.into()] };
    machines(&mut run).await;
    registered(&mut run).await;
    described(&mut run, &elsewhere).await;
    device(&mut run).await;
    let Run { mut target, browser, mut secrets, .. } = run;
    secrets.extend(browser.all_cookies());
    // each once more where it does not belong
    for secret in secrets.clone() {
        target.post("/oauth/introspect", &[("token", &secret)]).await;
        target.post("/oauth/revoke", &[("token", &secret)]).await;
        let bearer = secret.replace(' ', "-");
        let get = target.server.client().get(target.server.admin("/admin/users")).bearer_auth(bearer);
        get.send().await.unwrap();
    }
    assert!(secrets.len() > 30, "{}", secrets.len());
    target.is_unharmed().await;
    assert!(!target.server.log().contains(STATE), "N-10");
    are_nowhere(&target, &secrets).await;
}
