//! Clients by other proofs and from elsewhere, at the real program.

use std::time::Duration;

use serde_json::{Value, json};

use super::RESOURCE_SERVER;
use crate::oauth::assertions::{Key, TYPE};
use crate::support::server::{Home, Server};

const KEYED: &str = "apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: keyed, namespace: default}
spec:
  clientID: keyed
  grantTypes: [client_credentials]
  authentication: {method: PrivateKeyJWT, jwks: JWKS}
  resources: [{name: billing, resourceServerRef: {name: NAME, namespace: NAMESPACE}, scopes: [invoices.read]}]
";

/// S22, CC-02, K-01: a resource with PrivateKeyJWT is whole: applied, and its key gets a token that introspects active.
#[allow(clippy::disallowed_methods)] // the real program has a real clock
#[tokio::test]
async fn a_key_that_was_applied_gets_a_token() {
    let key = Key::new("1");
    let server_object: Value = serde_yaml::from_str(RESOURCE_SERVER).unwrap();
    let name = server_object["metadata"]["name"].as_str().unwrap();
    let namespace = server_object["metadata"]["namespace"].as_str().unwrap_or("default");
    let client = KEYED
        .replace("JWKS", &json!({"keys": [key.jwk()]}).to_string())
        .replace("NAMESPACE", namespace)
        .replace("NAME", name)
        .replace("namespace: default}", &format!("namespace: {namespace}}}"));
    let home = Home::with_policy(&[("client.yaml", client.as_str()), ("server.yaml", RESOURCE_SERVER)]);
    let server = home.start().await;
    server.event("reconciled", |line| line["name"] == "keyed" && line["ready"] == true).await;
    let now = jiff::Timestamp::now().as_second();
    let issuer = format!("http://localhost:{}", home.public);
    let sign = |jti: &str| {
        key.assertion(&json!({"iss": "keyed", "sub": "keyed", "aud": issuer, "exp": now + 60, "iat": now, "jti": jti}))
    };
    let post = async |path: &str, jti: &str, more: &[(&str, &str)]| -> Value {
        let assertion = sign(jti);
        let form = [&[("client_assertion_type", TYPE), ("client_assertion", &assertion)], more].concat();
        let answer = server.client().post(server.public(path)).form(&form).send().await.unwrap();
        answer.json().await.unwrap()
    };
    let issued = post("/oauth/token", "1", &[("grant_type", "client_credentials")]).await;
    let token = issued["access_token"].as_str().unwrap_or_else(|| panic!("{issued}"));
    let seen = post("/oauth/introspect", "2", &[("token", token)]).await;
    assert_eq!((seen["active"].as_bool(), seen["client_id"].as_str()), (Some(true), Some("keyed")), "{seen}");
    let again = post("/oauth/token", "1", &[("grant_type", "client_credentials")]).await;
    assert_eq!(again["error"], "invalid_client");
}

async fn registers(server: &Server) -> u16 {
    let body = json!({"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none"});
    let answer = server.client().post(server.public("/oauth/register")).json(&body).send().await.unwrap();
    answer.status().as_u16()
}

/// S5: the command line switches the mode beside a server that runs, and the choice outlives it.
#[tokio::test]
async fn the_mode_of_registration_is_switched_beside_the_server() {
    let home = Home::new();
    let mut server = home.start().await;
    assert_eq!(registers(&server).await, 201);
    server.event("client_registered", |line| line["what"].as_str().is_some_and(|id| id.starts_with("dcr_"))).await;
    let run = |arguments: &[&str]| {
        let output = home.command(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["admin", "dcr", "get", "--output", "kv"]), "mode=approved_redirects\n");
    assert_eq!(run(&["admin", "dcr", "set", "--mode", "admin_only", "--output", "kv"]), "mode=admin_only\n");
    assert_eq!(registers(&server).await, 401);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let metadata: Value =
        server.get(&server.public("/.well-known/oauth-authorization-server")).await.json().await.unwrap();
    assert_eq!(metadata.get("registration_endpoint"), None);
    server.signal("KILL");
    server.ended().await;
    let server = home.start().await;
    assert_eq!(registers(&server).await, 401);
    let wrong = home.command(&["admin", "dcr", "set", "--mode", "Open"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
