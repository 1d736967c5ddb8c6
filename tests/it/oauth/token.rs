//! client_credentials: what comes out, and what does not.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use rstest::rstest;
use serde_json::{Value, json};

use super::harness::{BILLING, ISSUER, Server, now, server};

/// The claims of a token, verified with the key set that the server publishes.
pub async fn claims(server: &Server, token: &str, audience: &str) -> Value {
    let header = decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let set: JwkSet = serde_json::from_str(&server.get("/.well-known/jwks.json").await.text).unwrap();
    let jwk = set.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false; // the test's clock is not the wall's
    decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap().claims
}

/// D-01, D-02, B-10, CC-05, B-16
#[rstest]
#[case::es256("https://billing.example.com/mcp", "ES256", 900)]
#[case::eddsa("https://eddsa.example.com", "EdDSA", 900)]
#[case::rs256("https://rsa.example.com/mcp", "RS256", 60)]
#[tokio::test]
async fn a_token_is_what_rfc_9068_says(#[case] resource: &str, #[case] algorithm: &str, #[case] lifetime: i64) {
    let server = server().await;
    let form = [("grant_type", "client_credentials"), ("resource", resource)];
    let answer = server.post_as("multi", "/oauth/token", &form).await;
    let body = answer.json();
    let token = body["access_token"].as_str().unwrap();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"], "no refresh token, no ID token");
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(lifetime)));
    assert_eq!(body["scope"], "invoices.read invoices.write", "what is attached and in the catalogue");
    assert_eq!(format!("{:?}", decode_header(token).unwrap().alg), algorithm);
    let claims = claims(&server, token, resource).await;
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names, ["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"]);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("multi"), &json!("multi")));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!(resource)));
    assert_eq!(claims["iat"], now().as_second());
    assert_eq!(claims["exp"], now().as_second() + lifetime);
    assert_eq!(uuid::Uuid::parse_str(claims["jti"].as_str().unwrap()).unwrap().get_version_num(), 7);
}

/// An opaque token says nothing and is a different one each time.
#[tokio::test]
async fn an_opaque_token_is_random_text() {
    let server = server().await;
    let resource = "https://opaque.example.com/mcp";
    let (one, two) = (server.token("multi", resource).await, server.token("multi", resource).await);
    assert!(one.len() == 48 && one.starts_with("hfat_") && one != two, "{one}");
    let seen = server.introspect("multi", &one).await;
    assert_eq!((&seen["active"], &seen["aud"]), (&json!(true), &json!(resource)));
    assert_eq!(server.introspect("multi", &one.replace("hfat_", "")).await, json!({"active": false}));
}

struct Row(&'static str, &'static str, &'static str, u16, &'static str);

const ASK: &str = "grant_type=client_credentials";
const ROWS: &[Row] = &[
    Row("the only resource", "reporter", "", 200, "invoices.read invoices.write"),
    Row("its resource", "reporter", "&resource=https://billing.example.com/mcp", 200, "invoices.read invoices.write"),
    Row("one scope", "reporter", "&scope=invoices.read", 200, "invoices.read"),
    Row("a scope twice over", "reporter", "&scope=invoices.read++invoices.read", 200, "invoices.read"),
    Row("an empty scope is none", "reporter", "&scope=", 200, "invoices.read invoices.write"),
    Row("a scope above the ceiling", "reporter", "&scope=invoices.void", 400, "invalid_scope"),
    Row("a scope that left the catalogue", "reporter", "&scope=invoices.gone", 400, "invalid_scope"),
    Row("an unknown scope", "reporter", "&scope=%2A", 400, "invalid_scope"),
    Row("partly above the ceiling", "reporter", "&scope=invoices.read+invoices.void", 200, "invoices.read"),
    Row("the slash at the end", "multi", "&resource=https://eddsa.example.com/", 200, "invoices.read invoices.write"),
    Row("several and none named", "multi", "", 400, "invalid_target"),
    Row(
        "two at once",
        "multi",
        "&resource=https://billing.example.com/mcp&resource=https://eddsa.example.com",
        400,
        "invalid_target",
    ),
    Row("unknown", "multi", "&resource=https://unknown.example.com", 400, "invalid_target"),
    Row("another path", "multi", "&resource=https://billing.example.com/mcp/", 400, "invalid_target"),
    Row("a fragment", "multi", "&resource=https://billing.example.com/mcp%23x", 400, "invalid_target"),
    Row("not a URL", "multi", "&resource=billing", 400, "invalid_target"),
    Row("a draft", "multi", "&resource=https://draft.example.com/mcp", 400, "invalid_target"),
    Row("not attached", "reporter", "&resource=https://eddsa.example.com", 400, "invalid_target"),
    Row("nothing attached", "gateway", "", 400, "invalid_target"),
    Row("bound tokens only", "multi", "&resource=https://dpop.example.com/mcp", 400, "invalid_dpop_proof"),
    Row("suspended", "suspended", "", 400, "unauthorized_client"),
    Row("another grant", "browser", "", 400, "unauthorized_client"),
];

/// D-01, M-14, M-15, B-08, B-09, B-16, R-22, R-23: a refusal has its code, and leaves nothing behind.
#[tokio::test]
async fn what_is_asked_for_is_given_or_refused() {
    let server = server().await;
    for Row(name, id, extra, status, expected) in ROWS {
        let before = server.tokens().await;
        let authorization = basic(id);
        let answer = server.post("/oauth/token", Some(&authorization), &format!("{ASK}{extra}")).await;
        let told = if *status == 200 { answer.json()["scope"].as_str().unwrap().to_owned() } else { answer.error() };
        assert_eq!((answer.status, told.as_str()), (*status, *expected), "{name}: {answer:?}");
        assert_eq!(server.tokens().await - before, i64::from(*status == 200), "{name}");
        let text = answer.json()["error_description"].as_str().unwrap_or("plain").to_owned();
        assert!(text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'), "{name}: {text}");
        assert!(!answer.text.contains("unknown.example.com"), "{name}: nothing of the request is repeated");
    }
}

fn basic(id: &str) -> String {
    use base64::Engine;
    let text = format!("{id}:{}", super::harness::secret(id));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// B-09
#[rstest]
#[case("password")]
#[case("urn:ietf:params:oauth:grant-type:jwt-bearer")]
#[case("implicit")]
#[case("Client_Credentials")]
#[tokio::test]
async fn a_grant_that_is_not_there_is_unsupported(#[case] grant: &str) {
    let server = server().await;
    let answer = server.post_as("reporter", "/oauth/token", &[("grant_type", grant)]).await;
    assert_eq!((answer.status, answer.error().as_str()), (400, "unsupported_grant_type"));
    assert!(server.metric("holdfast_token_requests_total{grant_type=\"unknown\",outcome=\"invalid\"} 1"));
}

/// Every request is counted once, by grant and by how it ended.
#[tokio::test]
async fn requests_are_counted() {
    let server = server().await;
    server.token("reporter", BILLING).await;
    server.post_as("reporter", "/oauth/token", &[("grant_type", "client_credentials"), ("scope", "x")]).await;
    server.post("/oauth/token", None, "grant_type=client_credentials").await;
    for line in [
        "holdfast_tokens_issued_total{grant_type=\"client_credentials\"} 1",
        "holdfast_client_credentials_issued_total 1",
        "holdfast_token_requests_total{grant_type=\"client_credentials\",outcome=\"success\"} 1",
        "holdfast_token_requests_total{grant_type=\"client_credentials\",outcome=\"denied\"} 2",
        "holdfast_client_credentials_denied_total{reason=\"invalid_scope\"} 1",
        "holdfast_auth_denied_total{reason=\"invalid_client\"} 1",
        "holdfast_http_requests_total{method=\"POST\",route=\"/oauth/token\",status=\"200\"} 1",
        "holdfast_http_requests_total{method=\"POST\",route=\"/oauth/token\",status=\"401\"} 1",
        "holdfast_token_issuance_duration_seconds_count{grant_type=\"client_credentials\",outcome=\"success\"} 1",
    ] {
        assert!(server.metric(line), "{line}");
    }
}

/// pages of other origins may ask for tokens, without cookies.
#[tokio::test]
async fn other_origins_may_call_the_token_endpoint_and_not_introspection() {
    let server = server().await;
    let preflight = |path: &str| {
        let request = server.http.request(reqwest::Method::OPTIONS, format!("{}{path}", server.public));
        request.header("origin", "https://app.example").header("access-control-request-method", "POST")
    };
    for path in ["/oauth/token", "/oauth/revoke"] {
        let answer = super::harness::answer(preflight(path)).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"), "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    for path in ["/oauth/introspect", "/oauth/authorize"] {
        assert_eq!(super::harness::answer(preflight(path)).await.header("access-control-allow-origin"), "", "{path}");
    }
}
