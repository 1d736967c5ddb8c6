//! Introspection: who is told what.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use super::harness::{BILLING, ISSUER, answer, now, secret, server};

/// E-03; the client itself, the resource and who acts as the resource see the same.
#[tokio::test]
async fn whoever_may_know_is_told_everything() {
    let server = server().await;
    let token = server.token("reporter", BILLING).await;
    for caller in ["reporter", "rs_billing", "gateway"] {
        let seen = server.introspect(caller, &token).await;
        assert_eq!(
            (&seen["active"], &seen["iss"], &seen["sub"], &seen["aud"]),
            (&json!(true), &json!(ISSUER), &json!("reporter"), &json!(BILLING)),
            "{caller}"
        );
        assert_eq!((&seen["client_id"], &seen["token_type"]), (&json!("reporter"), &json!("Bearer")));
        assert_eq!(seen["scope"], "invoices.read invoices.write");
        assert_eq!((&seen["iat"], &seen["exp"]), (&json!(now().as_second()), &json!(now().as_second() + 900)));
        assert!(uuid::Uuid::parse_str(seen["jti"].as_str().unwrap()).is_ok());
    }
    assert!(server.metric("holdfast_introspection_total{active=\"true\"} 3"));
}

/// E-07: who asks for it gets the answer signed, for them alone, and nobody takes it for a token.
#[tokio::test]
async fn the_answer_may_be_signed() {
    let server = server().await;
    let token = server.token("reporter", BILLING).await;
    let ask = async |caller: &str, accept: &str, token: &str| {
        let request = server.http.post(format!("{}/oauth/introspect", server.public)).header("accept", accept);
        answer(request.basic_auth(caller, Some(secret(caller))).form(&[("token", token)])).await
    };
    let jwks: JwkSet = serde_json::from_str(&server.get("/.well-known/jwks.json").await.text).unwrap();
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    for (caller, algorithm) in [("rs_billing", Algorithm::ES256), ("reporter", Algorithm::RS256)] {
        let plain = ask(caller, "application/json", &token).await.json();
        for (token, expected) in [(token.as_str(), plain), ("unknown", json!({"active": false}))] {
            let accept = "application/json;q=0.1, Application/token-introspection+JWT";
            let signed = ask(caller, accept, token).await;
            assert_eq!(signed.header("content-type"), "application/token-introspection+jwt");
            assert_eq!((signed.status, signed.header("cache-control")), (200, "no-store"));
            let header = decode_header(&signed.text).unwrap();
            assert_eq!((header.typ.as_deref(), header.alg), (Some("token-introspection+jwt"), algorithm));
            let said = json!(format!("{algorithm:?}"));
            assert!(metadata["introspection_signing_alg_values_supported"].as_array().unwrap().contains(&said));
            let key = DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
            let mut validation = Validation::new(algorithm);
            validation.set_audience(&[caller]);
            validation.set_issuer(&[ISSUER]);
            validation.set_required_spec_claims(&["iss", "aud"]);
            let claims = decode::<Value>(&signed.text, &key, &validation).unwrap().claims;
            let now = now().as_second();
            assert_eq!(claims, json!({"iss": ISSUER, "aud": caller, "iat": now, "token_introspection": expected}));
            assert_eq!(server.introspect(caller, &signed.text).await, json!({"active": false}), "D-03");
        }
    }
    let nobody = server.http.post(format!("{}/oauth/introspect", server.public));
    let nobody = nobody.header("accept", "application/token-introspection+jwt").form(&[("token", &token)]);
    assert_eq!(answer(nobody).await.error(), "invalid_client", "E-01");
}

/// E-02, D-03, D-04, R-22: everything else is exactly `{"active":false}`.
#[tokio::test]
async fn whoever_may_not_know_learns_nothing() {
    let server = server().await;
    let token = server.token("reporter", BILLING).await;
    let parts: Vec<&str> = token.split('.').collect();
    let text = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let tampered = text(json!({"iss": ISSUER, "jti": "0190163d-8694-739b-aea5-966c26f8ad91"}));
    let none = format!("{}.{}.", text(json!({"alg": "none", "typ": "at+jwt"})), parts[1]);
    let garbage = "x".repeat(5000);
    let expired = server.token("reporter", BILLING).await;
    let rows: Vec<(&str, &str, String)> = vec![
        ("another client", "another", token.clone()),
        ("another resource", "rs_eddsa", token.clone()),
        ("an unknown text", "reporter", "unknown".into()),
        ("a long text", "reporter", garbage),
        ("an unknown handle", "reporter", format!("hfat_{}", "A".repeat(43))),
        ("tampered claims", "reporter", format!("{}.{tampered}.{}", parts[0], parts[2])),
        ("no signature", "reporter", format!("{}.{}.", parts[0], parts[1])),
        ("no algorithm", "reporter", none),
        ("trailing bytes", "reporter", format!("{token}=")),
        ("a client id", "reporter", "reporter".into()),
    ];
    for (name, caller, token) in rows {
        let got = server.post_as(caller, "/oauth/introspect", &[("token", &token)]).await;
        assert_eq!((got.status, got.text.as_str()), (200, "{\"active\":false}"), "{name}");
        assert_eq!(got.header("cache-control"), "no-store");
    }
    server.clock.advance(899);
    assert_eq!(server.introspect("reporter", &expired).await["active"], true);
    server.clock.advance(1);
    assert_eq!(server.introspect("reporter", &expired).await, json!({"active": false}));
}

/// E-01, E-06, R-29
#[tokio::test]
async fn a_caller_authenticates() {
    let server = server().await;
    let token = server.token("reporter", BILLING).await;
    let nobody = server.post("/oauth/introspect", None, &format!("token={token}")).await;
    assert_eq!((nobody.status, nobody.error().as_str()), (401, "invalid_client"));
    let public = server.post("/oauth/introspect", None, &format!("token={token}&client_id=public")).await;
    assert_eq!(public.status, 401);
    let suspended = server.post_as("suspended", "/oauth/introspect", &[("token", &token)]).await;
    assert_eq!((suspended.status, suspended.error().as_str()), (400, "unauthorized_client"));
    let get = answer(server.http.get(format!("{}/oauth/introspect?token={token}", server.public))).await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    for form in [&[][..], &[("token", "")], &[("access_token", token.as_str())]] {
        let got = server.post_as("reporter", "/oauth/introspect", form).await;
        assert_eq!((got.status, got.error().as_str()), (400, "invalid_request"));
    }
    let long = "x".repeat(20_000);
    assert_eq!(server.post_as("reporter", "/oauth/introspect", &[("token", &long)]).await.status, 400);
}
