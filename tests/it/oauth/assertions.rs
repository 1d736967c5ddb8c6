//! Clients that prove themselves by a signature: what an assertion must say, whose keys count, and that it counts once.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::domain::Clock;
use holdfast::domain::client::AuthenticationMethod;
use holdfast::oauth::DynamicParts;
use rstest::rstest;
use serde_json::{Value, json};

use super::harness::{Answer, BILLING, ISSUER, Server, Setup, client};
use crate::support::elsewhere::{Elsewhere, Names, Page};
use crate::support::postgres;

pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A key of a client.
pub struct Key {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Key {
    pub fn new(kid: &'static str) -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self { pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap(), kid }
    }

    pub fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid, "use": "sig"})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn assertion(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": self.kid}), claims)
    }
}

fn claims(server: &Server, id: &str, jti: &str) -> Value {
    let now = server.clock.now().as_second();
    json!({"iss": id, "sub": id, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": jti})
}

async fn token(server: &Server, assertion: &str, more: &[(&str, &str)]) -> Answer {
    at(
        server,
        "/oauth/token",
        assertion,
        &[&[("grant_type", "client_credentials"), ("resource", BILLING)], more].concat(),
    )
    .await
}

async fn at(server: &Server, path: &str, assertion: &str, more: &[(&str, &str)]) -> Answer {
    let form = [&[("client_assertion_type", TYPE), ("client_assertion", assertion)], more].concat();
    super::harness::answer(server.http.post(format!("{}{path}", server.public)).form(&form)).await
}

/// A server with the client `signer`, whose keys these are.
async fn with_keys(keys: &[&Key]) -> Server {
    let server = super::harness::server().await;
    put_signer(&server, json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}), Value::Null).await;
    server
}

async fn put_signer(server: &Server, jwks: Value, uri: Value) {
    let spec = client(json!({"authenticationMethod": "PrivateKeyJWT", "jwks": jwks, "jwksURI": uri}));
    server.put("signer", &spec).await;
}

/// CC-01, CC-02, K-01, K-06
#[tokio::test]
async fn a_signature_authenticates() {
    let key = Key::new("1");
    let server = with_keys(&[&key]).await;
    let good = |jti: &str| claims(&server, "signer", jti);
    let issued = token(&server, &key.assertion(&good("1")), &[]).await;
    assert_eq!(issued.status, 200, "{issued:?}");
    for (number, header) in [
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "typ": "JWT"}),
        json!({"alg": "ES256", "typ": "client-authentication+jwt", "kid": "1"}),
    ]
    .iter()
    .enumerate()
    {
        let assertion = key.sign(header, &good(&format!("h{number}")));
        assert_eq!(token(&server, &assertion, &[("client_id", "signer")]).await.status, 200, "{header}");
    }
    let mut one_in_a_list = good("list");
    one_in_a_list["aud"] = json!([ISSUER]);
    assert_eq!(token(&server, &key.assertion(&one_in_a_list), &[]).await.status, 200);
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("private_key_jwt")));
    assert!(!metadata["token_endpoint_auth_signing_alg_values_supported"].as_array().unwrap().is_empty());
    let access = issued.json()["access_token"].as_str().unwrap().to_owned();
    let seen = at(&server, "/oauth/introspect", &key.assertion(&good("i")), &[("token", &access)]).await;
    assert_eq!((seen.status, seen.json()["active"].as_bool()), (200, Some(true)), "{seen:?}");
    let ended = at(&server, "/oauth/revoke", &key.assertion(&good("r")), &[("token", &access)]).await;
    assert_eq!(ended.status, 200);
    assert_eq!(server.introspect("reporter", &access).await, json!({"active": false}));
}

/// K-01, K-02, K-04, K-06, R-55: each is the same 401, and no token is issued.
#[rstest]
#[case::token_url(json!({"aud": "https://auth.example.com/oauth/token"}))]
#[case::par_url(json!({"aud": "https://auth.example.com/oauth/par"}))]
#[case::slash(json!({"aud": "https://auth.example.com/"}))]
#[case::two(json!({"aud": ["https://auth.example.com", "https://other.example"]}))]
#[case::twice(json!({"aud": ["https://auth.example.com", "https://auth.example.com"]}))]
#[case::no_aud(json!({"aud": null}))]
#[case::nobody(json!({"aud": []}))]
#[case::iss(json!({"iss": "reporter"}))]
#[case::no_iss(json!({"iss": null}))]
#[case::no_exp(json!({"exp": null}))]
#[case::expired(json!({"exp": 1_899_999_980}))]
#[case::long(json!({"exp": 1_900_000_400}))]
#[case::text_exp(json!({"exp": "1900000060"}))]
#[case::future(json!({"iat": 1_900_000_060}))]
#[case::not_before(json!({"nbf": 1_900_000_060}))]
#[case::no_jti(json!({"jti": null}))]
#[case::empty_jti(json!({"jti": ""}))]
#[case::long_jti(json!({"jti": "x".repeat(513)}))]
#[case::another(json!({"sub": "reporter", "iss": "reporter"}))]
#[case::nobody_known(json!({"sub": "nobody", "iss": "nobody"}))]
#[tokio::test]
async fn an_assertion_says_exactly_what_it_must(#[case] change: Value) {
    let key = Key::new("1");
    let server = with_keys(&[&key]).await;
    let mut said = claims(&server, "signer", "1");
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(said.as_object_mut().unwrap().remove(name)),
            value => said[name] = value.clone(),
        }
    }
    let refused = token(&server, &key.assertion(&said), &[]).await;
    assert_eq!((refused.status, refused.error().as_str()), (401, "invalid_client"), "{refused:?}");
    assert_eq!(server.tokens().await, 0);
}

/// K-05, K-06, K-07, D-04: other keys, other algorithms, other types of JWT, other methods.
#[tokio::test]
async fn only_the_clients_own_key_signs_for_it() {
    let (key, other) = (Key::new("1"), Key::new("1"));
    let server = with_keys(&[&key]).await;
    let good = claims(&server, "signer", "1");
    let header = |change: Value| {
        let mut header = json!({"alg": "ES256", "kid": "1"});
        change.as_object().unwrap().iter().for_each(|(name, value)| header[name] = value.clone());
        header
    };
    let none =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"), URL_SAFE_NO_PAD.encode(good.to_string()));
    for assertion in [
        other.assertion(&good),
        key.sign(&header(json!({"kid": "2"})), &good),
        key.sign(&header(json!({"typ": "at+jwt"})), &good),
        key.sign(&header(json!({"typ": "dpop+jwt", "jwk": key.jwk()})), &good),
        other.sign(&header(json!({"jwk": other.jwk()})), &good),
        key.sign(&header(json!({"alg": "RS256"})), &good),
        key.sign(&header(json!({"alg": "HS256"})), &good),
        key.sign(&header(json!({"crit": ["x"]})), &good),
        format!("{}x", key.assertion(&good)),
        none,
        "x".to_owned(),
        "a.b.c".to_owned(),
    ] {
        let refused = token(&server, &assertion, &[]).await;
        assert_eq!((refused.status, refused.error().as_str()), (401, "invalid_client"), "{assertion}");
    }
    for more in [vec![("client_id", "reporter")], vec![("client_id", "")]] {
        let expected = if more[0].1.is_empty() { 200 } else { 401 };
        assert_eq!(token(&server, &key.assertion(&claims(&server, "signer", "c")), &more).await.status, expected);
    }
    let two = token(&server, &key.assertion(&good), &[("client_secret", "x")]).await;
    assert_eq!((two.status, two.error().as_str()), (400, "invalid_request"), "B-04");
    let form = [("grant_type", "client_credentials"), ("client_id", "signer")];
    for body in [form.to_vec(), [&form[..], &[("client_secret", "x")]].concat()] {
        let request = server.http.post(format!("{}/oauth/token", server.public)).form(&body);
        assert_eq!(super::harness::answer(request).await.status, 401, "B-05, CI-12: nothing else authenticates it");
    }
    let wrong = key.assertion(&claims(&server, "reporter", "w"));
    assert_eq!(token(&server, &wrong, &[]).await.status, 401, "nor does a signature where a secret is agreed on");
    let form = [("client_assertion", key.assertion(&good)), ("client_assertion_type", "x".to_owned())];
    let request = server.http.post(format!("{}/oauth/token", server.public)).form(&form);
    assert_eq!(super::harness::answer(request).await.status, 401);
    assert_eq!(server.tokens().await, 1);
}

/// K-03, R-54, IV-1: of fifty at once, at two servers on one database, one wins.
#[tokio::test]
async fn an_assertion_counts_once() {
    let key = Arc::new(Key::new("1"));
    let database = postgres::fresh().await;
    let start = |second| Setup { url: Some(database.url.clone()), second, ..Setup::default() }.start();
    let one = start(false).await;
    put_signer(&one, json!({"keys": [key.jwk()]}), Value::Null).await;
    let other = start(true).await;
    for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
        let assertion = key.assertion(&claims(&one, "signer", path));
        let form = [("grant_type", "client_credentials"), ("resource", BILLING), ("token", "x")];
        let all = (0..50).map(|n| at(if n % 2 == 0 { &one } else { &other }, path, &assertion, &form));
        let answers = futures::future::join_all(all).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        let lost = answers.iter().filter(|answer| (answer.status, answer.error().as_str()) == (401, "invalid_client"));
        assert_eq!((won, lost.count()), (1, 49), "{path}");
    }
    assert_eq!(one.tokens().await + other.tokens().await, 1);
    // another client may choose the same jti, and a refused request uses nothing up
    let fresh = key.assertion(&claims(&one, "signer", "again"));
    assert_eq!(at(&one, "/oauth/token", &fresh, &[("grant_type", "x")]).await.error(), "unsupported_grant_type");
    assert_eq!(token(&other, &fresh, &[]).await.status, 200);
}

/// K-07: keys elsewhere, through the guarded client, and refetched once a minute at most.
#[tokio::test]
async fn keys_are_fetched_and_fetched_again() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let elsewhere = Elsewhere::start().await;
    let dynamic = DynamicParts { outbound: elsewhere.outbound(Arc::new(Names::default())), ..DynamicParts::default() };
    let server = Setup { dynamic, ..Setup::default() }.start().await;
    put_signer(&server, Value::Null, json!(elsewhere.url("app.example", "/jwks"))).await;
    let publish = |keys: &[&Key]| {
        let mut keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        keys.push(json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "use": "enc", "kid": "enc"}));
        elsewhere.put("/jwks", Page::json(&json!({"keys": keys}).to_string()));
    };
    let ask =
        async |key: &Key, jti: &str| token(&server, &key.assertion(&claims(&server, "signer", jti)), &[]).await.status;
    publish(&[&old]);
    assert_eq!((ask(&old, "1").await, ask(&old, "2").await, elsewhere.requests().len()), (200, 200, 1));
    publish(&[&old, &new]);
    assert_eq!(ask(&new, "3").await, 401, "within a minute it is not asked again");
    assert_eq!(elsewhere.requests().len(), 1);
    server.clock.advance(61);
    assert_eq!((ask(&new, "4").await, ask(&old, "5").await), (200, 200), "both, while they overlap");
    assert_eq!(elsewhere.requests().len(), 2);
    for n in 0..5 {
        assert_eq!(ask(&Key::new("forged"), &format!("f{n}")).await, 401);
    }
    assert_eq!(elsewhere.requests().len(), 2, "nobody makes us ask again and again");
    server.clock.advance(301);
    elsewhere.remove("/jwks");
    assert_eq!(ask(&new, "6").await, 200, "its owner's outage is no logout");
    server.clock.advance(3600);
    assert_eq!(ask(&new, "7").await, 401, "but not for ever");
    publish(&[&new]);
    server.clock.advance(61);
    assert_eq!((ask(&new, "8").await, ask(&old, "9").await), (200, 401), "what was taken away is gone");
}

/// CI-05, CI-06, R-43: a stranger's `jwks_uri` leads nowhere private; a resource of a trusted namespace may be allowed to.
#[tokio::test]
async fn a_strangers_keys_are_not_fetched_from_home() {
    let key = Key::new("1");
    let elsewhere = Elsewhere::start().await;
    elsewhere.put("/jwks", Page::json(&json!({"keys": [key.jwk()]}).to_string()));
    let names: Arc<Names> = Arc::default();
    let outbound = holdfast::outbound::Outbound::new(holdfast::outbound::Options {
        allowed_private: vec!["app.example".parse().unwrap()],
        authorities: elsewhere.authority.clone().into_bytes(),
        resolver: names.clone(),
        ..holdfast::outbound::Options::default()
    });
    let server =
        Setup { dynamic: DynamicParts { outbound, ..DynamicParts::default() }, ..Setup::default() }.start().await;
    let uri = elsewhere.url("app.example", "/jwks");
    let body = json!({"redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri});
    let registered = server.http.post(format!("{}/oauth/register", server.public)).json(&body).send().await.unwrap();
    assert_eq!(registered.status(), 201, "it is fetched lazily, if at all (H-05)");
    let id = registered.json::<Value>().await.unwrap()["client_id"].as_str().unwrap().to_owned();
    assert_eq!(elsewhere.connections(), 0);
    let refused = at(&server, "/oauth/revoke", &key.assertion(&claims(&server, &id, "1")), &[("token", "x")]).await;
    assert_eq!((refused.status, elsewhere.connections()), (401, 0), "{refused:?}");
    put_signer(&server, Value::Null, json!(uri)).await;
    assert_eq!(token(&server, &key.assertion(&claims(&server, "signer", "1")), &[]).await.status, 200);
}

/// K-05: who registered an algorithm is held to it.
#[tokio::test]
async fn a_registered_algorithm_binds() {
    let key = Key::new("1");
    let server = super::harness::server().await;
    let register = async |algorithm: &str| {
        let body = json!({
            "redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [key.jwk()]}, "token_endpoint_auth_signing_alg": algorithm,
        });
        let answer = server.http.post(format!("{}/oauth/register", server.public)).json(&body).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["client_id"].as_str().unwrap().to_owned()
    };
    for (algorithm, status) in [("ES256", 200), ("PS256", 401)] {
        let id = register(algorithm).await;
        let entry = server.store.snapshot();
        use holdfast::domain::policy::Policy;
        assert_eq!(entry.client(&id).unwrap().client.authentication_method, AuthenticationMethod::PrivateKeyJWT);
        let answer = at(&server, "/oauth/revoke", &key.assertion(&claims(&server, &id, "1")), &[("token", "x")]).await;
        assert_eq!(answer.status, status, "{algorithm}: {answer:?}");
    }
}
