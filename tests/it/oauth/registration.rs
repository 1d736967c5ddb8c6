//! Dynamic registration: what a stranger may say, what it gets, and what becomes of it.

use std::time::Duration;

use holdfast::domain::policy::Policy;
use holdfast::oauth::{DynamicParts, RegistrationOptions};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::harness::{Answer, Server, Setup, answer, purge, secret, server};

const REGISTER: &str = "/oauth/register";

impl Server {
    async fn register_as(&self, token: Option<&str>, body: &Value) -> Answer {
        self.manage(Method::POST, REGISTER, token, Some(body)).await
    }

    async fn register(&self, body: &Value) -> Answer {
        self.register_as(None, body).await
    }

    async fn manage(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.public));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await
    }

    async fn admin_json(&self, method: Method, path: &str, who: &str, body: Option<&Value>) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.admin)).bearer_auth(secret(who));
        answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    async fn set_mode(&self, mode: &str) {
        let set = self.admin_json(Method::PUT, "/admin/dcr", "anna", Some(&json!({"mode": mode}))).await;
        assert_eq!((set.status, set.json()), (200, json!({"mode": mode})));
    }

    /// Clients that registered themselves.
    fn registered(&self) -> usize {
        self.store.snapshot().clients().filter(|entry| entry.id.starts_with("dcr_")).count()
    }
}

/// A native client as SDKs describe it.
fn native() -> Value {
    json!({
        "client_name": "A tool", "redirect_uris": ["http://127.0.0.1:1234/cb", "http://localhost/cb"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "scope": "invoices.read",
    })
}

fn with(change: Value) -> Value {
    let mut body = native();
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// H-01, H-04, RC-7: everything that is registered is told back, and nothing is null.
#[tokio::test]
async fn a_client_is_registered_and_told_so() {
    let server = server().await;
    let body = with(json!({
        "client_name#ja": "\u{9053}\u{5177}", "client_uri": "https://tool.example", "contacts": ["a@tool.example"],
        "software_id": "tool", "software_version": "1.2", "unknown": {"a": [1]}, "tos_uri": "", "logo_uri": "https://tool.example/l.svg"
    }));
    let answer = server.register(&body).await;
    assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"), "{answer:?}");
    let mut told = answer.json();
    let id = told["client_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("dcr_") && !answer.text.contains("null"), "{answer:?}");
    let management = format!("https://auth.example.com/oauth/register/{id}");
    assert_eq!(told["registration_client_uri"], management);
    assert!(told["registration_access_token"].as_str().unwrap().starts_with("hfra_"));
    for secret in ["client_id", "registration_client_uri", "registration_access_token"] {
        told.as_object_mut().unwrap().remove(secret);
    }
    assert_eq!(
        told,
        json!({
            "client_id_issued_at": 1_900_000_000, "client_name": "A tool", "client_name#ja": "\u{9053}\u{5177}",
            "redirect_uris": ["http://127.0.0.1:1234/cb", "http://localhost/cb"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "application_type": "native",
            "client_uri": "https://tool.example", "logo_uri": "https://tool.example/l.svg", "contacts": ["a@tool.example"],
            "software_id": "tool", "software_version": "1.2",
        })
    );
    let entry = server.store.snapshot().client(&id).cloned().unwrap();
    assert_eq!((entry.client.display_name.as_str(), entry.client.resources.len()), ("A tool", 0));
    assert!(server.metric("holdfast_clients_registered_total{source=\"dcr\"} 1"));
    let listed = server.admin_json(Method::GET, "/admin/resources", "vera", None).await.json();
    let origins: Vec<_> = listed["items"].as_array().unwrap().iter().filter(|row| row["id"] == json!(id)).collect();
    assert_eq!(origins[0]["origin"], "registered");
}

/// H-01, RC-8: the default is the one that is enforced, and a secret comes with when it ends.
#[tokio::test]
async fn a_confidential_client_gets_a_secret_that_works() {
    let server = server().await;
    let mut body = native();
    body.as_object_mut().unwrap().remove("token_endpoint_auth_method");
    let told = server.register(&body).await.json();
    assert_eq!(
        (told["token_endpoint_auth_method"].as_str(), told["client_secret_expires_at"].as_i64()),
        (Some("client_secret_basic"), Some(0))
    );
    let (id, secret) = (told["client_id"].as_str().unwrap(), told["client_secret"].as_str().unwrap());
    let good = |c: char| c.is_ascii_alphanumeric() || "._~-".contains(c);
    assert!(secret.chars().chain(id.chars()).all(good), "RC-6");
    let request = server.http.post(format!("{}/oauth/revoke", server.public)).basic_auth(id, Some(secret));
    assert_eq!(answer(request.form(&[("token", "x")])).await.status, 200);
    let request = server.http.post(format!("{}/oauth/revoke", server.public)).basic_auth(id, Some("wrong"));
    assert_eq!(answer(request.form(&[("token", "x")])).await.status, 401);
    // CC-04, H-07
    let request = server.http.post(format!("{}/oauth/token", server.public)).basic_auth(id, Some(secret));
    let refused = answer(request.form(&[("grant_type", "client_credentials")])).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "unauthorized_client"));
}

/// H-03, H-04, H-05, H-07, H-08, A-03, A-04, R-08, R-42: refused, and nobody is registered.
#[rstest]
#[case::scheme(json!({"redirect_uris": ["javascript:/x"]}), "invalid_redirect_uri")]
#[case::data(json!({"redirect_uris": ["http://localhost/cb", "data:/x"]}), "invalid_redirect_uri")]
#[case::http(json!({"redirect_uris": ["http://a.example/cb"]}), "invalid_redirect_uri")]
#[case::fragment(json!({"redirect_uris": ["https://a.example/cb#f"]}), "invalid_redirect_uri")]
#[case::user(json!({"redirect_uris": ["http://127.0.0.1:80@evil.example/cb"]}), "invalid_redirect_uri")]
#[case::wildcard(json!({"redirect_uris": ["https://a.example/*"]}), "invalid_redirect_uri")]
#[case::pollution(json!({"redirect_uris": ["http://localhost/cb?code=x"]}), "invalid_redirect_uri")]
#[case::dots(json!({"redirect_uris": ["http://localhost/../cb"]}), "invalid_redirect_uri")]
#[case::unknown_scheme(json!({"redirect_uris": ["com.example.app:/cb"]}), "invalid_redirect_uri")]
#[case::not_approved(json!({"redirect_uris": ["https://a.example/cb"]}), "invalid_redirect_uri")]
#[case::scheme_with_secret(json!({"redirect_uris": ["cursor:/cb"], "token_endpoint_auth_method": "client_secret_post"}), "invalid_redirect_uri")]
#[case::web_with_scheme(json!({"redirect_uris": ["cursor:/cb"], "application_type": "web"}), "invalid_redirect_uri")]
#[case::no_redirect(json!({"redirect_uris": []}), "invalid_client_metadata")]
#[case::redirects_no_list(json!({"redirect_uris": "http://localhost/"}), "invalid_client_metadata")]
#[case::redirects_no_text(json!({"redirect_uris": [1]}), "invalid_client_metadata")]
#[case::too_many(json!({"redirect_uris": vec!["http://localhost/"; 33]}), "invalid_client_metadata")]
#[case::machine(json!({"grant_types": ["client_credentials"]}), "invalid_client_metadata")]
#[case::exchange(json!({"grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"]}), "invalid_client_metadata")]
#[case::implicit(json!({"response_types": ["token"]}), "invalid_client_metadata")]
#[case::refresh_alone(json!({"grant_types": ["refresh_token"]}), "invalid_client_metadata")]
#[case::method(json!({"token_endpoint_auth_method": "client_secret_jwt"}), "invalid_client_metadata")]
#[case::no_keys(json!({"token_endpoint_auth_method": "private_key_jwt"}), "invalid_client_metadata")]
#[case::both_keys(json!({"jwks": {"keys": []}, "jwks_uri": "https://a.example/jwks"}), "invalid_client_metadata")]
#[case::private_key(json!({"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}]}}), "invalid_client_metadata")]
#[case::symmetric_key(json!({"jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}), "invalid_client_metadata")]
#[case::keys_no_set(json!({"jwks": "x"}), "invalid_client_metadata")]
#[case::jwks_uri(json!({"jwks_uri": "http://a.example/jwks"}), "invalid_client_metadata")]
#[case::client_uri(json!({"client_uri": "javascript:alert(1)"}), "invalid_client_metadata")]
#[case::logo(json!({"logo_uri": "data:image/svg+xml,x"}), "invalid_client_metadata")]
#[case::tos_in_japanese(json!({"tos_uri#ja": "http://a.example"}), "invalid_client_metadata")]
#[case::sector(json!({"sector_identifier_uri": "http://169.254.169.254/"}), "invalid_client_metadata")]
#[case::logout(json!({"backchannel_logout_uri": "file:///x"}), "invalid_client_metadata")]
#[case::request_uris(json!({"request_uris": ["https://a.example", "gopher://a.example"]}), "invalid_client_metadata")]
#[case::name(json!({"client_name": {"a": 1}}), "invalid_client_metadata")]
#[case::long(json!({"software_id": "x".repeat(5000)}), "invalid_client_metadata")]
#[case::application(json!({"application_type": "toaster"}), "invalid_client_metadata")]
#[case::dpop(json!({"dpop_bound_access_tokens": "yes"}), "invalid_client_metadata")]
#[case::bad_statement(json!({"software_statement": "x"}), "invalid_software_statement")]
#[case::statement(json!({"software_statement": "e30.e30.c2ln"}), "unapproved_software_statement")]
#[tokio::test]
async fn what_a_stranger_must_not_say(#[case] change: Value, #[case] code: &str) {
    let server = server().await;
    let refused = server.register(&with(change)).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, code), "{refused:?}");
    assert_eq!(refused.header("cache-control"), "no-store");
    let description = refused.json()["error_description"].as_str().unwrap().to_owned();
    assert!(description.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\'), "{description}");
    assert!(!description.contains("example"), "nothing is repeated: {description}");
    server.store.refresh().await.unwrap();
    assert_eq!(server.registered(), 0);
}

/// H-02, H-04
#[rstest]
#[case::scheme(json!({"redirect_uris": ["cursor://anysphere.cursor/cb"]}), "application_type", json!("native"))]
#[case::web(json!({"redirect_uris": ["http://localhost/cb"], "application_type": "web"}), "application_type", json!("web"))]
#[case::more_grants(json!({"grant_types": ["authorization_code", "client_credentials", "implicit"]}), "grant_types", json!(["authorization_code"]))]
#[case::device(json!({"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"], "redirect_uris": []}), "response_types", json!([]))]
#[case::choice(json!({"token_endpoint_auth_methods_supported": ["private_key_jwt", "none"], "token_endpoint_auth_method": null}), "token_endpoint_auth_method", json!("none"))]
#[case::bound(json!({"dpop_bound_access_tokens": true}), "dpop_bound_access_tokens", json!(true))]
#[case::name(json!({"client_name": " A\u{202e} tool\r\n\u{200b}of <b>ours</b> "}), "client_name", json!("A tool of <b>ours</b>"))]
#[case::default_grants(json!({"grant_types": null}), "grant_types", json!(["authorization_code", "refresh_token"]))]
#[tokio::test]
async fn what_is_meant_is_understood(#[case] change: Value, #[case] member: &str, #[case] expected: Value) {
    let server = server().await;
    let answer = server.register(&with(change)).await;
    assert_eq!((answer.status, &answer.json()[member]), (201, &expected), "{answer:?}");
}

/// H-03: whatever is no JSON object.
#[rstest]
#[case("application/json", "[]")]
#[case("application/json", "")]
#[case("application/json", "{\"redirect_uris\": [], \"redirect_uris\": [\"http://localhost/\"]}")]
#[case("application/x-www-form-urlencoded", "redirect_uris=x")]
#[case("text/plain", "{}")]
#[tokio::test]
async fn a_registration_is_one_json_object(#[case] media: &str, #[case] body: &str) {
    let server = server().await;
    let request = server.http.post(format!("{}{REGISTER}", server.public)).header("content-type", media);
    let refused = answer(request.body(body.to_owned())).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_client_metadata"), "{refused:?}");
    assert_eq!(server.registered(), 0);
}

/// H-08 and the three modes, switched while the server runs; metadata follows (M-19).
#[tokio::test]
async fn the_mode_decides_and_can_be_switched() {
    let server = server().await;
    let https = with(json!({"redirect_uris": ["https://a.example/cb"]}));
    let endpoint = || async {
        server.get("/.well-known/oauth-authorization-server").await.json()["registration_endpoint"].clone()
    };
    assert_eq!(endpoint().await, "https://auth.example.com/oauth/register");
    assert_eq!(server.admin_json(Method::GET, "/admin/dcr", "vera", None).await.json()["mode"], "approved_redirects");
    assert_eq!(server.register(&https).await.error(), "invalid_redirect_uri");

    server.set_mode("open").await;
    assert_eq!(server.register(&https).await.status, 201);
    server.set_mode("admin_only").await;
    assert_eq!(endpoint().await, Value::Null);
    let refused = server.register(&native()).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer realm=\"holdfast\""), "{refused:?}");

    let body = json!({"uses": 2, "expires_in": 600});
    let invited = server.admin_json(Method::POST, "/admin/dcr/invitations", "olga", Some(&body)).await;
    assert_eq!(invited.status, 201);
    let token = invited.json()["token"].as_str().unwrap().to_owned();
    for bad in ["wrong", "", &secret("anna")] {
        assert_eq!(server.register_as(Some(bad), &https).await.status, 401, "{bad}");
    }
    assert_eq!(server.register_as(Some(&token), &with(json!({"redirect_uris": []}))).await.status, 400);
    assert_eq!(server.register_as(Some(&token), &https).await.status, 201, "what was refused used nothing up");
    assert_eq!(server.register_as(Some(&token), &native()).await.status, 201);
    let spent = server.register_as(Some(&token), &native()).await;
    assert_eq!((spent.status, spent.error().as_str()), (401, "invalid_token"));
    let late = server.admin_json(Method::POST, "/admin/dcr/invitations", "olga", Some(&json!({}))).await.json();
    server.clock.advance(86_401);
    assert_eq!(server.register_as(late["token"].as_str(), &native()).await.status, 401);

    // an invitation is listed without its token, and ended before its time
    let made =
        server.admin_json(Method::POST, "/admin/dcr/invitations", "olga", Some(&json!({"uses": 3}))).await.json();
    let listed = server.admin_json(Method::GET, "/admin/dcr/invitations", "vera", None).await;
    let (items, text) = (listed.json()["items"].clone(), listed.json().to_string());
    assert_eq!((items.as_array().unwrap().len(), &items[0]["id"], &items[0]["uses_left"]), (1, &made["id"], &json!(3)));
    assert!(items[0]["by"] == "apikey:olga" && !text.contains(made["token"].as_str().unwrap()), "{text}");
    let one = format!("/admin/dcr/invitations/{}", made["id"].as_str().unwrap());
    assert_eq!(server.admin_json(Method::DELETE, &one, "vera", None).await.status, 403);
    assert_eq!(server.admin_json(Method::DELETE, &one, "olga", None).await.status, 200);
    assert_eq!(server.admin_json(Method::DELETE, &one, "olga", None).await.status, 404);
    assert_eq!(server.register_as(made["token"].as_str(), &native()).await.status, 401);
    let told = server.metrics.render().unwrap();
    let is_one = |line: &&str| line.contains("admin/dcr/invitations") && line.contains("DELETE");
    assert!(told.lines().find(is_one).is_some(), "counted, and limited, as what it is: {told}");
    assert_eq!(server.registered(), 3);
}

#[tokio::test]
async fn only_an_administrator_switches_the_mode() {
    let server = server().await;
    for (who, method, path, body, status) in [
        ("vera", Method::PUT, "/admin/dcr", json!({"mode": "open"}), 403),
        ("olga", Method::PUT, "/admin/dcr", json!({"mode": "open"}), 403),
        ("anna", Method::PUT, "/admin/dcr", json!({"mode": "Open"}), 400),
        ("anna", Method::PUT, "/admin/dcr", json!({"mode": "open", "more": 1}), 400),
        ("vera", Method::POST, "/admin/dcr/invitations", json!({}), 403),
        ("olga", Method::POST, "/admin/dcr/invitations", json!({"uses": 0}), 400),
        ("nobody", Method::GET, "/admin/dcr", json!({}), 401),
    ] {
        assert_eq!(server.admin_json(method, path, who, Some(&body)).await.status, status, "{who} {path} {body}");
    }
    assert_eq!(server.admin_json(Method::GET, "/admin/dcr", "vera", None).await.json()["mode"], "approved_redirects");
}

/// Another replica, and whoever writes to the database beside it, is followed within a second.
#[tokio::test]
async fn every_replica_follows_the_mode() {
    let one = server().await;
    let url = format!("sqlite://{}", one.directory.as_ref().unwrap().path().join("holdfast.db").display());
    let other = Setup { url: Some(url), second: true, ..Setup::default() }.start().await;
    one.set_mode("admin_only").await;
    assert_eq!(other.register(&native()).await.status, 401, "a request asks the database");
    one.set_mode("open").await;
    one.set_mode("admin_only").await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(other.get("/.well-known/openid-configuration").await.json()["registration_endpoint"], Value::Null);
}

/// H-09, P-14: with its registration access token a client reads, replaces and ends itself; nobody else does.
#[tokio::test]
async fn a_client_manages_itself() {
    let server = server().await;
    let told = server.register(&with(json!({"token_endpoint_auth_method": "client_secret_post"}))).await.json();
    let (id, token) = (told["client_id"].as_str().unwrap(), told["registration_access_token"].as_str().unwrap());
    let path = format!("{REGISTER}/{id}");
    let another = server.register(&native()).await.json();
    let foreign = another["registration_access_token"].as_str().unwrap();
    for (path, bad) in [
        (path.as_str(), None),
        (&path, Some("")),
        (&path, Some("hfra_wrong")),
        (&path, Some(foreign)),
        (&path, told["client_secret"].as_str()),
        (&format!("{REGISTER}/dcr_nobody"), Some(token)),
        (&format!("{REGISTER}/reporter"), Some(token)),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let refused = server.manage(method, path, bad, Some(&native())).await;
            assert_eq!((refused.status, refused.error().as_str()), (401, "invalid_token"), "{path} {bad:?}");
        }
    }
    for (scheme, status) in [("bearer", 200), ("BEARER", 200), ("DPoP", 401), ("Basic", 401)] {
        let url = format!("{}{path}", server.public);
        let read = answer(server.http.get(url).header("authorization", format!("{scheme} {token}"))).await;
        assert_eq!(read.status, status, "P-14: {scheme}");
    }
    let read = server.manage(Method::GET, &path, Some(token), None).await;
    assert_eq!((read.status, read.header("cache-control")), (200, "no-store"));
    let mut expected = told.clone();
    expected.as_object_mut().unwrap().remove("client_secret");
    assert_eq!(read.json(), expected);

    let change = |change: Value| {
        let mut body = with(
            json!({"client_id": id, "token_endpoint_auth_method": "client_secret_post", "client_name": "Renamed"}),
        );
        change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    for (body, code) in [
        (change(json!({"client_id": "dcr_other"})), "invalid_client_metadata"),
        (change(json!({"client_id": null})), "invalid_client_metadata"),
        (change(json!({"client_secret": "chosen"})), "invalid_client_metadata"),
        (change(json!({"token_endpoint_auth_method": "none"})), "invalid_client_metadata"),
        (change(json!({"redirect_uris": ["https://evil.example/cb"]})), "invalid_redirect_uri"),
    ] {
        let refused = server.manage(Method::PUT, &path, Some(token), Some(&body)).await;
        assert_eq!((refused.status, refused.error().as_str()), (400, code), "{body}");
    }
    assert_eq!(server.store.snapshot().client(id).unwrap().client.display_name, "A tool", "nothing was changed");

    // an administrator's word stands, whatever the client says afterwards
    let suspend = json!({"state": "Suspended"});
    let patched = server.http.patch(format!("{}/admin/clients/{id}", server.admin)).bearer_auth(secret("olga"));
    let patched =
        answer(patched.header("content-type", "application/merge-patch+json").body(suspend.to_string())).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let body = change(json!({"client_secret": told["client_secret"], "redirect_uris": ["http://localhost/other"]}));
    let changed = server.manage(Method::PUT, &path, Some(token), Some(&body)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let next = changed.json()["registration_access_token"].as_str().unwrap().to_owned();
    assert_ne!(next, token, "the token rotates");
    assert_eq!(server.manage(Method::GET, &path, Some(token), None).await.status, 401);
    let entry = server.store.snapshot().client(id).cloned().unwrap();
    assert_eq!(
        (entry.client.display_name.as_str(), format!("{:?}", entry.client.state).as_str()),
        ("Renamed", "Suspended")
    );
    assert_eq!(entry.client.redirect_uris, ["http://localhost/other"]);
    assert_eq!(entry.credentials.len(), 1, "the secret stays");

    let ended = server.manage(Method::DELETE, &path, Some(&next), None).await;
    assert_eq!((ended.status, ended.text.as_str()), (204, ""));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(server.manage(method, &path, Some(&next), Some(&body)).await.status, 401);
    }
    // H-10
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", id),
        ("client_secret", told["client_secret"].as_str().unwrap()),
    ];
    let request = server.http.post(format!("{}/oauth/token", server.public)).form(&form);
    let gone = answer(request).await;
    assert_eq!((gone.status, gone.error().as_str()), (401, "invalid_client"));
}

/// H-06, R-58: one address runs dry; what is full makes room by ending who was never used.
#[tokio::test]
async fn a_flood_of_registrations_ends_nobody_who_is_there() {
    let defaults = DynamicParts::default();
    let registration = RegistrationOptions { per_hour: 5, max_clients: 3, ..defaults.registration };
    let server =
        Setup { dynamic: DynamicParts { registration, ..DynamicParts::default() }, ..Setup::default() }.start().await;
    let id = |answer: Answer| answer.json()["client_id"].as_str().unwrap().to_owned();
    let first = id(server.register(&native()).await);
    use_client(&server, &first).await;
    let second = id(server.register(&native()).await);
    for _ in 0..3 {
        server.clock.advance(1);
        assert_eq!(server.register(&native()).await.status, 201);
    }
    let limited = server.register(&native()).await;
    assert_eq!((limited.status, limited.error().as_str()), (429, "temporarily_unavailable"));
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(server.metric("holdfast_rate_limit_exceeded_total{endpoint=\"register\"} 1"));
    server.store.refresh().await.unwrap();
    assert_eq!(server.registered(), 3);
    assert!(server.store.snapshot().client(&first).is_some(), "who is used stays");
    assert!(server.store.snapshot().client(&second).is_none(), "the oldest of the others went");
}

async fn use_client(server: &Server, id: &str) {
    use holdfast::domain::{Actor, Clock};
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    tx.use_dynamic(holdfast::store::Dynamic::Registration, id, server.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
}

/// H-06: the purge target `unused-clients`.
#[tokio::test]
async fn a_client_that_nobody_uses_ends() {
    let server = server().await;
    let id = |answer: Answer| answer.json()["client_id"].as_str().unwrap().to_owned();
    let (used, unused) = (id(server.register(&native()).await), id(server.register(&native()).await));
    use_client(&server, &used).await;
    server.clock.advance(24 * 3600 - 1);
    assert_eq!(purge(&server).await, 0);
    server.clock.advance(2);
    assert_eq!(purge(&server).await, 1);
    server.store.refresh().await.unwrap();
    let snapshot = server.store.snapshot();
    assert!(snapshot.client(&used).is_some() && snapshot.client(&unused).is_none());
    assert!(snapshot.client("reporter").is_some(), "what is managed never ends so");
    server.clock.advance(90 * 86_400);
    assert_eq!(purge(&server).await, 1);
}
