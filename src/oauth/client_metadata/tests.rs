//! What is shown of a name, and what a document may say that a registration may not.

use serde_json::{Value, json};

use super::*;

fn read(kind: Kind, change: Value) -> Result<Metadata, Fault> {
    let mut body = json!({"client_name": "A tool", "redirect_uris": ["http://localhost/cb", "https://a.example/cb"]});
    change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
    Metadata::read(kind, body.as_object().unwrap().clone(), &RedirectPolicy::default())
}

/// what moves or hides the text around a name does not become part of it.
#[test]
fn a_name_is_only_a_name() {
    let long = "x".repeat(2_000);
    let words = format!("{} y", &long[..127]);
    let rows = [
        ("</title><script>alert(1)</script>", "</title><script>alert(1)</script>"),
        ("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e", "abcde"),
        ("a\r\nb\tc\u{1b}[31md", "a b c[31md"),
        (&long, &long[..128]),
        (&words, &long[..127]),
        ("\u{1f468}\u{200d}\u{1f469}", "\u{1f468}\u{200d}\u{1f469}"),
    ];
    for (name, shown) in rows {
        let client = read(Kind::Registration, json!({"client_name": name})).unwrap().client();
        assert_eq!(client.display_name, shown);
    }
    let nameless = read(Kind::Registration, json!({"client_name": "\u{200b}"})).unwrap().client();
    assert_eq!(nameless.display_name, "localhost", "better than nothing");
}

/// CI-10, CI-11, CI-12
#[test]
fn a_document_holds_no_secret_and_lacks_nothing() {
    let refused = |change: Value| read(Kind::Document, change).unwrap_err().to_string();
    for (change, text) in [
        (json!({"client_name": null}), "client_name: required"),
        (json!({"client_name": ""}), "client_name: required"),
        (json!({"redirect_uris": null}), "redirect_uris: required"),
        (json!({"redirect_uris": []}), "redirect_uris: required"),
        (
            json!({"redirect_uris": [], "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]}),
            "redirect_uris: required",
        ),
        (json!({"client_secret": "x"}), "client_secret: not allowed in a document"),
        (json!({"client_secret_expires_at": 0}), "client_secret_expires_at: not allowed in a document"),
        (
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
            "token_endpoint_auth_method: not a method that is possible here",
        ),
        (
            json!({"token_endpoint_auth_method": "client_secret_jwt"}),
            "token_endpoint_auth_method: not a method that is possible here",
        ),
        (
            json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}),
            "token_endpoint_auth_methods_supported: none of them is possible here",
        ),
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), "jwks: private_key_jwt needs keys"),
        (
            json!({"jwks": {"keys": [{"kty": "RSA", "n": "AA", "e": "AQAB", "d": "AA"}]}}),
            "jwks: not a set of public keys",
        ),
        (json!({"jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}), "jwks: not a set of public keys"),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}),
            "jwks: no key in it can be used here",
        ),
    ] {
        assert_eq!(refused(change), text);
    }
}

/// CI-11: choices are negotiated, what is unknown is ignored, what is too much is left out.
#[test]
fn a_document_may_offer_more_than_is_taken() {
    let method = |change: Value| read(Kind::Document, change).unwrap().method;
    assert_eq!(method(json!({})), AuthenticationMethod::None);
    let choices = json!({"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]});
    assert_eq!(method(choices), AuthenticationMethod::None, "there are no keys");
    let choices = json!({"token_endpoint_auth_methods_supported": ["none", "private_key_jwt", "x"], "jwks_uri": "https://a.example/k"});
    assert_eq!(method(choices), AuthenticationMethod::PrivateKeyJWT);
    let more = json!({"grant_types": ["authorization_code", "client_credentials"], "response_types": ["code", "token"], "software_statement": "x"});
    let metadata = read(Kind::Document, more).unwrap();
    assert_eq!(metadata.grant_types, [GrantType::AuthorizationCode]);
    assert_eq!(metadata.told()["response_types"], json!(["code"]));
}

#[test]
fn what_is_told_holds_no_null() {
    let told = Value::Object(read(Kind::Registration, json!({})).unwrap().told()).to_string();
    assert!(!told.contains("null"), "{told}");
}
