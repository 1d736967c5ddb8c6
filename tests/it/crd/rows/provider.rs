//! Rows about Providers.

use serde_json::{Value, json};

use super::{Row, accepted, changed_to, refused};

pub fn base() -> Value {
    json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "Provider",
        "metadata": {"name": "github"},
        "spec": {
            "type": "OAuth2",
            "purposes": ["Broker"],
            "oauth2": {"authorizationEndpoint": "https://a.example/authorize", "tokenEndpoint": "https://a.example/token"},
            "clientID": "Iv1.abc",
        },
    })
}

fn of(kind: &str, member: &str, value: Value) -> Value {
    let mut object = base();
    let mut spec = json!({"type": kind, "purposes": ["Broker"], member: value});
    if kind == "OIDC" {
        spec["clientID"] = json!("a");
    }
    object["spec"] = spec;
    object
}

pub fn rows() -> Vec<Row> {
    [unions(), urls(), rest()].into_iter().flatten().collect()
}

fn assertion() -> Value {
    json!({"tokenURL": "https://a.example/token", "email": "a@b.example", "keyRef": {"name": "s", "key": "k"}})
}

fn unions() -> Vec<Row> {
    let base = &base();
    let oidc = &of("OIDC", "oidc", json!({"issuerURL": "https://a.example"}));
    let key = &of("APIKey", "apiKey", json!({}));
    let signed = &of("SignedAssertion", "signedAssertion", assertion());
    let id = "clientID is required with type OIDC and OAuth2 and forbidden otherwise";
    vec![
        accepted(oidc, vec![]),
        accepted(key, vec![]),
        accepted(signed, vec![]),
        refused(
            base,
            vec![("/spec/oidc", json!({"issuerURL": "https://a.example"}))],
            "spec.oidc",
            "oidc is required with type OIDC and forbidden otherwise",
        ),
        refused(
            oidc,
            vec![("/spec/oidc", Value::Null)],
            "spec.oidc",
            "oidc is required with type OIDC and forbidden otherwise",
        ),
        refused(
            base,
            vec![("/spec/oauth2", Value::Null)],
            "spec.oauth2",
            "oauth2 is required with type OAuth2 and forbidden otherwise",
        ),
        refused(
            base,
            vec![("/spec/apiKey", json!({}))],
            "spec.apiKey",
            "apiKey is required with type APIKey and forbidden otherwise",
        ),
        refused(
            key,
            vec![("/spec/apiKey", Value::Null)],
            "spec.apiKey",
            "apiKey is required with type APIKey and forbidden otherwise",
        ),
        refused(
            key,
            vec![("/spec/signedAssertion", assertion())],
            "spec.signedAssertion",
            "signedAssertion is required with type SignedAssertion and forbidden otherwise",
        ),
        refused(base, vec![("/spec/clientID", Value::Null)], "spec.clientID", id),
        refused(key, vec![("/spec/clientID", json!("a"))], "spec.clientID", id),
        refused(
            key,
            vec![("/spec/clientSecretRef", json!({"name": "s", "key": "k"}))],
            "spec.clientSecretRef",
            "clientSecretRef is only for type OIDC and OAuth2",
        ),
        changed_to(
            base,
            vec![],
            vec![
                ("/spec/type", json!("OIDC")),
                ("/spec/oauth2", Value::Null),
                ("/spec/oidc", json!({"issuerURL": "https://a.example"})),
            ],
            Some(("spec.type", "type is immutable: delete the object and create another one")),
        ),
    ]
}

fn urls() -> Vec<Row> {
    let base = &base();
    macro_rules! form {
        ($field:literal) => {
            concat!($field, " must be https://host[:port][/path][?query], or http on localhost, 127.0.0.1 or [::1]; host in lower case; no user, fragment, wildcard or space")
        };
    }
    let bad = || json!("ftp://a.example");
    vec![
        refused(
            base,
            vec![("/spec/oauth2/authorizationEndpoint", bad())],
            "spec.oauth2.authorizationEndpoint",
            form!("authorizationEndpoint"),
        ),
        refused(base, vec![("/spec/oauth2/tokenEndpoint", bad())], "spec.oauth2.tokenEndpoint", form!("tokenEndpoint")),
        refused(
            base,
            vec![("/spec/oauth2/userinfoEndpoint", bad())],
            "spec.oauth2.userinfoEndpoint",
            form!("userinfoEndpoint"),
        ),
        refused(
            base,
            vec![("/spec/oauth2/revocationEndpoint", bad())],
            "spec.oauth2.revocationEndpoint",
            form!("revocationEndpoint"),
        ),
        refused(&of("OIDC", "oidc", json!({"issuerURL": "x"})), vec![], "spec.oidc.issuerURL", form!("issuerURL")),
        refused(
            &of("APIKey", "apiKey", json!({"instructionsURL": "x"})),
            vec![],
            "spec.apiKey.instructionsURL",
            form!("instructionsURL"),
        ),
        refused(
            &of("SignedAssertion", "signedAssertion", assertion()),
            vec![("/spec/signedAssertion/tokenURL", bad())],
            "spec.signedAssertion.tokenURL",
            form!("tokenURL"),
        ),
    ]
}

fn rest() -> Vec<Row> {
    let base = &base();
    let gone = "subjectClaim is immutable, also adding or removing it: delete the object and create another one";
    let login = "purpose Login requires type OIDC, or OAuth2 with a userinfoEndpoint";
    let claim = "/spec/subjectClaim";
    vec![
        refused(base, vec![("/spec/purposes", json!(["Login"]))], "spec.purposes", login),
        refused(
            &of("APIKey", "apiKey", json!({})),
            vec![("/spec/purposes", json!(["Broker", "Login"]))],
            "spec.purposes",
            login,
        ),
        accepted(
            base,
            vec![
                ("/spec/purposes", json!(["Login", "Broker"])),
                ("/spec/oauth2/userinfoEndpoint", json!("https://a.example/me")),
            ],
        ),
        accepted(
            &of("OIDC", "oidc", json!({"issuerURL": "http://localhost:5556/dex"})),
            vec![("/spec/purposes", json!(["Login"]))],
        ),
        refused(
            base,
            vec![("/spec/purposes", json!(["Broker", "Broker"]))],
            "spec.purposes",
            "purposes must not repeat a value",
        ),
        refused(base, vec![("/spec/purposes", json!([]))], "spec.purposes", "at least 1 items"),
        refused(base, vec![("/spec/scopes", json!(["a", "a"]))], "spec.scopes", "scopes must not repeat a value"),
        changed_to(base, vec![(claim, json!("id"))], vec![(claim, json!("sub"))], Some(("spec.subjectClaim", gone))),
        changed_to(base, vec![(claim, json!("id"))], vec![], Some(("spec.subjectClaim", gone))),
        changed_to(base, vec![], vec![(claim, json!("id"))], Some(("spec.subjectClaim", gone))),
        accepted(
            base,
            vec![(
                "/spec/claimMappings",
                json!([{"claim": "groups", "expression": "claims.orgs.map(o, o)", "examples": [{"claims": {"orgs": ["acme"], "n": {"a": null}}, "result": ["acme"]}]}]),
            )],
        ),
        refused(
            base,
            vec![(
                "/spec/claimMappings",
                json!([{"claim": "groups", "expression": "a"}, {"claim": "groups", "expression": "b"}]),
            )],
            "spec.claimMappings[1]",
            "uplicate value",
        ),
        refused(base, vec![("/spec/oauth2/extraParams", json!({"a": 1}))], "spec.oauth2.extraParams.a", "must be"),
    ]
}
