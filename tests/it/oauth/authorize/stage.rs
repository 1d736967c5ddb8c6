//! Users, clients and a resource for everything that happens in a browser.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::domain::user::{AccountRole, Email};
use holdfast::domain::{Actor, SecretText, Spec};
use holdfast::identity::NewAccount;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::oauth::harness::{Answer, ISSUER, Server, Setup, answer, client, credential, resource_server, secret};
use crate::support::browser::{Browser, Page};

pub const VERIFIER: &str = "verifier-0123456789-0123456789-0123456789-0123456789";
pub const FILES: &str = "https://files.example.com/mcp";
pub const ADA: &str = "ada@example.com";
pub const PASSWORD: &str = "correct horse battery staple";
/// Has no role anywhere but the default one.
pub const BOB: &str = "bob@example.com";

/// Everything that a test needs.
pub struct Stage {
    pub server: Server,
    url: String,
    pub ada: String,
    pub bob: String,
}

/// The challenge of [`VERIFIER`].
pub fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

/// A client that people use.
pub fn app(change: Value) -> Spec {
    let mut value = json!({
        "displayName": "Web App", "grantTypes": ["authorization_code", "refresh_token"],
        "redirectURIs": ["https://app.example.com/cb"], "authenticationMethod": "None",
        "tokens": {"refreshLifetimeSeconds": 86400, "refreshIdleSeconds": 3600},
        "resources": [{"name": "files", "resourceServerID": "rs_files", "scopes": ["files.read", "files.write"]}]
    });
    let Value::Object(change) = change else { panic!() };
    value.as_object_mut().unwrap().extend(change);
    client(value)
}

/// What people have access to.
pub fn files(change: Value) -> Spec {
    let scope = |name: &str, risk: &str| json!({"name": name, "description": format!("To {name}"), "risk": risk, "upstream": ""});
    let mut value = json!({
        "displayName": "Files",
        "scopes": [scope("files.read", "Low"), scope("files.write", "High"), scope("files.own", "High")],
        "roles": [
            {"name": "reader", "scopes": ["files.read"]},
            {"name": "writer", "scopes": ["files.read", "files.write"]}],
        "defaultRole": "reader", "dynamicClients": "All", "consent": "ImplicitAllowed"
    });
    let Value::Object(change) = change else { panic!() };
    value.as_object_mut().unwrap().extend(change);
    resource_server(FILES, value)
}

impl Stage {
    pub async fn set() -> Self {
        Self::on(Setup::default()).await
    }

    pub async fn on(setup: Setup) -> Self {
        let url = setup.url.clone();
        let server = setup.start().await;
        let own = || format!("sqlite://{}", server.directory.as_ref().unwrap().path().join("holdfast.db").display());
        let url = url.unwrap_or_else(own);
        let (ada, bob) = (person(&server, ADA).await, person(&server, BOB).await);
        let binding = json!([{"name": "team", "role": "writer", "subjects": [{"kind": "User", "name": ada}]}]);
        server.put("rs_files", &files(json!({"roleBindings": binding}))).await;
        let two = json!(["https://app.example.com/cb", "http://127.0.0.1/cb", "https://app.example.com/cb?a=%2f&b"]);
        let clients = [
            ("app", app(json!({"redirectURIs": two}))),
            ("confidential", app(json!({"authenticationMethod": "ClientSecretBasic"}))),
            ("quiet", app(json!({"consent": "Implicit", "displayName": "Quiet"}))),
            ("dcr_tool", app(json!({"displayName": "Tool", "resources": [], "redirectURIs": ["http://127.0.0.1/cb"]}))),
            ("dcr_site", app(json!({"displayName": "Site", "resources": []}))),
            ("asleep", app(json!({"state": "Suspended"}))),
            (
                "machine",
                app(json!({"grantTypes": ["client_credentials"], "authenticationMethod": "ClientSecretBasic"})),
            ),
        ];
        for (id, spec) in clients {
            server.put(id, &spec).await;
        }
        let mut tx = server.store.write(&Actor::controller()).await.unwrap();
        let secret = credential("cred-confidential", &secret("confidential"));
        tx.put_credential("confidential", &secret).await.unwrap();
        tx.commit().await.unwrap();
        server.store.refresh().await.unwrap();
        Self { server, url, ada, bob }
    }

    pub fn browser(&self) -> Browser {
        Browser::at(&self.server.public)
    }

    /// A browser in which this person is signed in.
    pub async fn signed_in(&self, email: &str) -> Browser {
        let browser = self.browser();
        let page = browser.open("/login").await;
        let page = browser.sign_in(&page, email, PASSWORD).await;
        assert_eq!(page.status, 200, "{}", page.html);
        browser
    }

    /// The token request for a code.
    pub async fn redeem(&self, client: &str, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![("grant_type", "authorization_code"), ("code", code), ("code_verifier", VERIFIER)];
        form.extend_from_slice(more);
        let request = self.server.http.post(format!("{}/oauth/token", self.server.public));
        if client == "confidential" {
            answer(request.basic_auth(client, Some(secret(client))).form(&form)).await
        } else {
            form.push(("client_id", client));
            answer(request.form(&form)).await
        }
    }

    /// How many rows of a table there are.
    pub async fn rows(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    /// One number out of the database.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.url.starts_with("postgres") {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            return sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        }
        let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }
}

/// Somebody with an account; says the id.
pub async fn person(server: &Server, email: &str) -> String {
    let new = NewAccount {
        email: Email::parse(email).unwrap(),
        name: "A Person".to_owned(),
        role: AccountRole::User,
        password: SecretText::new(PASSWORD),
    };
    match server.identity.create(new, &Actor::recorded("test")).await {
        Ok(account) => account.id,
        // another server on the same database made it
        Err(_) => server.identity.account_by_email(&Email::parse(email).unwrap()).await.unwrap().unwrap().id,
    }
}

/// The path of a request with these parameters in the place of, or beside, the usual ones; an empty one is left out.
pub fn request(client: &str, change: &[(&str, &str)]) -> String {
    let challenge = challenge();
    let mut all = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", "https://app.example.com/cb"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", FILES),
        ("scope", "files.read"),
        ("state", "the state"),
    ];
    for (name, value) in change {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => all.push((name, value)),
        }
    }
    all.retain(|(_, value)| !value.is_empty());
    format!("/oauth/authorize?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish())
}

/// The page refuses and sends nobody anywhere.
pub fn refused(page: &Page, status: u16, code: &str) {
    assert_eq!((page.status, page.location()), (status, None), "{}", page.html);
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.html.contains(&format!("<code>{code}</code>")), "{code} is not in\n{}", page.text());
}

/// The client is told this error, with the state and who says so: A-12, M-05.
pub fn told(page: &Page, code: &str) {
    assert_eq!(page.status, 303, "{}", page.html);
    assert_eq!(page.returned("error").as_deref(), Some(code), "{page:?}");
    assert_eq!(page.returned("state").as_deref(), Some("the state"));
    assert_eq!(page.returned("iss").as_deref(), Some(ISSUER));
    assert_eq!(page.returned("code"), None);
}

/// The client is given a code, with the state and who gives it.
pub fn code(page: &Page) -> String {
    assert_eq!(page.status, 303, "{}", page.html);
    assert_eq!(page.returned("state").as_deref(), Some("the state"), "{page:?}");
    assert_eq!(page.returned("iss").as_deref(), Some(ISSUER));
    page.returned("code").unwrap_or_else(|| panic!("no code: {page:?}"))
}

/// Which page is shown.
pub fn asks_consent(page: &Page) -> bool {
    page.status == 200 && page.html.contains("name=\"decision\"")
}

pub fn asks_password(page: &Page) -> bool {
    page.status == 200 && page.html.contains("type=\"password\"")
}
