//! Every kind of token, code, proof and secret that there is, at every place that takes one (D-03).

use holdfast::domain::Actor;
use serde_json::{Value, json};

use super::authorize::stage::{ADA, PASSWORD, challenge, person};
use super::harness::{BILLING, ISSUER, Server, Setup, answer, client, credential, now, resource_server, secret};
use super::person::{CALLBACK, VERIFIER, text};
use super::prover::{Prover, token_with};
use crate::support::browser::Browser;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const OPAQUE: &str = "https://opaque.example.com/mcp";

/// One client that may do everything, so that nothing but its kind speaks against a token, and one that signs with `key`.
async fn world(server: &Server, key: &Prover) {
    let attached =
        |id: &str| json!({"name": id, "resourceServerID": id, "scopes": ["invoices.read", "invoices.write"]});
    let resources = ["rs_billing", "rs_opaque"].map(attached);
    let all = client(json!({
        "grantTypes": ["authorization_code", "refresh_token", "client_credentials", "device_code", "token_exchange"],
        "authenticationMethod": "ClientSecretPost", "redirectURIs": [CALLBACK],
        "resources": resources,
        "tokens": {"refreshLifetimeSeconds": 86_400, "refreshIdleSeconds": 7200, "senderConstraint": "DPoPOptional"},
    }));
    let signs = client(json!({"authenticationMethod": "PrivateKeyJWT", "jwks": {"keys": [key.jwk()]}}));
    let exchange = json!({"mode": "Listed", "clients": ["all"]});
    let billing = resource_server(BILLING, json!({"exchange": exchange, "defaultRole": "all"}));
    let opaque = resource_server(OPAQUE, json!({"exchange": exchange, "accessToken": {"format": "Opaque"}}));
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    for (id, spec) in [("all", &all), ("signs", &signs), ("rs_billing", &billing), ("rs_opaque", &opaque)] {
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

type Kinds = Vec<(&'static str, String)>;

/// What a person's browser and the requests behind it hold.
async fn of_a_browser(server: &Server) -> Kinds {
    person(server, ADA).await;
    let challenge = challenge();
    let request = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", BILLING),
    ];
    let (status, pushed) = post(server, "/oauth/par", &request).await;
    assert_eq!(status, 201, "{pushed}");
    let request_uri = text(&pushed, "request_uri").to_owned();
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(request).finish();
    let browser = Browser::at(&server.public);
    let page = browser.open(&format!("/oauth/authorize?client_id=all&{query}")).await;
    let page = browser.sign_in(&page, ADA, PASSWORD).await;
    let transaction = page.form("/oauth/authorize/").action.rsplit('/').next().unwrap().to_owned();
    assert!(transaction.starts_with("hftx_"), "{transaction}");
    vec![
        ("session cookie", browser.cookie("session").unwrap()),
        ("browser cookie", browser.cookie("browser").unwrap()),
        ("transaction", transaction),
        ("request_uri", request_uri),
    ]
}

/// What a client gets that registers itself: where it is managed, its token, and an invitation.
async fn of_a_registration(server: &Server) -> (String, Kinds) {
    let metadata = json!({"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none"});
    let told = answer(server.http.post(format!("{}/oauth/register", server.public)).json(&metadata)).await.json();
    let invite = server.http.post(format!("{}/admin/dcr/invitations", server.admin)).bearer_auth(secret("anna"));
    let invited = answer(invite.json(&json!({"uses": 1, "expires_in": 600}))).await.json();
    let kinds = vec![
        ("registration token", text(&told, "registration_access_token").to_owned()),
        ("invitation", text(&invited, "token").to_owned()),
    ];
    (text(&told, "registration_client_uri").strip_prefix(ISSUER).unwrap().to_owned(), kinds)
}

/// JWTs of every type, signed with the key of a client, and saying what its assertions say.
fn of_a_key(server: &Server, key: &Prover) -> Kinds {
    let claims = json!({
        "iss": "signs", "sub": "signs", "aud": ISSUER, "jti": "j", "iat": now().as_second(), "exp": now().as_second() + 60,
    });
    let typed = |typ: &str, claims: &Value| key.sign(&json!({"typ": typ, "alg": "ES256"}), &claims.to_string());
    let mut told = claims.clone();
    (told["iss"], told["aud"]) = (json!(ISSUER), json!("signs"));
    let mut kinds = vec![
        ("proof", key.proof(server, json!({"nonce": server.server.dpop_nonce().unwrap()}))),
        ("ID token", typed("JWT", &told)),
    ];
    let types = [
        ("client assertion", "client-authentication+jwt"),
        ("at+jwt of another key", "at+jwt"),
        ("logout token", "logout+jwt"),
        ("ID-JAG", "oauth-id-jag+jwt"),
        ("transaction token", "txntoken+jwt"),
        ("request object", "oauth-authz-req+jwt"),
        ("introspection answer of another key", "token-introspection+jwt"),
        ("action token", "action+jwt"),
    ];
    kinds.extend(types.map(|(name, typ)| (name, typed(typ, &claims))));
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk()});
    kinds.push(("proof without its claims", key.sign(&header, &claims.to_string())));
    kinds
}

/// What there is, each as its owner got it, and where the client that registered itself is managed.
async fn kinds(server: &Server, key: &Prover) -> (String, Kinds) {
    let own = |resource| [("grant_type", "client_credentials"), ("resource", resource)];
    let code = server.code("all").await;
    let form = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
    let signed_in = issued(server, &form).await;
    let (_, device) = post(server, "/oauth/device_authorization", &[("resource", BILLING)]).await;
    let token = text(&issued(server, &own(BILLING)).await, "access_token").to_owned();
    let (_, seen) = post(server, "/oauth/introspect", &[("token", &token)]).await;
    let form = [("token", token.as_str()), ("client_id", "all"), ("client_secret", &secret("all"))];
    let signed = server.http.post(format!("{}/oauth/introspect", server.public)).form(&form);
    let signed = answer(signed.header("accept", "application/token-introspection+jwt")).await;
    assert_eq!(signed.header("content-type"), "application/token-introspection+jwt");
    let mut kinds = vec![
        ("access token", token),
        ("opaque access token", text(&issued(server, &own(OPAQUE)).await, "access_token").to_owned()),
        ("refresh token", text(&signed_in, "refresh_token").to_owned()),
        ("code", server.code("all").await),
        ("device code", text(&device, "device_code").to_owned()),
        ("user code", text(&device, "user_code").to_owned()),
        ("secret", secret("all")),
        ("API key", secret("anna")),
        ("introspection answer", signed.text),
        ("id of a token", text(&seen, "jti").to_owned()),
        ("nonce", server.server.dpop_nonce().unwrap()),
    ];
    let (managed, registered) = of_a_registration(server).await;
    kinds.extend(registered);
    kinds.extend(of_a_browser(server).await);
    kinds.extend(of_a_key(server, key));
    (managed, kinds)
}

/// The places, and what each takes.
const SINKS: &[(&str, &[&str])] = &[
    ("introspection", &["access token", "opaque access token", "refresh token"]),
    ("subject_token", &["access token", "opaque access token"]),
    ("actor_token", &["access token", "opaque access token"]),
    ("DPoP", &["proof"]),
    ("client_assertion", &["client assertion"]),
    ("request_uri", &["request_uri"]),
    ("registration bearer", &["registration token"]),
    ("client_secret", &["secret"]),
    ("admin bearer", &["API key"]),
    ("device_code", &["device code"]),
    ("code", &["code"]),
    ("refresh_token", &["refresh token"]),
];

async fn is_taken(server: &Server, sink: &str, shown: &str, (subject, managed): (&str, &str)) -> bool {
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
        "request_uri" => {
            let pairs = [("client_id", "all"), ("request_uri", shown)];
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let page = Browser::at(&server.public).open(&format!("/oauth/authorize?{query}")).await;
            return page.status == 200;
        }
        "registration bearer" => {
            let request = server.http.get(format!("{}{managed}", server.public)).bearer_auth(shown);
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
                ("client_id", "signs"),
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
    let server = Setup { nonce_required: true, ..Setup::default() }.start().await;
    let key = Prover::new();
    world(&server, &key).await;
    let (managed, kinds) = kinds(&server, &key).await;
    let known = (kinds[0].1.as_str(), managed.as_str());
    for (sink, takes) in SINKS {
        for (kind, shown) in kinds.iter().filter(|(kind, _)| !takes.contains(kind)) {
            assert!(!is_taken(&server, sink, shown, known).await, "{kind} as {sink}");
        }
    }
    for (kind, shown) in kinds.iter().filter(|(kind, _)| !kind.ends_with("token") && *kind != "secret") {
        let (status, answer) = post(&server, "/oauth/revoke", &[("token", shown)]).await;
        assert_eq!((status, answer), (200, json!({})), "{kind}");
    }
    for (sink, takes) in SINKS {
        for (kind, shown) in kinds.iter().filter(|(kind, _)| takes.contains(kind)) {
            assert!(is_taken(&server, sink, shown, known).await, "{kind} as {sink}, after all that");
        }
    }
    let form = [("grant_type", "client_credentials")];
    assert_eq!(token_with(&server, "reporter", &form, &[]).await.status, 200);
}
