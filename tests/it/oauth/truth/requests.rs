//! What an authorization request may say.

use serde_json::Value;

use super::exactly;
use super::world::{World, told};
use crate::oauth::authorize::stage::{VERIFIER, asks_consent, asks_password, challenge, code, request};
use crate::support::browser::Page;

impl World {
    /// As somebody who is signed in, by the client that needs no consent.
    async fn quiet(&self, change: &[(&str, &str)]) -> Result<Page, String> {
        self.ask(&self.ada, "quiet", change).await
    }

    pub async fn response_types(&self, claimed: &Value) {
        let all = [
            "code",
            "token",
            "id_token",
            "none",
            "code token",
            "code id_token",
            "id_token token",
            "code id_token token",
        ];
        let does = async |kind: &str| match self.quiet(&[("response_type", kind)]).await {
            Ok(page) => {
                let only = ["access_token", "id_token"].iter().all(|name| page.returned(name).is_none());
                assert!(only, "{page:?}");
                !code(&page).is_empty()
            }
            Err(error) => {
                assert_eq!(error, "unsupported_response_type", "{kind}");
                false
            }
        };
        exactly(claimed, &all, does).await;
    }

    pub async fn response_modes(&self, claimed: &Value) {
        let all =
            ["query", "fragment", "form_post", "web_message", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"];
        let does = async |mode: &str| match self.quiet(&[("response_mode", mode)]).await {
            Ok(page) => page.location().is_some_and(|to| to.contains("?code=") && !to.contains('#')),
            Err(error) => {
                assert_eq!(error, "invalid_request", "{mode}");
                false
            }
        };
        exactly(claimed, &all, does).await;
        assert!(
            self.quiet(&[]).await.unwrap().location().unwrap().contains("?code="),
            "the mode of response_type=code"
        );
    }

    pub async fn challenges(&self, claimed: &Value) {
        let hashed = challenge();
        let does = async |method: &str| {
            let challenge = if method == "S256" { hashed.as_str() } else { VERIFIER };
            let change = [("code_challenge", challenge), ("code_challenge_method", method)];
            match self.quiet(&change).await {
                Ok(page) => {
                    let redirect = [("redirect_uri", "https://app.example.com/cb")];
                    self.stage.redeem("quiet", &code(&page), &redirect).await.status == 200
                }
                Err(error) => {
                    assert_eq!(error, "invalid_request", "{method}");
                    false
                }
            }
        };
        exactly(claimed, &["S256", "plain", "s256", "S512"], does).await;
        for without in [&[("code_challenge_method", "")][..], &[("code_challenge", ""), ("code_challenge_method", "")]]
        {
            assert_eq!(self.quiet(without).await.unwrap_err(), "invalid_request", "without PKCE");
        }
    }

    /// Those of every resource; what belongs to one is in its own metadata.
    pub async fn scopes(&self, claimed: &Value) {
        let does = async |scope: &str| match self.quiet(&[("scope", scope)]).await {
            Ok(page) => {
                let redirect = [("redirect_uri", "https://app.example.com/cb")];
                let token = self.stage.redeem("quiet", &code(&page), &redirect).await.json();
                token["refresh_token"].is_string() && token["id_token"].is_null()
            }
            Err(error) => {
                assert_eq!(error, "invalid_scope", "{scope}");
                false
            }
        };
        exactly(claimed, &["offline_access", "openid", "profile", "email", "address", "phone"], does).await;
    }

    pub async fn prompts(&self, claimed: &Value) {
        let does = async |prompt: &str| {
            let stranger = self.ask(&self.stage.browser(), "quiet", &[("prompt", prompt)]).await;
            let known = self.quiet(&[("prompt", prompt)]).await;
            match prompt {
                "none" => stranger.is_err_and(|error| error == "login_required") && !code(&known.unwrap()).is_empty(),
                "login" | "select_account" => asks_password(&stranger.unwrap()) && asks_password(&known.unwrap()),
                "consent" => asks_password(&stranger.unwrap()) && asks_consent(&known.unwrap()),
                // as if it were not there
                _ => !asks_password(&stranger.unwrap()) || code(&known.unwrap()).is_empty(),
            }
        };
        exactly(claimed, &["none", "login", "consent", "select_account", "create"], does).await;
    }

    pub async fn refuses_what_is_not_pushed(&self) -> bool {
        match told(self.ada.open(&request("quiet", &[])).await) {
            Ok(page) => code(&page).is_empty(),
            Err(error) => {
                assert_eq!(error, "invalid_request");
                true
            }
        }
    }

    /// In what succeeds and in what fails.
    pub async fn names_itself(&self) -> bool {
        let issuer = self.document["issuer"].as_str().map(str::to_owned);
        let pages =
            [self.quiet(&[]).await.unwrap(), self.ada.open(&request("quiet", &[("response_type", "none")])).await];
        let named = pages.map(|page| page.returned("iss") == issuer);
        assert_eq!(named[0], named[1]);
        named[0]
    }

    pub async fn reads_request_objects(&self) -> bool {
        self.quiet(&[("request", "eyJhbGciOiJub25lIn0.e30.")]).await.unwrap_err() != "request_not_supported"
    }

    pub async fn fetches_request_objects(&self) -> bool {
        let before = self.elsewhere.connections();
        let uri = self.elsewhere.url("app.example", "/request.jwt");
        let pairs = [("client_id", "quiet"), ("request_uri", uri.as_str())];
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let path = format!("{}?{query}", self.path("authorization_endpoint"));
        let error = told(self.ada.open(&path).await).unwrap_err();
        error != "request_uri_not_supported" || self.elsewhere.connections() != before
    }

    /// Nobody is told more for having asked.
    pub async fn reads_claims(&self) -> bool {
        let wish = r#"{"userinfo":{"email":{"essential":true}},"id_token":{"email":{"essential":true}}}"#;
        let redirect = [("redirect_uri", "https://app.example.com/cb")];
        let page = self.quiet(&[("claims", wish)]).await.unwrap();
        let token = self.stage.redeem("quiet", &code(&page), &redirect).await.json();
        let (claims, _) = self.verified(token["access_token"].as_str().unwrap()).await;
        claims.get("email").is_some() || token.get("id_token").is_some()
    }
}
