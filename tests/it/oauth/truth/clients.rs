//! How clients prove who they are, and who is a client at all.

use holdfast::domain::Clock;
use serde_json::{Value, json};

use super::exactly;
use super::signers::ALGORITHMS;
use super::world::World;
use crate::oauth::assertions::TYPE;
use crate::oauth::authorize::stage::{asks_consent, code};
use crate::oauth::harness::{BILLING, ISSUER, answer, secret};
use crate::support::elsewhere::Page;

const METHODS: [&str; 8] = [
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "client_secret_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "attest_jwt_client_auth",
];

impl World {
    /// What is asked of an endpoint, by a client that has proved itself.
    fn asked(endpoint: &str, client: &str) -> Vec<(&'static str, &'static str)> {
        match endpoint {
            "token_endpoint" if client == "signer" => vec![("grant_type", "client_credentials")],
            "token_endpoint" => vec![("grant_type", "client_credentials"), ("resource", BILLING)],
            _ => vec![("token", "hfat_x")],
        }
    }

    async fn by_assertion(&self, endpoint: &str, client: &str, algorithm: &str) -> bool {
        let now = self.stage.server.clock.now().as_second();
        let claims = json!({
            "iss": client, "sub": client, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": uuid::Uuid::new_v4().to_string(),
        });
        let assertion = self.keys.sign(algorithm, json!({}), &claims, &secret(client));
        let mut form = Self::asked(endpoint, client);
        form.extend([("client_assertion_type", TYPE), ("client_assertion", assertion.as_str())]);
        self.post(endpoint, &form).await.status == 200
    }

    /// Nothing but a name proves nothing; a public client has a code, or a token, to show.
    async fn by_name(&self, endpoint: &str) -> bool {
        if endpoint != "token_endpoint" {
            return self.post(endpoint, &[("token", "hfat_x"), ("client_id", "quiet")]).await.status == 200;
        }
        let code = code(&self.ask(&self.ada, "quiet", &[]).await.unwrap());
        self.stage.redeem("quiet", &code, &[("redirect_uri", "https://app.example.com/cb")]).await.status == 200
    }

    pub async fn authentication(&self, endpoint: &str, claimed: &Value) {
        let poster = secret("poster");
        let does = async |method: &str| match method {
            "none" => self.by_name(endpoint).await,
            "client_secret_basic" => {
                let with = |request: reqwest::RequestBuilder| request.basic_auth("reporter", Some(secret("reporter")));
                self.post_with(endpoint, &Self::asked(endpoint, "reporter"), with).await.status == 200
            }
            "client_secret_post" => {
                let own = [("client_id", "poster"), ("client_secret", poster.as_str())];
                let form = [&own[..], &Self::asked(endpoint, "poster")].concat();
                self.post(endpoint, &form).await.status == 200
            }
            "private_key_jwt" => self.by_assertion(endpoint, "signer", "ES256").await,
            "client_secret_jwt" => self.by_assertion(endpoint, "reporter", "HS256").await,
            // the proof would be in the connection, or in headers that nobody reads
            _ => {
                let form = [&[("client_id", "reporter")], &Self::asked(endpoint, "reporter")[..]].concat();
                self.post(endpoint, &form).await.status == 200
            }
        };
        exactly(claimed, &METHODS, does).await;
        if endpoint == "token_endpoint" && self.document.contains_key("registration_endpoint") {
            exactly(claimed, &METHODS, async |method: &str| self.may_register(method).await).await;
        }
    }

    pub async fn assertions(&self, endpoint: &str, claimed: &Value) {
        exactly(claimed, &ALGORITHMS, async |algorithm: &str| self.by_assertion(endpoint, "signer", algorithm).await)
            .await;
    }

    async fn register(&self, body: &Value) -> u16 {
        let path = self.document.get("registration_endpoint").and_then(Value::as_str);
        let path = path.map_or("/oauth/register", |url| url.strip_prefix(ISSUER).unwrap());
        answer(self.stage.server.http.post(format!("{}{path}", self.stage.server.public)).json(body)).await.status
    }

    async fn may_register(&self, method: &str) -> bool {
        let mut body = json!({"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": method});
        if method.ends_with("_jwt") {
            body["jwks"] = json!({"keys": [self.keys.jwk("ES256")]});
        }
        self.register(&body).await == 201
    }

    pub async fn registers(&self, claimed: bool) {
        let status = self.register(&json!({"redirect_uris": ["http://127.0.0.1/cb"]})).await;
        assert_eq!(status, if claimed { 201 } else { 401 });
    }

    /// Whether a document is enough to be a client.
    pub async fn reads_documents(&self) -> bool {
        let id = self.elsewhere.url("app.example", "/client.json");
        let body = json!({"client_id": id, "client_name": "A tool", "redirect_uris": ["https://app.example/cb"]});
        self.elsewhere.put("/client.json", Page::json(&body.to_string()));
        let seen = self.ask(&self.ada, &id, &[("redirect_uri", "https://app.example/cb")]).await;
        match seen {
            Ok(page) => asks_consent(&page),
            Err(error) => {
                assert_eq!(error, "invalid_client");
                false
            }
        }
    }
}
