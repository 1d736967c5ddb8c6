//! Every kind of token, code, proof and secret that there is, at every place that takes one (D-03).

use holdfast::domain::Actor;
use serde_json::{Value, json};

use super::harness::{BILLING, ISSUER, Server, answer, client, credential, now, resource_server, secret, server};
use super::person::{CALLBACK, VERIFIER, text};
use super::prover::{Prover, text as base64url, token_with};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const OPAQUE: &str = "https://opaque.example.com/mcp";

/// One client that may do everything, so that nothing but its kind speaks against a token.
async fn world(server: &Server) {
    let attached =
        |id: &str| json!({"name": id, "resourceServerID": id, "scopes": ["invoices.read", "invoices.write"]});
    let resources = ["rs_billing", "rs_opaque"].map(attached);
    let all = client(json!({
        "grantTypes": ["authorization_code", "refresh_token", "client_credentials", "device_code", "token_exchange"],
        "authenticationMethod": "ClientSecretPost", "redirectURIs": [CALLBACK],
        "resources": resources,
        "tokens": {"refreshLifetimeSeconds": 86_400, "refreshIdleSeconds": 7200, "senderConstraint": "DPoPOptional"},
    }));
    let exchange = json!({"mode": "Listed", "clients": ["all"]});
    let billing = resource_server(BILLING, json!({"exchange": exchange}));
    let opaque = resource_server(OPAQUE, json!({"exchange": exchange, "accessToken": {"format": "Opaque"}}));
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    for (id, spec) in [("all", &all), ("rs_billing", &billing), ("rs_opaque", &opaque)] {
        tx.put(id, spec, None, now()).await.unwrap();
    }
    tx.put_credential("all", &credential("cred-all", &secret("all"))).await.unwrap();
    tx.commit().await.unwrap();
    server.store.refresh().await.unwrap();
}

async fn post(server: &Server, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let secret = secret("all");
    let own = [("client_id", "all"), ("client_secret", secret.as_str())];
    let form: Vec<(&str, &str)> = own.iter().chain(form).copied().collect();
    let answer = answer(server.http.post(format!("{}{path}", server.public)).form(&form)).await;
    (answer.status, answer.json())
}

async fn issued(server: &Server, form: &[(&str, &str)]) -> Value {
    let (status, answer) = post(server, "/oauth/token", form).await;
    assert_eq!(status, 200, "{form:?} {answer}");
    answer
}

/// What there is, each as its owner got it.
async fn kinds(server: &Server) -> Vec<(&'static str, String)> {
    let own = |resource| [("grant_type", "client_credentials"), ("resource", resource)];
    let code = server.code("all").await;
    let form = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
    let signed_in = issued(server, &form).await;
    let (_, device) = post(server, "/oauth/device_authorization", &[("resource", BILLING)]).await;
    let key = Prover::new();
    let claims = |more: Value| {
        let mut claims = json!({
            "iss": "all", "sub": "all", "aud": ISSUER, "jti": "j", "iat": now().as_second(), "exp": now().as_second() + 60,
        });
        more.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
        claims.to_string()
    };
    let typed = |typ: &str| key.sign(&json!({"typ": typ, "alg": "ES256", "jwk": key.jwk()}), &claims(json!({})));
    let mut kinds = vec![
        ("access token", text(&issued(server, &own(BILLING)).await, "access_token").to_owned()),
        ("opaque access token", text(&issued(server, &own(OPAQUE)).await, "access_token").to_owned()),
        ("refresh token", text(&signed_in, "refresh_token").to_owned()),
        ("code", server.code("all").await),
        ("device code", text(&device, "device_code").to_owned()),
        ("user code", text(&device, "user_code").to_owned()),
        ("proof", key.proof(server, json!({}))),
        ("secret", secret("all")),
        ("API key", secret("anna")),
        ("id of a token", uuid::Uuid::now_v7().to_string()),
        ("session cookie", format!("hfls_{}", base64url([7; 32]))),
        ("registration token", format!("hfra_{}", base64url([7; 32]))),
        ("nonce", format!("hfdn_{}", base64url([7; 32]))),
        ("request_uri", format!("urn:ietf:params:oauth:request_uri:hfpr_{}", base64url([7; 32]))),
    ];
    let foreign = [
        ("at+jwt of another key", "at+jwt"),
        ("ID token", "JWT"),
        ("logout token", "logout+jwt"),
        ("ID-JAG", "oauth-id-jag+jwt"),
        ("transaction token", "txntoken+jwt"),
        ("client assertion", "client-authentication+jwt"),
        ("request object", "oauth-authz-req+jwt"),
        ("introspection answer", "token-introspection+jwt"),
        ("proof without its claims", "dpop+jwt"),
    ];
    kinds.extend(foreign.map(|(name, typ)| (name, typed(typ))));
    kinds
}

/// The places, and what each takes.
const SINKS: &[(&str, &[&str])] = &[
    ("introspection", &["access token", "opaque access token", "refresh token"]),
    ("subject_token", &["access token", "opaque access token"]),
    ("actor_token", &["access token", "opaque access token"]),
    ("DPoP", &["proof"]),
    ("client_assertion", &[]),
    ("client_secret", &["secret"]),
    ("admin bearer", &["API key"]),
    ("device_code", &["device code"]),
    ("code", &["code"]),
    ("refresh_token", &["refresh token"]),
];

async fn is_taken(server: &Server, sink: &str, shown: &str, subject: &str) -> bool {
    let token = "/oauth/token";
    let exchange = [("grant_type", EXCHANGE), ("resource", BILLING), ("subject_token_type", ACCESS)];
    let credentials = [("grant_type", "client_credentials"), ("resource", BILLING)];
    let with = |form: &[(&'static str, &'static str)], more: &[(&'static str, String)]| -> Vec<(String, String)> {
        let fixed = form.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        fixed.chain(more.iter().map(|(n, v)| ((*n).to_owned(), v.clone()))).collect()
    };
    let (shown_text, subject) = (shown.to_owned(), subject.to_owned());
    let form = match sink {
        "introspection" => return post(server, "/oauth/introspect", &[("token", shown)]).await.1["active"] == true,
        "admin bearer" => {
            let request = server.http.get(format!("{}/admin/resources", server.admin)).bearer_auth(shown);
            return answer(request).await.status == 200;
        }
        "client_secret" => {
            let form = [
                ("grant_type", "client_credentials"),
                ("resource", BILLING),
                ("client_id", "all"),
                ("client_secret", shown),
            ];
            return answer(server.http.post(format!("{}{token}", server.public)).form(&form)).await.status == 200;
        }
        "client_assertion" => {
            let form = [
                ("grant_type", "client_credentials"),
                ("client_assertion_type", ASSERTION),
                ("client_assertion", shown),
                ("client_id", "all"),
            ];
            return answer(server.http.post(format!("{}{token}", server.public)).form(&form)).await.status == 200;
        }
        "DPoP" => {
            let form = [("grant_type", "client_credentials"), ("resource", BILLING)];
            let secret = secret("all");
            let form: Vec<_> =
                form.into_iter().chain([("client_id", "all"), ("client_secret", secret.as_str())]).collect();
            let request = server.http.post(format!("{}{token}", server.public)).header("dpop", shown).form(&form);
            return answer(request).await.status == 200;
        }
        "subject_token" => with(&exchange, &[("subject_token", shown_text)]),
        "actor_token" => with(
            &exchange,
            &[("subject_token", subject), ("actor_token", shown_text), ("actor_token_type", ACCESS.to_owned())],
        ),
        "device_code" => with(&[("grant_type", DEVICE)], &[("device_code", shown_text)]),
        "code" => with(&[("grant_type", "authorization_code"), ("code_verifier", VERIFIER)], &[("code", shown_text)]),
        "refresh_token" => with(&[("grant_type", "refresh_token")], &[("refresh_token", shown_text)]),
        _ => with(&credentials, &[]),
    };
    let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let (status, answer) = post(server, token, &form).await;
    // a device whose user has not decided is known
    status == 200 || answer["error"] == "authorization_pending"
}

/// D-03, R-20, R-26: only on the diagonal.
#[tokio::test]
async fn each_kind_is_taken_where_it_belongs_and_nowhere_else() {
    let server = server().await;
    world(&server).await;
    let kinds = kinds(&server).await;
    let subject = kinds[0].1.clone();
    for (sink, takes) in SINKS {
        for (kind, shown) in kinds.iter().filter(|(kind, _)| !takes.contains(kind)) {
            assert!(!is_taken(&server, sink, shown, &subject).await, "{kind} as {sink}");
        }
    }
    for (kind, shown) in kinds.iter().filter(|(kind, _)| !kind.ends_with("token") && *kind != "secret") {
        let (status, answer) = post(&server, "/oauth/revoke", &[("token", shown)]).await;
        assert_eq!((status, answer), (200, json!({})), "{kind}");
    }
    for (sink, takes) in SINKS {
        for (kind, shown) in kinds.iter().filter(|(kind, _)| takes.contains(kind)) {
            assert!(is_taken(&server, sink, shown, &subject).await, "{kind} as {sink}, after all that");
        }
    }
    let form = [("grant_type", "client_credentials")];
    assert_eq!(token_with(&server, "reporter", &form, &[]).await.status, 200);
}
