//! The documents that clients start from.

use rstest::rstest;
use serde_json::json;

use super::harness::{BILLING, ISSUER, Setup, answer, resource_server, server};

/// M-02, M-03, M-04, G-02, G-03, RC-12, finding 12
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

/// R-66, M-07, RC-11: what clients open and call is https and plain enough for the shell of whoever wrote them.
#[tokio::test]
async fn every_place_is_a_plain_https_url() {
    let server = server().await;
    let document = server.get("/.well-known/oauth-authorization-server").await.json();
    let mut places = 0;
    for (name, value) in document.as_object().unwrap() {
        let Some(url) = value.as_str() else { continue };
        let rest = url.strip_prefix("https://").unwrap_or_else(|| panic!("{name}: {url}"));
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
        assert!(rest.bytes().all(plain), "{name}: {url}");
        places += 1;
    }
    assert!(places >= 9, "{places}");
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
