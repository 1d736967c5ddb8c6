//! DPoP at the token endpoint (RFC 9449).

use futures::future::join_all;
use holdfast::domain::audit::AuditKind;
use holdfast::oauth::Authorized;
use rstest::rstest;
use serde_json::{Value, json};

use super::harness::{Answer, Server, Setup, client, credential, now, resource_server, secret, server};
use super::person::{CALLBACK, VERIFIER, authorized};
use super::prover::{Prover, text, token_with};
use crate::support::postgres;

const BOUND: &str = "https://dpop.example.com/mcp";
const OPTIONAL: &str = "https://optional.example.com/mcp";
const FREE: &str = "https://billing.example.com/mcp";

/// A client at a resource that demands bound tokens, one that takes them, and one that does not know them.
async fn world(server: &Server) {
    let optional = resource_server(OPTIONAL, json!({"accessToken": {"senderConstraint": "DPoPOptional"}}));
    let attached = |id: &str| json!({"name": id, "resourceServerID": id, "scopes": ["invoices.read"]});
    let resources = json!(["rs_dpop", "rs_optional", "rs_billing"].map(attached));
    let change = json!({"resources": resources});
    let mut demanding = change.clone();
    demanding["tokens"] = json!({"senderConstraint": "DPoPRequired"});
    let mut tx = server.store.write(&holdfast::domain::Actor::controller()).await.unwrap();
    tx.put("rs_optional", &optional, None, now()).await.unwrap();
    for (id, change) in [("robot", change), ("demanding", demanding)] {
        tx.put(id, &client(change), None, now()).await.unwrap();
        tx.put_credential(id, &credential(&format!("cred-{id}"), &secret(id))).await.unwrap();
    }
    tx.commit().await.unwrap();
    server.store.refresh().await.unwrap();
}

async fn ask(server: &Server, resource: &str, proofs: &[&str]) -> Answer {
    let form = [("grant_type", "client_credentials"), ("resource", resource)];
    token_with(server, "robot", &form, proofs).await
}

fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// P-10, P-13, E-03: who proves a key gets a token bound to it where client or resource want that, and only there.
#[tokio::test]
async fn a_token_is_bound_to_the_key_that_was_proved() {
    let server = server().await;
    world(&server).await;
    let key = Prover::new();
    for (resource, client, kind) in
        [(BOUND, "robot", "DPoP"), (OPTIONAL, "robot", "DPoP"), (FREE, "robot", "Bearer"), (FREE, "demanding", "DPoP")]
    {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        let answer = token_with(&server, client, &form, &[&key.proof(&server, json!({}))]).await;
        assert_eq!((answer.status, &answer.json()["token_type"]), (200, &json!(kind)), "{resource} {answer:?}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let bound = if kind == "DPoP" { json!({"jkt": key.jkt()}) } else { Value::Null };
        assert_eq!(claims(&token)["cnf"], bound, "{resource}");
        let seen = server.introspect(client, &token).await;
        assert_eq!((&seen["cnf"], &seen["token_type"]), (&bound, &json!(kind)), "{resource}");
    }
    assert!(server.metric("holdfast_dpop_proofs_validated_total 4"));
    for (resource, client, status) in
        [(BOUND, "robot", 400), (OPTIONAL, "robot", 200), (FREE, "robot", 200), (FREE, "demanding", 400)]
    {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        let answer = token_with(&server, client, &form, &[]).await;
        assert_eq!(answer.status, status, "{resource} {answer:?}");
        match status {
            200 => assert_eq!(answer.json()["token_type"], "Bearer"),
            _ => assert_eq!(answer.error(), "invalid_dpop_proof"),
        }
    }
}

struct Row(&'static str, Value, Value, u16, &'static str);

fn rows(key: &Prover) -> Vec<Row> {
    let iat = now().as_second();
    let header = |name: &str, value: Value| {
        let mut header = key.header();
        match value {
            Value::Null => drop(header.as_object_mut().unwrap().remove(name)),
            value => header[name] = value,
        }
        header
    };
    let jwk = |name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        header("jwk", jwk)
    };
    let claim = |name: &str, value: Value| (key.header(), json!({name: value}));
    let good = |name, (header, claims): (Value, Value)| Row(name, header, claims, 200, "");
    let bad = |name, (header, claims): (Value, Value), reason| Row(name, header, claims, 400, reason);
    let head = |header: Value| (header, json!({}));
    vec![
        good("as it is", head(key.header())),
        good("typ in capitals", head(header("typ", json!("DPOP+JWT")))),
        good("host in capitals", claim("htu", json!("HTTPS://AUTH.EXAMPLE.COM/oauth/token"))),
        good("the default port", claim("htu", json!("https://auth.example.com:443/oauth/token?a=b#c"))),
        good("ten seconds old", claim("iat", json!(iat - 10))),
        good("ten seconds ahead", claim("iat", json!(iat + 10))),
        good("a whole minute old", claim("iat", json!(iat - 60))),
        good("exp and nbf", (key.header(), json!({"exp": iat + 5, "nbf": iat - 5}))),
        good("a digest that is for resource servers", claim("content_digest", json!("x"))),
        bad("an hour old", claim("iat", json!(iat - 3600)), "time"),
        bad("an hour ahead", claim("iat", json!(iat + 3600)), "time"),
        bad("a minute and a second old", claim("iat", json!(iat - 61)), "time"),
        bad("expired", claim("exp", json!(iat - 120)), "time"),
        bad("not yet", claim("nbf", json!(iat + 120)), "time"),
        bad("no iat", claim("iat", Value::Null), "malformed"),
        bad("iat is text", claim("iat", json!(iat.to_string())), "malformed"),
        bad("iat is a fraction", claim("iat", json!(iat as f64 + 0.5)), "malformed"),
        bad("exp is text", claim("exp", json!("9999999999")), "malformed"),
        bad("no jti", claim("jti", Value::Null), "malformed"),
        bad("an empty jti", claim("jti", json!("")), "malformed"),
        bad("a jti that is a number", claim("jti", json!(1)), "malformed"),
        bad("a long jti", claim("jti", json!("j".repeat(513))), "malformed"),
        bad("no htm", claim("htm", Value::Null), "malformed"),
        bad("no htu", claim("htu", Value::Null), "malformed"),
        bad("another method", claim("htm", json!("GET")), "method"),
        bad("the method in small letters", claim("htm", json!("post")), "method"),
        bad("another path", claim("htu", json!("https://auth.example.com/oauth/par")), "target"),
        bad("another host", claim("htu", json!("https://evil.example.com/oauth/token")), "target"),
        bad("no encryption", claim("htu", json!("http://auth.example.com/oauth/token")), "target"),
        bad("a slash more", claim("htu", json!("https://auth.example.com/oauth/token/")), "target"),
        bad("a relative URL", claim("htu", json!("/oauth/token")), "target"),
        bad("no typ", head(header("typ", Value::Null)), "malformed"),
        bad("typ JWT", head(header("typ", json!("JWT"))), "malformed"),
        bad("typ at+jwt", head(header("typ", json!("at+jwt"))), "malformed"),
        bad("alg none", head(header("alg", json!("none"))), "algorithm"),
        bad("alg HS256", head(header("alg", json!("HS256"))), "algorithm"),
        bad("alg ES384", head(header("alg", json!("ES384"))), "algorithm"),
        bad("alg of another key", head(header("alg", json!("RS256"))), "algorithm"),
        bad("crit", head(header("crit", json!(["jti"]))), "malformed"),
        bad("no key", head(header("jwk", Value::Null)), "key"),
        bad("a kid in its place", (json!({"typ": "dpop+jwt", "alg": "ES256", "kid": "a"}), json!({})), "key"),
        bad("the private key", head(jwk("d", json!(text([1; 32])))), "key"),
        bad("a symmetric key", head(header("jwk", json!({"kty": "oct", "k": "AAAA"}))), "key"),
        bad("a key for encryption", head(jwk("use", json!("enc"))), "key"),
        bad("half a key", head(jwk("y", json!("AAAA"))), "key"),
        bad("another's key", head(header("jwk", Prover::new().jwk())), "signature"),
    ]
}

/// P-01 to P-06, R-53: each fault is refused with nothing issued, and counted by its reason.
#[tokio::test]
async fn a_proof_that_does_not_hold_gets_nothing() {
    let server = server().await;
    world(&server).await;
    let key = Prover::new();
    let mut rejected = std::collections::BTreeMap::<&str, u32>::new();
    for Row(name, header, change, status, reason) in rows(&key) {
        let before = server.tokens().await;
        let proof = key.sign(&header, &Prover::claims(&server, &change).to_string());
        let answer = ask(&server, BOUND, &[&proof]).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert_eq!(server.tokens().await - before, i64::from(status == 200), "{name}");
        if status == 400 {
            assert_eq!((answer.error().as_str(), answer.header("cache-control")), ("invalid_dpop_proof", "no-store"));
            *rejected.entry(reason).or_default() += 1;
            let line = format!("holdfast_dpop_proofs_rejected_total{{reason=\"{reason}\"}} {}", rejected[reason]);
            assert!(server.metric(&line), "{name}: {line}");
        }
    }
    let whole = key.proof(&server, json!({}));
    let (head, _) = whole.rsplit_once('.').unwrap();
    let other = Prover::new().proof(&server, json!({}));
    let doubled = key.sign(&key.header(), r#"{"jti":"a","jti":"b","htm":"POST"}"#);
    let long = key.proof(&server, json!({"x": "x".repeat(16 * 1024)}));
    for proofs in [
        &[whole.as_str(), &other][..],
        &[&whole, &whole],
        &[""],
        &["x"],
        &[head],
        &[&format!("{head}.{}", text([0; 64]))],
        &[&format!("{whole}=")],
        &[&doubled],
        &[&long],
        &[&format!("{whole}, {other}")],
    ] {
        let answer = ask(&server, OPTIONAL, proofs).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_dpop_proof"), "{proofs:?}");
    }
    assert_eq!(ask(&server, OPTIONAL, &[&whole]).await.status, 200, "after all that it was not used up");
}

/// P-07: once for a key and an endpoint, also after a refusal that came later.
#[tokio::test]
async fn a_proof_is_used_once() {
    let server = server().await;
    world(&server).await;
    let (key, other) = (Prover::new(), Prover::new());
    let proof = key.proof(&server, json!({"jti": "one"}));
    assert_eq!(ask(&server, BOUND, &[&proof]).await.status, 200);
    for resource in [BOUND, OPTIONAL, FREE] {
        let answer = ask(&server, resource, &[&proof]).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_dpop_proof"), "{resource}");
    }
    let again = key.proof(&server, json!({"jti": "one", "x": 1}));
    assert_eq!(ask(&server, BOUND, &[&again]).await.error(), "invalid_dpop_proof", "another text, the same id");
    assert!(server.metric("holdfast_dpop_proofs_rejected_total{reason=\"replayed\"} 4"));
    let mut tx = server.store.read().await.unwrap();
    let recorded = tx.audit_events(Some(AuditKind::DpopReplay), 9).await.unwrap();
    assert_eq!((recorded.len(), recorded[0].client_id.as_deref()), (4, Some("robot")));
    drop(tx);
    let others = other.proof(&server, json!({"jti": "one"}));
    assert_eq!(ask(&server, BOUND, &[&others]).await.status, 200, "of another key");
    let refused = key.proof(&server, json!({}));
    assert_eq!(ask(&server, "https://unknown.example.com", &[&refused]).await.error(), "invalid_target");
    assert_eq!(ask(&server, BOUND, &[&refused]).await.status, 200, "what was refused for the target used nothing up");
}

/// IV-1, R-54, D-03: fifty requests with one proof at two servers on one database, one token.
#[tokio::test]
async fn of_fifty_requests_with_one_proof_one_is_answered() {
    let url = postgres::fresh().await.url;
    let one = Setup { url: Some(url.clone()), ..Setup::default() }.start().await;
    world(&one).await;
    let two = Setup { url: Some(url), ..Setup::default() }.start().await;
    let proof = Prover::new().proof(&one, json!({}));
    let shown = [proof.as_str()];
    let requests = (0..50).map(|n| ask(if n % 2 == 0 { &one } else { &two }, BOUND, &shown));
    let answers = join_all(requests).await;
    let issued = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(issued, 1, "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.error() == "invalid_dpop_proof"));
}

/// P-08, P-15, RC-10: one more round trip, on whichever replica, and nothing was used up by the first.
#[tokio::test]
async fn a_nonce_is_asked_for_and_good_on_every_replica() {
    let url = postgres::fresh().await.url;
    let one = Setup { url: Some(url.clone()), nonce_required: true, ..Setup::default() }.start().await;
    world(&one).await;
    let two = Setup { url: Some(url), nonce_required: true, ..Setup::default() }.start().await;
    let key = Prover::new();
    let proof = |change: Value| key.proof(&one, change);
    let first = ask(&one, BOUND, &[&proof(json!({"jti": "a"}))]).await;
    assert_eq!((first.status, first.error().as_str()), (400, "use_dpop_nonce"), "{first:?}");
    assert_eq!((first.header("cache-control"), first.header("www-authenticate")), ("no-store", ""));
    let nonce = first.header("dpop-nonce").to_owned();
    let second = ask(&two, BOUND, &[&proof(json!({"jti": "a", "nonce": nonce}))]).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert!(!second.header("dpop-nonce").is_empty(), "the next one comes before the last one is over");
    assert!(one.metrics.render().unwrap().contains("holdfast_dpop_proofs_rejected_total{reason=\"time\"} 0"));
    for wrong in ["", "hfdn_x", &nonce[..nonce.len() - 1], &format!("{nonce}A")] {
        let answer = ask(&two, BOUND, &[&proof(json!({"nonce": wrong}))]).await;
        assert_eq!(answer.error(), "use_dpop_nonce", "{wrong}");
    }
    one.clock.advance(200);
    assert_eq!(ask(&one, BOUND, &[&proof(json!({"nonce": nonce}))]).await.status, 200, "two epochs later");
    one.clock.advance(101);
    assert_eq!(ask(&one, BOUND, &[&proof(json!({"nonce": nonce}))]).await.error(), "use_dpop_nonce");
    assert_eq!(ask(&one, OPTIONAL, &[]).await.status, 200, "who proves nothing needs no nonce");
    let exposed = one.http.post(format!("{}/oauth/token", one.public)).header("origin", "https://app.example");
    let exposed = super::harness::answer(exposed.form(&[("grant_type", "x")])).await;
    let exposed = exposed.header("access-control-expose-headers").to_lowercase();
    assert!(exposed.contains("dpop-nonce") && exposed.contains("www-authenticate"), "{exposed}");
}

/// P-05, G-01: what the request says of its own host counts for nothing.
#[rstest]
#[case("host", "evil.example.com")]
#[case("x-forwarded-host", "evil.example.com")]
#[case("forwarded", "host=evil.example.com;proto=http")]
#[tokio::test]
async fn the_target_is_known_from_configuration(#[case] name: &str, #[case] value: &str) {
    let server = server().await;
    world(&server).await;
    let key = Prover::new();
    for (host, status) in [("auth.example.com", 200), ("evil.example.com", 400)] {
        let proof = key.proof(&server, json!({"htu": format!("https://{host}/oauth/token")}));
        let request = server.http.post(format!("{}/oauth/token", server.public)).header(name, value);
        let request = request.basic_auth("robot", Some(secret("robot"))).header("dpop", proof);
        let form = [("grant_type", "client_credentials"), ("resource", BOUND)];
        assert_eq!(super::harness::answer(request.form(&form)).await.status, status, "{host}");
    }
}

/// P-11, P-12, P-15, C-08, R-21, R-56: a code is bound to the key that it was asked for with, and nothing that fails before
/// it is redeemed uses it up; the refresh tokens of a public client stay with the key.
#[tokio::test]
async fn a_code_and_what_comes_of_it_stay_with_the_key() {
    let server = Setup { nonce_required: true, ..Setup::default() }.start().await;
    let billing = resource_server(FREE, json!({"accessToken": {"senderConstraint": "DPoPOptional"}}));
    server.put("rs_billing", &billing).await;
    server.store.refresh().await.unwrap();
    let (key, other) = (Prover::new(), Prover::new());
    let nonce = server.server.dpop_nonce().unwrap();
    let authorized = Authorized { dpop_jkt: Some(key.jkt()), ..authorized("app") };
    let code = server.server.issue_code(&authorized).await.unwrap().expose().to_owned();
    let post = |form: Vec<(&'static str, String)>, proof: Option<String>| {
        let request = server.http.post(format!("{}/oauth/token", server.public));
        let request = proof.into_iter().fold(request, |request, proof| request.header("dpop", proof));
        super::harness::answer(request.form(&form))
    };
    let redeem = || {
        let fields =
            [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER), ("client_id", "app")];
        fields.map(|(name, value)| (name, value.to_owned())).to_vec()
    };
    let with = |key: &Prover| key.proof(&server, json!({"nonce": nonce}));
    for (proof, error) in [
        (None, "invalid_dpop_proof"),
        (Some(key.proof(&server, json!({}))), "use_dpop_nonce"),
        (Some(with(&other)), "invalid_grant"),
        (Some(key.proof(&server, json!({"nonce": nonce, "htm": "GET"}))), "invalid_dpop_proof"),
    ] {
        assert_eq!(post(redeem(), proof.clone()).await.error(), error, "{proof:?}");
    }
    let issued = post(redeem(), Some(with(&key))).await;
    assert_eq!((issued.status, &issued.json()["token_type"]), (200, &json!("DPoP")), "{issued:?}");
    for proof in [None, Some(with(&other))] {
        let again = post(redeem(), proof).await;
        assert_eq!(
            again.error(),
            "invalid_grant",
            "R-21: who has the code and the verifier, and not the key, ends nothing"
        );
    }
    let refresh = |token: &Value| {
        let token = token["refresh_token"].as_str().unwrap().to_owned();
        vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token), ("client_id", "app".to_owned())]
    };
    let first = refresh(&issued.json());
    for (proof, error) in [
        (None, "invalid_dpop_proof"),
        (Some(key.proof(&server, json!({}))), "use_dpop_nonce"),
        (Some(with(&other)), "invalid_grant"),
    ] {
        assert_eq!(post(first.clone(), proof).await.error(), error);
    }
    let second = post(first.clone(), Some(with(&key))).await;
    assert_eq!((second.status, &second.json()["token_type"]), (200, &json!("DPoP")), "{second:?}");
    let again = post(first.clone(), Some(with(&key))).await;
    assert_eq!(again.json()["refresh_token"], second.json()["refresh_token"], "C-02: the same successor, for the key");
    server.clock.advance(60);
    let nonce = server.server.dpop_nonce().unwrap();
    let thief = post(first.clone(), Some(other.proof(&server, json!({"nonce": nonce})))).await;
    assert_eq!(thief.error(), "invalid_grant");
    let alive = post(refresh(&second.json()), Some(key.proof(&server, json!({"nonce": nonce})))).await;
    assert_eq!(alive.status, 200, "who lacks the key ends nothing: {alive:?}");
}

/// P-11: the key that pushes a request is the one of `dpop_jkt`, if that is said, and its proof is used up.
#[tokio::test]
async fn a_pushed_request_is_bound_to_the_key_that_pushed_it() {
    let server = server().await;
    let (key, other) = (Prover::new(), Prover::new());
    let push = |jkt: Option<String>, proof: String| {
        let challenge = text([7; 32]);
        let mut form = vec![
            ("client_id", "app".to_owned()),
            ("response_type", "code".to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256".to_owned()),
        ];
        form.extend(jkt.map(|jkt| ("dpop_jkt", jkt)));
        super::harness::answer(
            server.http.post(format!("{}/oauth/par", server.public)).header("dpop", proof).form(&form),
        )
    };
    let at = |key: &Prover, path: &str| key.proof(&server, json!({"htu": format!("https://auth.example.com{path}")}));
    let proof = at(&key, "/oauth/par");
    let pushed = push(Some(key.jkt()), proof.clone()).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    assert_eq!(push(None, proof).await.error(), "invalid_dpop_proof", "twice");
    assert_eq!(server.audited(AuditKind::DpopReplay).await, 1);
    assert_eq!(push(Some(other.jkt()), at(&key, "/oauth/par")).await.error(), "invalid_request");
    assert_eq!(push(None, at(&key, "/oauth/token")).await.error(), "invalid_dpop_proof");
    assert_eq!(push(None, at(&key, "/oauth/par")).await.status, 201);
    assert!(server.metric("holdfast_dpop_proofs_validated_total 2"));
    assert_eq!(server.audited(AuditKind::DpopReplay).await, 1);
}
