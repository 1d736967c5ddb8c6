//! A running server with clients of every kind, and what they ask of it.

use std::sync::Arc;

use holdfast::domain::{Actor, Clock};
use serde_json::{Map, Value, json};

use super::signers::Signers;
use super::text;
use crate::oauth::authorize::stage::{ADA, FILES, Stage, app, files, request};
use crate::oauth::harness::{Answer, ISSUER, Setup, answer, credential, resource_server, secret};
use crate::support::browser::{Browser, Page};
use crate::support::elsewhere::{Elsewhere, Names};

/// A resource that takes only tokens that are bound to a key.
pub const BOUND: &str = "https://bound.example.com/mcp";

pub struct World {
    pub stage: Stage,
    /// A browser in which Ada has been signed in for a while.
    pub ada: Browser,
    pub elsewhere: Elsewhere,
    pub keys: Signers,
    /// The issuer's metadata.
    pub document: Map<String, Value>,
}

type Form<'a> = &'a [(&'a str, &'a str)];

impl World {
    pub async fn set(mut setup: Setup) -> Self {
        let elsewhere = Elsewhere::start().await;
        setup.dynamic.outbound = elsewhere.outbound(Arc::<Names>::default());
        let stage = Stage::on(setup).await;
        let keys = Signers::new();
        policy(&stage, &keys).await;
        let got = stage.server.get("/.well-known/oauth-authorization-server").await.json();
        let Value::Object(document) = got else { panic!("{got}") };
        let ada = stage.signed_in(ADA).await;
        stage.server.clock.advance(1); // or the sign-in would be one for the first request
        Self { stage, ada, elsewhere, keys, document }
    }

    /// The path of an endpoint, as the metadata says it.
    pub fn path(&self, endpoint: &str) -> String {
        text(&self.document, endpoint).strip_prefix(ISSUER).unwrap().to_owned()
    }

    pub async fn post(&self, endpoint: &str, form: Form<'_>) -> Answer {
        self.post_with(endpoint, form, |request| request).await
    }

    pub async fn post_with(
        &self,
        endpoint: &str,
        form: Form<'_>,
        change: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let url = format!("{}{}", self.stage.server.public, self.path(endpoint));
        answer(change(self.stage.server.http.post(url).form(form))).await
    }

    /// The same by the client that may do everything.
    pub async fn post_own(&self, endpoint: &str, form: Form<'_>) -> Answer {
        let secret = secret("every");
        self.post(endpoint, &[&[("client_id", "every"), ("client_secret", secret.as_str())], form].concat()).await
    }

    /// A token of the client's own, or the error.
    pub async fn unbound(&self, form: Form<'_>) -> Result<Value, String> {
        outcome(&self.post_own("token_endpoint", &[&[("grant_type", "client_credentials")], form].concat()).await)
    }

    /// The same with a proof, and with a nonce where one is asked for.
    pub async fn ask_token(&self, form: Form<'_>) -> Result<Value, String> {
        self.prove("ES256", form).await
    }

    pub async fn prove(&self, algorithm: &str, form: Form<'_>) -> Result<Value, String> {
        let secret = secret("every");
        let own = [("client_id", "every"), ("client_secret", &secret), ("grant_type", "client_credentials")];
        let form = [&own[..], form].concat();
        let mut nonce = Value::Null;
        loop {
            let mut claims = json!({
                "jti": uuid::Uuid::new_v4().to_string(), "htm": "POST", "htu": text(&self.document, "token_endpoint"),
                "iat": self.stage.server.clock.now().as_second(),
            });
            if !nonce.is_null() {
                claims["nonce"] = nonce.clone();
            }
            let header = json!({"typ": "dpop+jwt", "jwk": self.keys.jwk(algorithm)});
            let proof = self.keys.sign(algorithm, header, &claims, &secret);
            let got = self.post_with("token_endpoint", &form, |request| request.header("dpop", &proof)).await;
            if !nonce.is_null() || got.error() != "use_dpop_nonce" {
                return outcome(&got);
            }
            nonce = got.header("dpop-nonce").into();
        }
    }

    /// An access token that is bound to a key.
    pub async fn issued(&self, form: Form<'_>) -> String {
        self.ask_token(form).await.unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn introspected(&self, token: &str) -> Value {
        self.post_own("introspection_endpoint", &[("token", token)]).await.json()
    }

    /// An authorization request as this client makes it: pushed first where the metadata says that it must be. The page
    /// that is shown or the redirect to the client; the error, wherever it is told.
    pub async fn ask(&self, browser: &Browser, client: &str, change: Form<'_>) -> Result<Page, String> {
        let request = request(client, change);
        let query = request.split_once('?').unwrap().1;
        let place = self.path("authorization_endpoint");
        if self.document["require_pushed_authorization_requests"] != true {
            return told(browser.open(&format!("{place}?{query}")).await);
        }
        let form: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let secret = secret(client);
        if client == "every" {
            form.push(("client_secret", &secret));
        }
        let pushed = self.post("pushed_authorization_request_endpoint", &form).await;
        if pushed.status != 201 {
            return Err(pushed.error());
        }
        let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        let client: String = url::form_urlencoded::byte_serialize(client.as_bytes()).collect();
        told(browser.open(&format!("{place}?client_id={client}&request_uri={uri}")).await)
    }
}

fn outcome(answer: &Answer) -> Result<Value, String> {
    if answer.status == 200 { Ok(answer.json()) } else { Err(answer.error()) }
}

/// The error that a page or a redirect tells, if it does.
pub fn told(page: Page) -> Result<Page, String> {
    if let Some(error) = page.returned("error") {
        return Err(error);
    }
    let shown = page.html.split("<code>").nth(1).and_then(|rest| rest.split('<').next());
    match shown {
        Some(code) if page.status >= 400 => Err(code.to_owned()),
        _ => Ok(page),
    }
}

/// One client that may do everything, one that signs, and the two resources.
async fn policy(stage: &Stage, keys: &Signers) {
    let binding = json!([{"name": "team", "role": "writer", "subjects": [{"kind": "User", "name": stage.ada}]}]);
    let open = json!({"mode": "Listed", "clients": ["every"]});
    let scope = |name: &str| json!({"name": name, "description": "", "risk": "Low", "upstream": ""});
    let bound = json!({
        "displayName": "Bound Things", "scopes": [scope("things.read")], "consent": "Required",
        "roles": [{"name": "writer", "scopes": ["things.read"]}], "roleBindings": binding,
        "accessToken": {"senderConstraint": "DPoPRequired"},
    });
    let attached = json!([
        {"name": "files", "resourceServerID": "rs_files", "scopes": ["files.read", "files.write", "files.own"]},
        {"name": "bound", "resourceServerID": "rs_bound", "scopes": ["things.read"]}]);
    let every = app(json!({
        "authenticationMethod": "ClientSecretPost", "resources": attached,
        "grantTypes": ["authorization_code", "refresh_token", "client_credentials", "device_code", "token_exchange"],
        "tokens": {"refreshLifetimeSeconds": 86400, "refreshIdleSeconds": 3600, "senderConstraint": "DPoPOptional"},
    }));
    let signer = app(json!({
        "authenticationMethod": "PrivateKeyJWT", "jwks": keys.set(), "grantTypes": ["client_credentials"],
    }));
    let server = &stage.server;
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    let files = files(json!({"roleBindings": binding, "exchange": open}));
    let rows = [("rs_files", files), ("rs_bound", resource_server(BOUND, bound)), ("every", every), ("signer", signer)];
    for (id, spec) in rows {
        tx.put(id, &spec, None, server.clock.now()).await.unwrap();
    }
    tx.put_credential("every", &credential("cred-every", &secret("every"))).await.unwrap();
    tx.commit().await.unwrap();
    server.store.refresh().await.unwrap();
    assert_ne!(FILES, BOUND);
}
