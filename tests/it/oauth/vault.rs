//! Signing keys in a Transit engine: a real OpenBao, and a stand-in that looks at every request.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use holdfast::domain::Actor;
use holdfast::domain::resource_server::SigningAlgorithm;
use holdfast::domain::signing_key::{KeyRotation, KeyState, KeyStore};
use holdfast::oauth::KeySettings;
use holdfast::outbound::{Transit, TransitAuthentication, TransitError, TransitOptions};
use jiff::SignedDuration;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::harness::{Server, Setup};

/// A development server of OpenBao, with a Transit engine and a token that may do what the documents say it needs.
struct Bao {
    process: Child,
    address: String,
    dir: TempDir,
}

impl Drop for Bao {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const ROOT: &str = "root-of-the-test";

impl Bao {
    async fn start() -> Self {
        let program = std::env::var("HOLDFAST_TEST_OPENBAO").expect("HOLDFAST_TEST_OPENBAO: run through `make test`");
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(program)
            .args(["server", "-dev", "-dev-no-store-token", &format!("-dev-root-token-id={ROOT}")])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let bao = Self { process, address: format!("http://127.0.0.1:{port}"), dir };
        let deadline = Instant::now() + Duration::from_secs(60);
        while reqwest::get(format!("{}/v1/sys/health", bao.address)).await.is_err() {
            assert!(Instant::now() < deadline, "OpenBao does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bao.ask("sys/mounts/transit", json!({"type": "transit"})).await;
        let policy = include_str!("../../../config/vault-policy.hcl");
        bao.ask("sys/policies/acl/holdfast", json!({"policy": policy})).await;
        bao.new_token().await;
        bao
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/v1/{path}", self.address);
        let answer = reqwest::Client::new().post(url).header("x-vault-token", ROOT).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or_default()
    }

    /// Puts a token that may only do what it needs into the file.
    async fn new_token(&self) -> String {
        let made = self.ask("auth/token/create", json!({"policies": ["holdfast"], "ttl": "1h"})).await;
        let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
        std::fs::write(self.dir.path().join("token"), &token).unwrap();
        token
    }

    fn transit(&self) -> Transit {
        let authentication = TransitAuthentication::TokenFile(self.dir.path().join("token"));
        Transit::new(options(&self.address, authentication)).unwrap()
    }

    fn keys(&self) -> KeySettings {
        let publish_ahead = SignedDuration::from_secs(600);
        let rotation = KeyRotation { period: None, publish_ahead, store: KeyStore::Vault };
        KeySettings { rotation, folder: None, engine: Some((self.transit(), "holdfast".to_owned())) }
    }
}

fn options(address: &str, authentication: TransitAuthentication) -> TransitOptions {
    TransitOptions {
        address: address.to_owned(),
        mount: "transit".to_owned(),
        namespace: None,
        authentication,
        authorities: Vec::new(),
        timeout: Duration::from_secs(2),
    }
}

const RESOURCES: [(&str, &str); 3] = [
    ("ES256", super::harness::BILLING),
    ("EdDSA", "https://eddsa.example.com/"),
    ("RS256", "https://rsa.example.com/mcp"),
];

async fn verified(server: &Server, token: &str) -> Option<String> {
    let header = decode_header(token).unwrap();
    let set: JwkSet = serde_json::from_str(&server.get("/.well-known/jwks.json").await.text).unwrap();
    let key = set.find(header.kid.as_ref()?)?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).ok()?;
    header.kid
}

/// S15: all three algorithms sign in the engine, keys are replaced there, and none of it is ever in our database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_signed_by_keys_that_never_leave_the_engine() {
    let bao = Bao::start().await;
    let server = Setup { keys: bao.keys(), ..Setup::default() }.start().await;
    let epoch = server.store.take_over().await.unwrap();
    let mut before = Vec::new();
    for (alg, resource) in RESOURCES {
        let token = server.token("multi", resource).await;
        assert_eq!(format!("{:?}", decode_header(&token).unwrap().alg), alg);
        before.push((verified(&server, &token).await.expect("it verifies"), token));
    }
    for key in server.store.read().await.unwrap().signing_keys().await.unwrap() {
        assert!(key.sealed_private.is_empty() && key.reference.ends_with(":1"), "{}", key.reference);
        assert_eq!(key.life.store, KeyStore::Vault);
    }
    server.server.request_key_rotation(true, &Actor::recorded("cli")).await.unwrap();
    let changes = server.server.keep_keys(epoch).await.unwrap().changes;
    assert!(changes.len() == 3 && changes.iter().all(|change| change.state == KeyState::Next));
    server.server.reload_keys().await.unwrap();
    server.clock.advance(2);
    assert_eq!(server.server.keep_keys(epoch).await.unwrap().changes.len(), 6);
    server.server.reload_keys().await.unwrap();
    for ((kid, old), (_, resource)) in before.iter().zip(RESOURCES) {
        let token = server.token("multi", resource).await;
        assert_ne!(verified(&server, &token).await.expect("it verifies"), *kid);
        assert_eq!(verified(&server, old).await.as_ref(), Some(kid));
        assert_eq!(server.introspect("multi", old).await["active"], true);
    }
}

/// What happens when the engine is away, and when our token is not good any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_engine_nothing_is_signed_and_everything_else_goes_on() {
    let mut bao = Bao::start().await;
    let server = Setup { keys: bao.keys(), ..Setup::default() }.start().await;
    let token = server.token("reporter", super::harness::BILLING).await;
    let form = [("grant_type", "client_credentials")];
    let revoked = std::fs::read_to_string(bao.dir.path().join("token")).unwrap();
    bao.ask("auth/token/revoke", json!({"token": revoked})).await;
    let answer = server.post_as("reporter", "/oauth/token", &form).await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"), "{answer:?}");
    assert!(!answer.header("retry-after").is_empty());
    bao.new_token().await;
    // the file is read again as soon as the engine refuses
    server.token("reporter", super::harness::BILLING).await;
    let keys = bao.keys();
    bao.process.kill().unwrap();
    bao.process.wait().unwrap();
    let began = Instant::now();
    let answer = server.post_as("reporter", "/oauth/token", &form).await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let jwks = server.get("/.well-known/jwks.json").await;
    assert_eq!(jwks.status, 200);
    assert_eq!(server.introspect("reporter", &token).await["active"], true);
    // and a start does not need it either
    let url = format!("sqlite://{}", server.directory.as_ref().unwrap().path().join("holdfast.db").display());
    let clock = Some(server.clock.clone());
    let again = Setup { url: Some(url), keys, clock, ..Setup::default() }.start().await;
    assert_eq!(again.get("/.well-known/jwks.json").await.text, jwks.text);
}

/// What a stand-in was asked, and what it answers.
#[derive(Default)]
struct StandIn {
    asked: Mutex<Vec<String>>,
    answers: Mutex<Vec<(u16, Value)>>,
}

async fn answer(State(stand_in): State<Arc<StandIn>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let body: Value = serde_json::from_slice(&to_bytes(body, 10_000).await.unwrap()).unwrap_or_default();
    let line = format!(
        "{} {} token={} namespace={} request={} {body}",
        parts.method,
        parts.uri,
        header("x-vault-token"),
        header("x-vault-namespace"),
        header("x-vault-request"),
    );
    stand_in.asked.lock().unwrap().push(line);
    let (status, answer) = stand_in.answers.lock().unwrap().remove(0);
    (axum::http::StatusCode::from_u16(status).unwrap(), axum::Json(answer)).into_response()
}

async fn stand_in(answers: Vec<(u16, Value)>) -> (Arc<StandIn>, Transit, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jwt"), "a.projected.token\n").unwrap();
    let stand_in = Arc::new(StandIn { answers: Mutex::new(answers), ..StandIn::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&stand_in));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let authentication = TransitAuthentication::Kubernetes {
        mount: "kubernetes".to_owned(),
        role: "holdfast".to_owned(),
        token_file: dir.path().join("jwt"),
    };
    let namespace = Some("team".to_owned());
    let transit = Transit::new(TransitOptions { namespace, ..options(&address, authentication) }).unwrap();
    (stand_in, transit, dir)
}

fn login(token: &str) -> (u16, Value) {
    (200, json!({"auth": {"client_token": token, "lease_duration": 3600}}))
}

fn signature(text: &str) -> (u16, Value) {
    (200, json!({"data": {"signature": text}}))
}

/// The Kubernetes auth method, byte for byte; a login serves many calls, and one that is refused is repeated once.
#[tokio::test]
async fn a_service_account_logs_in_once_and_again_when_it_must() {
    let answers = vec![
        login("t1"),
        signature("vault:v7:AQID"),
        signature("vault:v7:AQID"),
        (403, json!({})),
        login("t2"),
        signature("vault:v7:AQID"),
        (403, json!({})),
        login("t3"),
        (403, json!({})),
    ];
    let (stand_in, transit, _dir) = stand_in(answers).await;
    let sign = |algorithm| transit.sign(("holdfast-x", 7), algorithm, b"abc");
    for algorithm in [SigningAlgorithm::ES256, SigningAlgorithm::EdDSA, SigningAlgorithm::RS256] {
        assert_eq!(sign(algorithm).await.unwrap(), [1, 2, 3]);
    }
    assert!(matches!(sign(SigningAlgorithm::ES256).await, Err(TransitError::Refused { status: 403, .. })));
    // SHA-256 of "abc" (FIPS 180-2 B.1), and "abc" itself
    let digest = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    let log_in = "POST /v1/auth/kubernetes/login token=- namespace=team request=true \
                  {\"jwt\":\"a.projected.token\",\"role\":\"holdfast\"}";
    let call = |token: &str, body: &str| {
        format!("POST /v1/transit/sign/holdfast-x token={token} namespace=team request=true {body}")
    };
    let es256 = format!(
        "{{\"hash_algorithm\":\"sha2-256\",\"input\":\"{digest}\",\"key_version\":7,\
         \"marshaling_algorithm\":\"jws\",\"prehashed\":true}}"
    );
    let rs256 = format!(
        "{{\"hash_algorithm\":\"sha2-256\",\"input\":\"{digest}\",\"key_version\":7,\"prehashed\":true,\
         \"signature_algorithm\":\"pkcs1v15\"}}"
    );
    let eddsa = "{\"input\":\"YWJj\",\"key_version\":7}";
    let expected = [
        log_in.to_owned(),
        call("t1", &es256),
        call("t1", eddsa),
        call("t1", &rs256),
        log_in.to_owned(),
        call("t2", &rs256),
        call("t2", &es256),
        log_in.to_owned(),
        call("t3", &es256),
    ];
    assert_eq!(*stand_in.asked.lock().unwrap(), expected);
}

/// What is no signature of the version that was asked for is none.
#[tokio::test]
async fn an_answer_that_is_something_else_is_refused() {
    let odd = [
        signature("vault:v8:AQID"),
        signature("AQID"),
        signature("vault:v7:%%%"),
        (200, json!({"data": {}})),
        (200, json!(null)),
        (204, json!(null)),
        (404, json!({})),
        (500, json!({"errors": ["sealed"]})),
        (302, json!({})),
    ];
    for odd in odd {
        let (_stand_in, transit, _dir) = stand_in(vec![login("t"), odd.clone()]).await;
        let signed = transit.sign(("k", 7), SigningAlgorithm::EdDSA, b"abc").await;
        assert!(signed.is_err(), "{odd:?}");
        assert!(!format!("{:?}", signed.unwrap_err()).contains("projected"));
    }
    let other_type = json!({"data": {"type": "aes256-gcm96", "latest_version": 1, "keys": {"1": {"public_key": ""}}}});
    let (_stand_in, transit, _dir) = stand_in(vec![login("t"), (200, other_type), (404, json!({}))]).await;
    assert!(transit.latest("k", SigningAlgorithm::ES256).await.is_err());
    assert_eq!(transit.latest("k", SigningAlgorithm::ES256).await.unwrap(), None);
}
