//! A commit whose answer is lost on the way: the server tries again by itself, finds what it has used up to be its own
//! use, and answers; there is one outcome, and nobody else gets a second one.

use std::sync::Arc;

use holdfast::oauth::Authorized;
use serde_json::{Value, json};

use super::assertions::{Key, TYPE};
use super::harness::{Answer, BILLING, ISSUER, Server, Setup, answer, client, resource_server};
use super::person::{CALLBACK, VERIFIER, authorized, text};
use super::prover::Prover;
use crate::store::engine::{Engine, Fresh};
use crate::support::lossy::Lossy;

/// A server behind such a connection, and the database itself.
struct World {
    server: Server,
    lossy: Lossy,
    fresh: Fresh,
    key: Prover,
}

async fn world() -> World {
    let fresh = Engine::Postgres.fresh().await;
    let (lossy, url) = Lossy::before(&fresh.url).await;
    let server = Setup { url: Some(url), ..Setup::default() }.start().await;
    let billing = json!({"accessToken": {"senderConstraint": "DPoPOptional"}});
    server.put("rs_billing", &resource_server(BILLING, billing)).await;
    server.store.refresh().await.unwrap();
    World { server, lossy, fresh, key: Prover::new() }
}

impl World {
    /// A request of the public client `app` with a proof for this path.
    async fn post(&self, path: &str, form: &[(&str, &str)], proof: &str) -> Answer {
        let form = [&[("client_id", "app")], form].concat();
        let request = self.server.http.post(format!("{}{path}", self.server.public)).header("dpop", proof);
        answer(request.form(&form)).await
    }

    fn proof(&self, path: &str) -> String {
        self.key.proof(&self.server, json!({"htu": format!("{ISSUER}{path}")}))
    }

    async fn code(&self) -> String {
        let authorized = Authorized { dpop_jkt: Some(self.key.jkt()), ..authorized("app") };
        self.server.server.issue_code(&authorized).await.unwrap().expose().to_owned()
    }

    /// Loses one answer, does it, and does it once more: the first is answered, the second refused.
    async fn once(&self, path: &str, form: &[(&str, &str)], refusal: &str) -> Value {
        let proof = self.proof(path);
        self.lossy.lose(|| {});
        let first = self.post(path, form, &proof).await;
        assert!(matches!(first.status, 200 | 201) && self.lossy.has_lost(), "{first:?}");
        let second = self.post(path, form, &proof).await;
        assert_eq!((second.status, second.error().as_str()), (400, refusal), "{second:?}");
        first.json()
    }
}

/// IV-1, IV-2, FT-12, P-15, RC-1: a code with a proof is redeemed for one grant with one refresh token.
#[tokio::test]
async fn a_code_is_redeemed_though_the_answer_is_lost() {
    let world = world().await;
    let code = world.code().await;
    let form = [("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", VERIFIER)];
    let issued = world.once("/oauth/token", &form, "invalid_dpop_proof").await;
    assert_eq!(issued["token_type"], "DPoP");
    for (table, rows) in [("token_grant", 1), ("refresh_token", 1), ("used_proof", 1)] {
        assert_eq!(world.fresh.number(&format!("SELECT count(*) FROM {table}")).await, rows, "{table}");
    }
    assert_eq!(world.server.audited(holdfast::domain::audit::AuditKind::GrantCreated).await, 1);
    assert!(world.server.is_active(text(&issued, "access_token")).await);
    let renew = [("grant_type", "refresh_token"), ("refresh_token", text(&issued, "refresh_token"))];
    assert_eq!(world.post("/oauth/token", &renew, &world.proof("/oauth/token")).await.status, 200);
}

/// IV-1, IV-2, FT-12, C-09: a refresh token has one successor, also when the next attempt comes after the grace
/// window: what the server itself has used is not stolen.
#[tokio::test]
async fn a_refresh_token_is_used_though_the_answer_is_lost() {
    let world = world().await;
    let code = world.code().await;
    let form = [("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", VERIFIER)];
    let mut issued = world.post("/oauth/token", &form, &world.proof("/oauth/token")).await.json();
    for _ in 0..2 {
        let token = text(&issued, "refresh_token").to_owned();
        let renew = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
        issued = world.once("/oauth/token", &renew, "invalid_dpop_proof").await;
    }
    let (token, clock) = (text(&issued, "refresh_token").to_owned(), Arc::clone(&world.server.clock));
    let renew = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
    world.lossy.lose(move || clock.advance(31));
    let renewed = world.post("/oauth/token", &renew, &world.proof("/oauth/token")).await;
    assert!(renewed.status == 200 && world.lossy.has_lost(), "{renewed:?}");
    assert!(world.server.is_active(text(&renewed.json(), "access_token")).await);
    assert_eq!(world.fresh.number("SELECT count(*) FROM token_grant WHERE revoked_at IS NULL").await, 1);
    assert_eq!(world.fresh.number("SELECT count(*) FROM refresh_token").await, 4);
    assert_eq!(world.fresh.number("SELECT count(*) FROM refresh_token WHERE used_at IS NULL").await, 1);
    let thief = world.post("/oauth/token", &renew, &world.proof("/oauth/token")).await;
    assert_eq!(thief.error(), "invalid_grant", "it is its own use to nobody else");
}

/// IV-1, FT-12, N-01: a pushed request with a proof, and the beginning of a device.
#[tokio::test]
async fn what_begins_begins_though_the_answer_is_lost() {
    let world = world().await;
    let challenge = authorized("app").code_challenge;
    let form = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &*challenge),
        ("code_challenge_method", "S256"),
    ];
    world.once("/oauth/par", &form, "invalid_dpop_proof").await;
    assert_eq!(world.fresh.number("SELECT count(*) FROM authorization_request").await, 1);
    let attached = json!([{"name": "b", "resourceServerID": "rs_billing", "scopes": ["invoices.read"]}]);
    let television = json!({"authenticationMethod": "None", "grantTypes": ["device_code"], "resources": attached});
    world.server.put("tv", &client(television)).await;
    world.server.store.refresh().await.unwrap();
    world.lossy.lose(|| {});
    let begun = world.server.post("/oauth/device_authorization", None, "client_id=tv").await;
    assert!(begun.status == 200 && world.lossy.has_lost(), "{begun:?}");
    let poll = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("client_id", "tv")];
    let code = begun.json()["device_code"].as_str().unwrap().to_owned();
    let poll = [&poll[..], &[("device_code", code.as_str())]].concat();
    let waiting = answer(world.server.http.post(format!("{}/oauth/token", world.server.public)).form(&poll)).await;
    assert_eq!(waiting.error(), "authorization_pending");
}

/// IV-1, IV-3, FT-12, K-03, F-06: a client that signs is issued its token, is told of it and ends it, each with an
/// assertion that counts once.
#[tokio::test]
async fn an_assertion_counts_once_though_the_answer_is_lost() {
    let world = world().await;
    let key = Key::new("1");
    let signer = json!({"authenticationMethod": "PrivateKeyJWT", "jwks": {"keys": [key.jwk()]}, "jwksURI": null});
    world.server.put("signer", &client(signer)).await;
    world.server.store.refresh().await.unwrap();
    let mut token = "x".to_owned();
    // the revocation itself is committed after its assertion
    for (path, lost) in [("/oauth/token", 1), ("/oauth/introspect", 1), ("/oauth/revoke", 2)] {
        let claims = json!({"iss": "signer", "sub": "signer", "aud": ISSUER, "jti": path,
            "exp": holdfast::domain::Clock::now(&*world.server.clock).as_second() + 60});
        let assertion = key.assertion(&claims);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", TYPE),
            ("client_assertion", &*assertion),
            ("token", &*token),
        ];
        (0..lost).for_each(|_| world.lossy.lose(|| {}));
        let ask = async || answer(world.server.http.post(format!("{}{path}", world.server.public)).form(&form)).await;
        let first = ask().await;
        assert!(first.status == 200 && world.lossy.has_lost(), "{path}: {first:?}");
        assert_eq!(ask().await.error(), "invalid_client", "{path}");
        if path == "/oauth/introspect" {
            assert_eq!(first.json()["active"], true);
        }
        if path == "/oauth/token" {
            token = text(&first.json(), "access_token").to_owned();
        }
    }
    assert!(!world.server.is_active(&token).await);
    assert_eq!(world.fresh.number("SELECT count(*) FROM used_proof").await, 3);
}
