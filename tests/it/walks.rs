//! The walks, on the real API server, through the real program: the executable table of contents.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::domain::observer::Unobserved;
use holdfast::domain::user::{AccountRole, Email};
use holdfast::domain::{Actor, SecretText};
use holdfast::identity;
use holdfast::store::{Options, Store};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::oauth::assertions::{Key, TYPE};
use crate::support::browser::Browser;
use crate::support::cluster;
use crate::support::elsewhere::{Elsewhere, Page};
use crate::support::postgres;
use crate::support::server::{Home, Server};
use crate::support::time;

/// A namespace with the samples in it, an operator that watches it, and kubectl.
struct Walk {
    namespace: String,
    home: Home,
    server: Server,
}

/// Makes whoever starts in this home an operator of that namespace.
fn watch(namespace: &str, home: &mut Home) {
    home.set("KUBECONFIG", &cluster::kubeconfig());
    home.set("HOLDFAST_OPERATOR__ENABLED", "true");
    home.set("HOLDFAST_OPERATOR__NAMESPACE", namespace);
    home.set("HOLDFAST_OPERATOR__NAMESPACES", &format!("[\"{namespace}\"]"));
}

impl Walk {
    async fn begin() -> Self {
        Self::begin_with(|_| {}).await
    }

    async fn begin_with(change: impl FnOnce(&mut Home)) -> Self {
        let client = cluster::client().await;
        cluster::install_crds(&client).await;
        let namespace = cluster::namespace(&client).await;
        let mut home = Home::new();
        watch(&namespace, &mut home);
        change(&mut home);
        let server = home.start().await;
        Self { namespace, home, server }
    }

    /// Two replicas on one PostgreSQL, which comes last; the second with its home.
    async fn of_two() -> (Self, Home, Server, String) {
        let database = postgres::fresh().await.url;
        let share = |home: &mut Home, key: &str, issuer: &str| {
            home.set("HOLDFAST_DATABASE__URL", &database);
            home.set("HOLDFAST_KEYS__MASTER_KEY_FILE", key);
            home.set("HOLDFAST_KEYS__ROTATION__PUBLISH_AHEAD", "2s");
            home.set("HOLDFAST_ISSUER", issuer);
        };
        let mut same = (String::new(), String::new());
        let walk = Self::begin_with(|home| {
            same = (home.path().join("shared.key").display().to_string(), format!("http://localhost:{}", home.public));
            share(home, &same.0, &same.1);
        })
        .await;
        let mut home = Home::new();
        watch(&walk.namespace, &mut home);
        share(&mut home, &same.0, &same.1);
        let other = home.start().await;
        (walk, home, other, database)
    }

    /// The samples as a user applies them, but for the namespace, and for the selector that one namespace cannot have.
    fn sample(&self, name: &str) -> String {
        let path = format!("{}/config/samples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let text = text.replace("namespace: default", &format!("namespace: {}", self.namespace));
        text.split("  # Clients of namespaces with this label").next().unwrap().to_owned()
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        let bin = std::env::var("HOLDFAST_TEST_BIN").expect("HOLDFAST_TEST_BIN is not set: run through `make test`");
        let mut child = Command::new(format!("{bin}/kubectl"))
            .args(["--kubeconfig", &cluster::kubeconfig(), "--namespace", &self.namespace])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "kubectl {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn apply_samples(&self) {
        for sample in ["provider", "resourceserver", "oauthclient"] {
            self.kubectl(&["apply", "--server-side", "--filename", "-"], &self.sample(sample));
        }
        for object in ["oauthproviders/github", "resourceservers/billing-mcp", "oauthclients/portal"] {
            self.kubectl(&["wait", "--for=condition=Ready", "--timeout=30s", object], "");
        }
    }

    fn secret(&self, key: &str) -> String {
        let template = format!("--output=go-template={{{{index .data \"{key}\" | base64decode}}}}");
        self.kubectl(&["get", "secret", "portal-oauth", &template], "")
    }

    /// A statement by another process than the server's.
    async fn sql(&self, sql: &str) {
        let path = self.home.data().join("holdfast.db");
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5));
        options.connect().await.unwrap().execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    /// An account of somebody, made beside the server.
    async fn person(&self, email: &str, password: &str) -> String {
        let url = format!("sqlite://{}", self.home.data().join("holdfast.db").display());
        let store = Store::open(&Options::new(url), Arc::new(Unobserved)).await.unwrap();
        let (clock, entropy) = (Arc::new(time::Clock::default()), Arc::new(time::Chance));
        let parts = identity::Parts { store, clock, entropy, observer: None, rules: identity::Rules::default() };
        let new = identity::NewAccount {
            email: Email::parse(email).unwrap(),
            name: "Ada Lovelace".to_owned(),
            role: AccountRole::User,
            password: SecretText::new(password),
        };
        let identity = identity::Identity::new(parts).unwrap();
        identity.create(new, &Actor::recorded("test")).await.unwrap().id
    }

    /// The token request of a public client.
    async fn redeem(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let request = self.server.client().post(self.server.public("/oauth/token")).form(form);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What `kubectl get` of a JSONPath says.
    fn path(&self, object: &str, path: &str) -> String {
        self.kubectl(&["get", object, &format!("--output=jsonpath={path}")], "")
    }
}

/// Walk one. K1, K2, K3, K4, K5, K6
#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_is_in_force_and_what_drifts_is_named_and_put_right() {
    let walk = Walk::begin().await;
    walk.apply_samples();
    let (id, secret) = (walk.secret("client_id"), walk.secret("client_secret"));
    assert_eq!(id, "portal");
    let token = walk.server.access_token(&id, &secret).await;

    // a second apply writes nothing
    let version = walk.path("oauthclient/portal", "{.metadata.resourceVersion}");
    walk.kubectl(&["apply", "--server-side", "--filename", "-"], &walk.sample("oauthclient"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(walk.path("oauthclient/portal", "{.metadata.resourceVersion}"), version);

    // behind its back
    let began = Instant::now();
    walk.sql("UPDATE client SET grant_types = '[\"client_credentials\",\"device_code\"]'").await;
    let drifted = "{.status.conditions[?(@.type==\"Drifted\")].reason}";
    while walk.path("oauthclient/portal", drifted) != "DriftCorrected" {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", walk.server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    walk.server.event("drift_corrected", |line| line["name"] == "portal").await;
    let mut story = String::new();
    while !(story.contains("DriftDetected") && story.contains("DriftCorrected ")) {
        assert!(began.elapsed() < Duration::from_secs(20), "{story}");
        story = walk.kubectl(&["describe", "oauthclient", "portal"], "");
    }
    for part in ["spec.grantTypes was changed by sql", "device_code", "Warning  DriftDetected", "SecretGenerated"] {
        assert!(story.contains(part), "{part} is not in\n{story}");
    }
    assert!(!story.contains(&secret));

    // what was issued is still good, and metrics and log tell the same story
    assert_eq!(walk.server.introspect((&id, &secret), &token).await["active"], true);
    let metrics = walk.server.get(&walk.server.admin("/metrics")).await.text().await.unwrap();
    for line in [
        r#"holdfast_drift_detected_total{class="security",kind="OAuthClient",mode="Enforce"} 1"#,
        r#"holdfast_drift_corrected_total{class="security",kind="OAuthClient",result="success"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

/// Walk two. S3, S4, S22, O1, O5
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_issued_verified_introspected_and_revoked() {
    let walk = Walk::begin().await;
    walk.apply_samples();
    let (id, secret) = (walk.secret("client_id"), walk.secret("client_secret"));
    let answer: Value = walk.server.token(&id, &secret).await.json().await.unwrap();
    assert_eq!((&answer["token_type"], &answer["scope"]), (&"Bearer".into(), &"invoices.read".into()));

    // as a resource server would: by nothing but the metadata
    let token = answer["access_token"].as_str().unwrap();
    let metadata = walk.server.get(&walk.server.public("/.well-known/oauth-authorization-server")).await;
    let metadata: Value = metadata.json().await.unwrap();
    let jwks = walk.server.get(metadata["jwks_uri"].as_str().unwrap()).await;
    let jwks: JwkSet = jwks.json().await.unwrap();
    let header = decode_header(token).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), Algorithm::ES256));
    let key = DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["https://billing.example.com/mcp"]);
    validation.set_issuer(&[metadata["issuer"].as_str().unwrap()]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = decode::<Value>(token, &key, &validation).unwrap().claims;
    assert_eq!((&claims["client_id"], &claims["sub"]), (&"portal".into(), &"portal".into()));

    let about = walk.server.introspect((&id, &secret), token).await;
    assert_eq!((&about["active"], &about["jti"]), (&true.into(), &claims["jti"]));
    let form = [("token", token)];
    let revocation = walk.server.client().post(walk.server.public("/oauth/revoke")).basic_auth(&id, Some(&secret));
    assert_eq!(revocation.form(&form).send().await.unwrap().status(), 200);
    assert_eq!(walk.server.introspect((&id, &secret), token).await, serde_json::json!({"active": false}));

    let line = walk.server.event("token_issued", |line| line["jti"] == claims["jti"]).await;
    assert_eq!((&line["grant_type"], &line["resource"]), (&"client_credentials".into(), &claims["aud"]));
    assert!(!walk.server.log().contains(token) && !walk.server.log().contains(&secret));
    let metrics = walk.server.get(&walk.server.admin("/metrics")).await.text().await.unwrap();
    assert!(metrics.contains("holdfast_tokens_issued_total{grant_type=\"client_credentials\"} 1"), "{metrics}");
}

/// Walk three: `kubectl apply` of a public client, a browser, a code, tokens, and their end. S1, S2, S4, S17
#[tokio::test(flavor = "multi_thread")]
async fn a_user_lets_an_application_in_and_takes_it_back() {
    let walk = Walk::begin().await;
    walk.apply_samples();
    walk.kubectl(&["apply", "--server-side", "--filename", "-"], &walk.sample("browserclient"));
    walk.kubectl(&["wait", "--for=condition=Ready", "--timeout=30s", "oauthclients/notebook"], "");
    let ada = walk.person("ada@example.com", "correct horse battery staple").await;

    // the application opens a browser at what the metadata says
    let metadata = walk.server.get(&walk.server.public("/.well-known/oauth-authorization-server")).await;
    let metadata: Value = metadata.json().await.unwrap();
    let issuer = metadata["issuer"].as_str().unwrap();
    let path = metadata["authorization_endpoint"].as_str().unwrap().strip_prefix(issuer).unwrap();
    let verifier = "a-verifier-of-forty-three-characters-or-more";
    let (challenge, back) = (URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)), "http://127.0.0.1:53682/callback");
    let query = [
        ("response_type", "code"),
        ("client_id", "notebook"),
        ("redirect_uri", back),
        ("resource", "https://billing.example.com/mcp"),
        ("state", "xyz"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let browser = Browser::at(&walk.server.public(""));
    let page = browser.open(&format!("{path}?{query}")).await;
    let page = browser.sign_in(&page, "ada@example.com", "correct horse battery staple").await;
    let text = page.text();
    assert!(text.contains("Notebook") && text.contains("Read invoices") && text.contains("127.0.0.1"), "{text}");
    assert!(!text.contains("Change invoices"), "the default role is reader");
    let answer = browser.decide(&page, "allow").await;
    assert!(answer.location().unwrap().starts_with(&format!("{back}?code=")), "{answer:?}");
    assert_eq!((answer.returned("state").as_deref(), answer.returned("iss").as_deref()), (Some("xyz"), Some(issuer)));

    // and redeems the code that comes back
    let code = answer.returned("code").unwrap();
    let form = [("grant_type", "authorization_code"), ("client_id", "notebook"), ("code", &code)];
    let (status, tokens) =
        walk.redeem(&[&form[..], &[("redirect_uri", back), ("code_verifier", verifier)]].concat()).await;
    assert_eq!((status, &tokens["scope"]), (200, &"invoices.read".into()), "{tokens}");
    let (id, secret) = (walk.secret("client_id"), walk.secret("client_secret"));
    let about = async |tokens: &Value| {
        walk.server.introspect((&id, &secret), tokens["access_token"].as_str().unwrap()).await["active"] == true
    };
    assert!(!about(&tokens).await, "another client's token is none of portal's business");
    let refresh = async |tokens: &Value| {
        let token = tokens["refresh_token"].as_str().unwrap();
        walk.redeem(&[("grant_type", "refresh_token"), ("client_id", "notebook"), ("refresh_token", token)]).await
    };
    let (status, fresh) = refresh(&tokens).await;
    assert_eq!((status, &fresh["scope"]), (200, &"invoices.read".into()), "{fresh}");

    // its user, or whoever runs the server, takes it back
    let list = walk.home.command(&["admin", "grant", "list-user-grants", "--user", &ada, "--json"]).output().unwrap();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!((&list[0]["client"], &list[0]["scopes"]), (&"notebook".into(), &"invoices.read".into()), "{list}");
    let consent = list[0]["id"].as_str().unwrap();
    let revoked = walk.home.command(&["admin", "grant", "revoke-consent", "--id", consent]).output().unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    let (status, ended) = refresh(&fresh).await;
    assert_eq!((status, &ended["error"]), (400, &"invalid_grant".into()), "{ended}");

    let line = walk.server.event("consent_decided", |line| line["client_id"] == "notebook").await;
    assert_eq!((&line["who"], &line["outcome"]), (&ada.as_str().into(), &"granted".into()));
    for secret in [code.as_str(), verifier, &challenge, tokens["refresh_token"].as_str().unwrap(), "correct horse"] {
        assert!(!walk.server.log().contains(secret), "{secret} is in the log");
    }
}

const KEYED: &str = "apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: NAME}
spec:
  clientID: NAME
  grantTypes: [client_credentials]
  authentication: {method: PrivateKeyJWT, KEYS}
  resources: [{name: billing, resourceServerRef: {name: billing-mcp}, scopes: [invoices.read]}]
";

/// Walk four: clients that sign, by keys in the resource and by keys elsewhere. S3, S22, CC-01, CC-02, K-01, K-07
#[allow(clippy::disallowed_methods)] // the real program has a real clock
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_signs_gets_its_token() {
    let elsewhere = Elsewhere::start().await;
    let walk = Walk::begin_with(|home| {
        let authority = home.path().join("ca.pem");
        std::fs::write(&authority, &elsewhere.authority).unwrap();
        home.set("HOLDFAST_OUTBOUND__CA_FILE", authority.to_str().unwrap());
        home.set("HOLDFAST_OUTBOUND__ALLOWED_PRIVATE", "[\"localhost\"]");
    })
    .await;
    walk.apply_samples();
    let (inline, remote, next) = (Key::new("inline"), Key::new("remote"), Key::new("next"));
    let keys = serde_json::json!({"keys": [inline.jwk()]}).to_string();
    elsewhere.put("/jwks", Page::json(&serde_json::json!({"keys": [remote.jwk()]}).to_string()));
    let uri = elsewhere.url("localhost", "/jwks");
    let signs = async |name: &str, key: &Key| {
        let (now, issuer) = (jiff::Timestamp::now().as_second(), format!("http://localhost:{}", walk.home.public));
        let jti = uuid::Uuid::new_v4();
        let claims =
            serde_json::json!({"iss": name, "sub": name, "aud": issuer, "exp": now + 60, "iat": now, "jti": jti});
        let assertion = key.assertion(&claims);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", TYPE),
            ("client_assertion", assertion.as_str()),
        ];
        walk.redeem(&form).await
    };
    let apply = |name: &str, keys: &str| {
        let object = KEYED.replace("NAME", name).replace("KEYS", keys);
        walk.kubectl(&["apply", "--server-side", "--filename", "-"], &object);
        walk.kubectl(&["wait", "--for=condition=Ready", "--timeout=30s", &format!("oauthclients/{name}")], "");
    };
    apply("inline", &format!("jwks: {keys}"));
    apply("remote", &format!("jwksURI: {uri:?}"));
    for (name, own, other) in [("inline", &inline, &remote), ("remote", &remote, &inline)] {
        let (status, issued) = signs(name, own).await;
        assert_eq!((status, &issued["scope"]), (200, &"invoices.read".into()), "{name}: {issued}");
        let (status, refused) = signs(name, other).await;
        assert_eq!((status, &refused["error"]), (401, &"invalid_client".into()), "{name}: {refused}");
    }
    // another key is applied, and the old one is nobody's
    apply("inline", &format!("jwks: {}", serde_json::json!({"keys": [next.jwk()]})));
    let began = Instant::now();
    while signs("inline", &next).await.0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", walk.server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(signs("inline", &inline).await.0, 401);
}

/// What a JWKS verifies.
fn verifies(jwks: &JwkSet, token: &str) -> bool {
    let header = decode_header(token).unwrap();
    let Some(key) = jwks.find(&header.kid.unwrap()) else { return false };
    let mut validation = Validation::new(header.alg);
    validation.validate_aud = false;
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).is_ok()
}

/// Walk five: two replicas on one PostgreSQL and one cluster. Whoever holds the Lease replaces the keys; the other
/// follows, and tokens of both keys verify at both. When the leader is killed, the other goes on without a pause.
/// S15, K11, Y-01, IV-6, OV-12
#[tokio::test(flavor = "multi_thread")]
async fn who_holds_the_lease_replaces_the_keys_and_the_other_follows() {
    let (walk, home, other, _) = Walk::of_two().await;
    walk.apply_samples();
    let (id, secret) = (walk.secret("client_id"), walk.secret("client_secret"));
    let began = Instant::now();
    let jwks = async |server: &Server| -> JwkSet {
        server.get(&server.public("/.well-known/jwks.json")).await.json().await.unwrap()
    };
    let both = [&walk.server, &other];
    let mut tokens = Vec::new();
    while other.token(&id, &secret).await.status() != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", other.log());
    }
    for server in both {
        tokens.push(server.access_token(&id, &secret).await);
    }
    let old = decode_header(&tokens[0]).unwrap().kid;
    let asked = home.command(&["admin", "key", "rotate"]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    for server in both {
        while decode_header(&server.access_token(&id, &secret).await).unwrap().kid == old {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokens.push(server.access_token(&id, &secret).await);
    }
    for server in both {
        let set = jwks(server).await;
        assert_eq!(set.keys.len(), 6);
        for token in &tokens {
            assert!(verifies(&set, token));
            assert_eq!(server.introspect((&id, &secret), token).await["active"], true);
        }
    }
    let led: Vec<bool> = both.iter().map(|server| !server.events("key_rotated").is_empty()).collect();
    assert_eq!(led.iter().filter(|led| **led).count(), 1, "one of them did it: {led:?}");
    let stood: Vec<bool> = both.iter().map(|server| !server.events("leading").is_empty()).collect();
    assert_eq!(led, stood, "whoever holds the Lease");
    let [leader, survivor] = if led[0] { both } else { [both[1], both[0]] };
    leader.signal("KILL");
    for token in &tokens {
        assert_eq!(survivor.introspect((&id, &secret), token).await["active"], true);
    }
    assert!(verifies(&jwks(survivor).await, &survivor.access_token(&id, &secret).await));
}

/// Walk six: a leader that is stopped in its tracks, as by a paused machine, and goes on when another leads. What it still
/// has to do is done by the other, and it writes nothing of it; both serve. K11
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_writes_nothing_when_it_goes_on() {
    let (walk, _home, other, database) = Walk::of_two().await;
    walk.apply_samples();
    let both = [&walk.server, &other];
    let led = both.iter().position(|server| !server.events("leading").is_empty()).unwrap();
    let (stopped, next) = (both[led], both[1 - led]);

    stopped.signal("STOP");
    let late = walk.sample("oauthclient").replace("portal", "late");
    walk.kubectl(&["apply", "--server-side", "--filename", "-"], &late);
    // as long as its Lease holds nobody else may act
    walk.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", "oauthclient/late"], "");
    assert_eq!(next.events("leading").len(), 1);
    let id = walk.path("oauthclient/late", "{.status.clientID}");
    let template = "--output=go-template={{index .data \"client_secret\" | base64decode}}";
    let secret = walk.kubectl(&["get", "secret", "late-oauth", template], "");
    next.access_token(&id, &secret).await;

    let written = async || {
        let mut connection = sqlx::PgConnection::connect(&database).await.unwrap();
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(sequence) FROM change").fetch_one(&mut connection).await.unwrap();
        let version = "{.metadata.resourceVersion}";
        (last, walk.path("oauthclient/late", version), walk.path("secret/late-oauth", version))
    };
    let before = written().await;
    stopped.signal("CONT");
    stopped.event("not_leading", |_| true).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(written().await, before, "{}", stopped.log());
    let holder = walk.path("lease/holdfast", "{.spec.holderIdentity}");
    assert_eq!(next.events("leading")[0]["identity"], holder.as_str());
    stopped.access_token(&id, &secret).await;
}
