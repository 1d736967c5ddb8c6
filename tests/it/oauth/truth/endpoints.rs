//! Where things are, what is granted there, and what it is signed with.

use std::collections::BTreeSet;

use holdfast::domain::Actor;
use holdfast::domain::resource_server::SigningAlgorithm;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use super::signers::ALGORITHMS;
use super::world::World;
use super::{exactly, listed, text};
use crate::oauth::authorize::stage::{FILES, VERIFIER, asks_consent, challenge, code};
use crate::oauth::harness::{Answer, ISSUER, answer, credential, now, resource_server, secret};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What a client might ask for.
const GRANTS: [&str; 11] = [
    "authorization_code",
    "refresh_token",
    "client_credentials",
    DEVICE,
    EXCHANGE,
    "implicit",
    "password",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:openid:params:grant-type:ciba",
    "urn:ietf:params:oauth:grant-type:uma-ticket",
];

impl World {
    /// The claims of a token of ours by the published key set, and the algorithm.
    pub async fn verified(&self, token: &str) -> (Value, String) {
        let header = decode_header(token).unwrap();
        let set: JwkSet = serde_json::from_str(&self.stage.server.get(&self.path("jwks_uri")).await.text).unwrap();
        let jwk = set.find(&header.kid.unwrap()).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.validate_aud = false;
        validation.validate_exp = false; // the test's clock is not the wall's
        let claims = decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap().claims;
        (claims, format!("{:?}", header.alg))
    }

    pub async fn issuer(&self, claimed: &Value) {
        let (claims, _) = self.verified(&self.issued(&[("resource", FILES)]).await).await;
        assert_eq!(claims["iss"], *claimed);
    }

    pub async fn key_set(&self, claimed: &Value) {
        assert_eq!(*claimed, format!("{ISSUER}{}", self.path("jwks_uri")));
        let (claims, _) = self.verified(&self.issued(&[("resource", FILES)]).await).await;
        assert_eq!(claims["aud"], FILES);
    }

    pub async fn authorizes(&self, claimed: &Value) {
        assert_eq!(*claimed, text(&self.document, "authorization_endpoint"));
        assert!(!code(&self.ask(&self.ada, "quiet", &[]).await.unwrap()).is_empty());
    }

    /// A token is issued, seen and ended, each where the metadata says.
    pub async fn token_life(&self) {
        let token = self.issued(&[("resource", FILES)]).await;
        assert_eq!(self.introspected(&token).await["active"], true);
        assert_eq!(self.post_own("revocation_endpoint", &[("token", &token)]).await.status, 200);
        assert_eq!(self.introspected(&token).await, json!({"active": false}));
    }

    async fn begin_device(&self) -> Value {
        let form = [("resource", FILES), ("scope", "files.read")];
        let begun = self.post_own("device_authorization_endpoint", &form).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        begun.json()
    }

    pub async fn device(&self, claimed: &Value) {
        assert_eq!(*claimed, text(&self.document, "device_authorization_endpoint"));
        let begun = self.begin_device().await;
        let page = begun["verification_uri"].as_str().unwrap().strip_prefix(ISSUER).unwrap();
        let shown = self.ada.open(page).await;
        assert!(shown.html.contains("name=\"user_code\""), "{}", shown.html);
    }

    pub async fn pushes(&self, claimed: &Value) {
        assert_eq!(*claimed, text(&self.document, "pushed_authorization_request_endpoint"));
        let challenge = challenge();
        let form = [
            ("client_id", "quiet"),
            ("response_type", "code"),
            ("redirect_uri", "https://app.example.com/cb"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", FILES),
            ("state", "the state"),
        ];
        let pushed = self.post("pushed_authorization_request_endpoint", &form).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        let place = self.path("authorization_endpoint");
        assert!(!code(&self.ada.open(&format!("{place}?client_id=quiet&request_uri={uri}")).await).is_empty());
    }

    /// What a user granted to the client that may do everything.
    async fn by_code(&self) -> Answer {
        let mut page = self.ask(&self.ada, "every", &[]).await.unwrap();
        if asks_consent(&page) {
            page = self.ada.decide(&page, "allow").await;
        }
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code(&page)),
            ("code_verifier", VERIFIER),
            ("redirect_uri", "https://app.example.com/cb"),
        ];
        self.post_own("token_endpoint", &form).await
    }

    async fn by_device(&self) -> Answer {
        let begun = self.begin_device().await;
        let member = |name: &str| begun[name].as_str().unwrap().to_owned();
        let (device_code, user_code) = (member("device_code"), member("user_code"));
        let page = self.ada.open("/device").await;
        let page = self.ada.submit(&page, "/device", &[("user_code", &user_code)]).await;
        let page = self.ada.submit(&page, "/device", &[("user_code", &user_code), ("decision", "allow")]).await;
        assert_eq!(page.status, 200, "{}", page.html);
        self.post_own("token_endpoint", &[("grant_type", DEVICE), ("device_code", &device_code)]).await
    }

    pub async fn grants(&self, claimed: &Value) {
        let does = async |grant: &str| {
            let got = match grant {
                "authorization_code" => self.by_code().await,
                "refresh_token" => {
                    let granted = self.by_code().await.json();
                    let form = [("grant_type", grant), ("refresh_token", granted["refresh_token"].as_str().unwrap())];
                    self.post_own("token_endpoint", &form).await
                }
                DEVICE => self.by_device().await,
                EXCHANGE => {
                    let own = self.unbound(&[("resource", FILES)]).await.unwrap();
                    let form = [
                        ("grant_type", EXCHANGE),
                        ("resource", FILES),
                        ("subject_token", own["access_token"].as_str().unwrap()),
                        ("subject_token_type", ACCESS),
                    ];
                    self.post_own("token_endpoint", &form).await
                }
                _ => self.post_own("token_endpoint", &[("grant_type", grant), ("resource", FILES)]).await,
            };
            assert!(got.status == 200 || got.error() == "unsupported_grant_type", "{grant}: {got:?}");
            got.status == 200
        };
        exactly(claimed, &GRANTS, does).await;
    }

    pub async fn proofs(&self, claimed: &Value) {
        let does = async |algorithm: &str| match self.prove(algorithm, &[("resource", FILES)]).await {
            Ok(token) => token["token_type"] == "DPoP",
            Err(error) => {
                assert_eq!(error, "invalid_dpop_proof", "{algorithm}");
                false
            }
        };
        exactly(claimed, &ALGORITHMS, does).await;
    }

    /// `public`: whoever asks, the user has the same name.
    pub async fn subjects(&self, claimed: &Value) {
        assert_eq!(listed(claimed), ["public"].into());
        let one = self.by_code().await.json();
        let code = code(&self.ask(&self.ada, "quiet", &[]).await.unwrap());
        let other = self.stage.redeem("quiet", &code, &[("redirect_uri", "https://app.example.com/cb")]).await.json();
        let mut names = BTreeSet::new();
        for token in [one, other] {
            let (claims, _) = self.verified(token["access_token"].as_str().unwrap()).await;
            names.insert(claims["sub"].as_str().unwrap().to_owned());
        }
        assert_eq!(names, [self.stage.ada.clone()].into());
    }

    /// OIDC Discovery demands the member; no ID token is issued, and the keys that there are sign access tokens.
    pub async fn signs(&self, claimed: &Value) {
        let set = self.stage.server.get(&self.path("jwks_uri")).await.json();
        let keys = set["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap());
        assert_eq!(listed(claimed), keys.collect());
        assert!(self.by_code().await.json().get("id_token").is_none());
    }

    /// S-04: how users sign in, whatever a client would rather have.
    pub async fn sign_ins(&self, claimed: &Value) {
        let does = async |acr: &str| {
            let code = code(&self.ask(&self.ada, "quiet", &[("acr_values", acr)]).await.unwrap());
            let token = self.stage.redeem("quiet", &code, &[("redirect_uri", "https://app.example.com/cb")]).await;
            self.verified(token.json()["access_token"].as_str().unwrap()).await.0["acr"] == acr
        };
        exactly(claimed, &["0", "1", "phr", "urn:mace:incommon:iap:silver"], does).await;
    }

    /// E-07: an answer is signed as the tokens of who asks are.
    pub async fn signed_answers(&self, claimed: &Value) {
        let server = &self.stage.server;
        let does = async |algorithm: &str| {
            if !SigningAlgorithm::ALL.iter().any(|known| known.as_str() == algorithm) {
                return false;
            }
            let policy = json!({"accessToken": {"signingAlgorithm": algorithm}});
            let mut tx = server.store.write(&Actor::controller()).await.unwrap();
            tx.put("rs_signed", &resource_server("https://signed.example.com", policy), None, now()).await.unwrap();
            tx.put_credential("rs_signed", &credential("cred-signed", &secret("rs_signed"))).await.unwrap();
            tx.commit().await.unwrap();
            server.store.refresh().await.unwrap();
            let request = server.http.post(format!("{}{}", server.public, self.path("introspection_endpoint")));
            let request = request.header("accept", "application/token-introspection+jwt");
            let signed =
                answer(request.basic_auth("rs_signed", Some(secret("rs_signed"))).form(&[("token", "x")])).await;
            assert_eq!(signed.status, 200, "{signed:?}");
            decode_header(&signed.text).is_ok_and(|header| format!("{:?}", header.alg) == algorithm)
        };
        exactly(claimed, &ALGORITHMS, does).await;
    }
}
