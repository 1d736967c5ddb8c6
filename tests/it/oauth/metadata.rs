//! The documents that clients start from, and whether they tell the truth.

use rstest::rstest;
use serde_json::json;

use super::harness::{BILLING, ISSUER, Setup, answer, resource_server, secret, server};
use super::person::CALLBACK;
use crate::support::browser::Browser;

/// M-02, M-04, G-02, G-03, finding 12
#[rstest]
#[case::root(ISSUER, &["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/"])]
#[case::path(
    "https://h.example/t1",
    &["/.well-known/oauth-authorization-server/t1", "/.well-known/openid-configuration/t1", "/t1/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/t1/"]
)]
#[tokio::test]
async fn every_form_is_the_same_document(#[case] issuer: &str, #[case] forms: &[&str]) {
    let server = Setup { issuer: issuer.to_owned(), ..Setup::default() }.start().await;
    let first = server.get(forms[0]).await;
    let document = first.json();
    assert_eq!(document["issuer"], issuer);
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    for member in
        ["jwks_uri", "subject_types_supported", "id_token_signing_alg_values_supported", "authorization_endpoint"]
    {
        assert!(!document[member].is_null(), "{member}");
    }
    assert!(!first.text.contains("null"));
    for form in forms {
        let answer = server.get(form).await;
        assert_eq!((answer.status, &answer.text), (200, &first.text), "{form}");
        assert_eq!(
            (answer.header("content-type"), answer.header("access-control-allow-origin")),
            ("application/json", "*")
        );
        assert!(answer.header("cache-control").contains("max-age"));
    }
    assert_eq!(server.get("/.well-known/oauth-authorization-server/unknown").await.status, 404, "M-03");
    assert_eq!(server.get("/unknown/.well-known/openid-configuration").await.status, 404, "M-03");
    let head = answer(server.http.head(format!("{}{}", server.public, forms[0]))).await;
    assert_eq!((head.status, head.text.as_str(), head.header("etag")), (200, "", first.header("etag")));
    for tag in [first.header("etag"), "\"x\", *", &format!("W/{}", first.header("etag"))] {
        let request = server.http.get(format!("{}{}", server.public, forms[0])).header("if-none-match", tag);
        let unchanged = answer(request).await;
        assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""), "{tag}");
    }
}

/// M-19: what is advertised is there, what is not is refused.
#[tokio::test]
async fn the_metadata_tells_the_truth() {
    let server = server().await;
    let document = server.get("/.well-known/oauth-authorization-server").await.json();
    let place = |member: &str| document[member].as_str().unwrap().strip_prefix(ISSUER).unwrap().to_owned();
    let has = |member: &str, value: &str| document[member].as_array().unwrap().contains(&json!(value));
    assert_eq!(server.get(&place("jwks_uri")).await.status, 200);
    for (grant, code, supported) in [
        ("client_credentials", "", true),
        ("authorization_code", "invalid_request", true),
        ("refresh_token", "invalid_request", true),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", "unsupported_grant_type", false),
        ("password", "unsupported_grant_type", false),
    ] {
        let client = if grant == "client_credentials" { "reporter" } else { "portal" };
        let got = server.post_as(client, &place("token_endpoint"), &[("grant_type", grant)]).await;
        assert_eq!((got.error().as_str(), has("grant_types_supported", grant)), (code, supported), "{grant}");
    }
    for (grant, code) in [
        ("urn:ietf:params:oauth:grant-type:device_code", "invalid_request"),
        ("urn:ietf:params:oauth:grant-type:token-exchange", "invalid_request"),
    ] {
        let got = server.post_as("reporter", &place("token_endpoint"), &[("grant_type", grant)]).await;
        assert_eq!((got.error().as_str(), has("grant_types_supported", grant)), (code, true), "{grant}");
    }
    let device = server.post_as("reporter", &place("device_authorization_endpoint"), &[]).await;
    assert_eq!(device.error(), "unauthorized_client");
    for algorithm in ["ES256", "EdDSA", "PS256", "RS256"] {
        assert!(has("dpop_signing_alg_values_supported", algorithm), "{algorithm}");
    }
    for endpoint in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
        let member = format!("{}_auth_methods_supported", endpoint);
        let by_basic = server.post_as("reporter", &place(endpoint), &[]).await;
        assert_eq!((by_basic.error().as_str(), has(&member, "client_secret_basic")), ("invalid_request", true));
        let body = format!("client_id=poster&client_secret={}", secret("poster"));
        let by_post = server.post(&place(endpoint), None, &body).await;
        assert_eq!((by_post.error().as_str(), has(&member, "client_secret_post")), ("invalid_request", true));
        let assertion = server.post(&place(endpoint), None, "client_id=keyed&client_assertion=x").await;
        assert_eq!((assertion.error().as_str(), has(&member, "private_key_jwt")), ("invalid_client", true));
    }
    let browser = Browser::at(&server.public);
    for (kind, supported) in [("code", true), ("token", false), ("id_token", false), ("none", false)] {
        let query = format!("response_type={kind}&client_id=app&redirect_uri={CALLBACK}");
        let page = browser.fetch(&format!("{}?{query}", place("authorization_endpoint"))).await;
        let refused = page.returned("error").as_deref() == Some("unsupported_response_type");
        assert_eq!((has("response_types_supported", kind), refused), (supported, !supported), "{kind}");
    }
    let pushed = server.post(&place("pushed_authorization_request_endpoint"), None, "client_id=app").await;
    assert_eq!((pushed.status, pushed.error().as_str()), (400, "invalid_request"));
    let object = server.post(&place("pushed_authorization_request_endpoint"), None, "client_id=app&request=x").await;
    assert_eq!(
        (object.error().as_str(), &document["request_parameter_supported"]),
        ("request_not_supported", &json!(false))
    );
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    assert_eq!(server.post(&place("registration_endpoint"), None, "").await.error(), "invalid_client_metadata");
}

/// Y-02
#[tokio::test]
async fn the_key_set_has_public_members_only() {
    let server = server().await;
    let got = server.get("/.well-known/jwks.json").await;
    let set = got.json();
    let keys = set["keys"].as_array().unwrap();
    let mut algorithms: Vec<&str> = keys.iter().map(|key| key["alg"].as_str().unwrap()).collect();
    algorithms.sort_unstable();
    assert_eq!(algorithms, ["ES256", "EdDSA", "RS256"]);
    for key in keys {
        assert_eq!(key["use"], "sig");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(key.get(private).is_none(), "{private}");
        }
    }
    assert!(got.header("cache-control").contains("max-age") && !got.header("etag").is_empty());
}

/// G-01, R-59: nothing that a request says of hosts and schemes comes back.
#[tokio::test]
async fn spoofed_hosts_change_nothing() {
    let server = server().await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/billing/billing"] {
        let plain = server.get(path).await;
        let request = server.http.get(format!("{}{path}", server.public));
        let spoofed = answer(
            request
                .header("host", "evil.example")
                .header("x-forwarded-host", "evil.example")
                .header("x-forwarded-proto", "gopher")
                .header("forwarded", "host=evil.example;proto=http"),
        );
        assert_eq!(spoofed.await.text, plain.text);
    }
}

/// G-04, mechanics §17
#[tokio::test]
async fn a_live_resource_has_metadata_at_both_places() {
    let server = server().await;
    let by_name = server.get("/.well-known/oauth-protected-resource/billing/billing").await;
    assert_eq!(
        by_name.json(),
        json!({
            "resource": BILLING,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["invoices.read", "invoices.void", "invoices.write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Billing MCP",
        })
    );
    let on_host = |host: &str, rest: &str| {
        let url = format!("{}/.well-known/oauth-protected-resource{rest}", server.public);
        answer(server.http.get(url).header("host", host.to_owned()))
    };
    assert_eq!(on_host("billing.example.com", "/mcp").await.text, by_name.text);
    assert_eq!(on_host("eddsa.example.com", "").await.json()["resource"], "https://eddsa.example.com");
    assert_eq!(on_host("dpop.example.com", "/mcp").await.json()["dpop_bound_access_tokens_required"], true);
    for (host, rest) in [
        ("billing.example.com", ""),
        ("billing.example.com", "/mcp/"),
        ("billing.example.com", "/MCP"),
        ("billing.example.com", "/mcp/x"),
        ("billing.example.com:444", "/mcp"),
        ("x.billing.example.com", "/mcp"),
        ("billing.example.com.", "/mcp"),
        ("draft.example.com", "/mcp"),
        ("auth.example.com", "/billing/draft"),
        ("auth.example.com", "/billing/unknown"),
        ("auth.example.com", "/web/reporter"),
    ] {
        let got = on_host(host, rest).await;
        assert_eq!((got.status, got.error().as_str()), (404, "not_found"), "{host}{rest}");
    }
}

/// A resource that goes back to Draft serves no metadata.
#[tokio::test]
async fn metadata_follows_policy() {
    let server = server().await;
    server.put("rs_billing", &resource_server(BILLING, json!({"lifecycle": "Draft"}))).await;
    server.store.refresh().await.unwrap();
    assert_eq!(server.get("/.well-known/oauth-protected-resource/billing/billing").await.status, 404);
}
