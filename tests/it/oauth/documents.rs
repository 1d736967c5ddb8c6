//! Clients that a document describes: fetched when they must be, believed only when everything fits.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast::domain::client::AuthenticationMethod;
use holdfast::domain::policy::Policy;
use holdfast::oauth::{DocumentOptions, Domains, DynamicParts, Error, Verdict};
use serde_json::{Value, json};

use super::authorize::stage::{self, ADA, PASSWORD, asks_consent, asks_password, code};
use super::harness::{Server, Setup, purge};
use crate::support::browser::Browser;
use crate::support::elsewhere::{Elsewhere, Names, Page};

const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

struct World {
    elsewhere: Elsewhere,
    server: Server,
    names: Arc<Names>,
}

impl World {
    async fn start(change: impl FnOnce(&mut DocumentOptions)) -> Self {
        let elsewhere = Elsewhere::start().await;
        let names: Arc<Names> = Arc::default();
        let server = server_beside(&elsewhere, &names, change).await;
        Self { elsewhere, server, names }
    }

    fn id(&self, path: &str) -> String {
        self.elsewhere.url("app.example", path)
    }

    fn document(&self, path: &str, change: Value) -> String {
        let id = self.id(path);
        let mut body = json!({"client_id": id, "client_name": "A tool", "redirect_uris": ["http://127.0.0.1/cb"]});
        change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body.to_string()
    }

    fn put(&self, path: &str, change: Value) {
        self.elsewhere.put(path, Page::json(&self.document(path, change)));
    }

    /// Whether it resolves to a client.
    async fn resolves(&self, id: &str) -> bool {
        match self.server.server.resolve_client(id, SOMEWHERE).await {
            Ok(entry) => {
                assert_eq!(entry.id, id);
                true
            }
            Err(error) => {
                let refusal = error.refusal().map(|reason| reason.code());
                assert_eq!(refusal, Some("invalid_client"), "{id}: {error:?}");
                false
            }
        }
    }

    fn documents(&self) -> usize {
        self.server.store.snapshot().clients().filter(|entry| entry.id.starts_with("https://")).count()
    }
}

async fn server_beside(elsewhere: &Elsewhere, names: &Arc<Names>, change: impl FnOnce(&mut DocumentOptions)) -> Server {
    let mut dynamic = DynamicParts::default();
    change(&mut dynamic.documents);
    dynamic.outbound = elsewhere.outbound(Arc::clone(names));
    Setup { dynamic, ..Setup::default() }.start().await
}

/// CI-03, CI-09, CI-16, CI-17, R-41: a document becomes a client like every other, and costs one request.
#[tokio::test]
async fn a_document_becomes_a_client() {
    let world = World::start(|_| {}).await;
    world.put(
        "/client.json",
        json!({"client_uri": "https://app.example", "logo_uri": "https://app.example/logo.svg", "x": [1]}),
    );
    let id = world.id("/client.json");
    for _ in 0..3 {
        let entry = world.server.server.resolve_client(&id, SOMEWHERE).await.unwrap();
        assert_eq!((entry.client.display_name.as_str(), entry.owner.as_ref()), ("A tool", None));
        assert_eq!(entry.client.authentication_method, AuthenticationMethod::None);
        assert!(entry.client.resources.is_empty());
    }
    let requests = world.elsewhere.requests();
    assert_eq!(requests.len(), 1, "CI-16: nor is its logo fetched: {requests:?}");
    assert!(requests[0].to_lowercase().contains("accept: application/json"));
    assert!(world.server.metric("holdfast_clients_registered_total{source=\"cimd\"} 1"));
    assert!(world.server.metric("holdfast_cimd_fetch_duration_seconds_count{outcome=\"success\"} 1"));
    let metadata = world.server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["client_id_metadata_document_supported"], true, "M-06");
}

/// CI-01, CI-05, CI-17, CI-19: what is no such URL, and whose domain is denied, is not asked for.
#[tokio::test]
async fn nobody_is_asked_in_vain() {
    let world = World::start(|options| options.domains.denied = ["denied.example".to_owned()].into()).await;
    world.put("/client.json", json!({}));
    let port = world.elsewhere.port;
    for id in [
        format!("http://app.example:{port}/client.json"),
        format!("https://app.example:{port}"),
        format!("https://app.example:{port}/"),
        format!("https://app.example:{port}/client.json?x=1"),
        format!("https://app.example:{port}/client.json#f"),
        format!("https://user@app.example:{port}/client.json"),
        format!("https://app.example:{port}/a/../client.json"),
        format!("https://app.example:{port}/%2e%2e/client.json"),
        format!("https://127.0.0.1:{port}/client.json"),
        format!("https://2130706433:{port}/client.json"),
        format!("https://denied.example:{port}/client.json"),
        format!("https://x.DENIED.example:{port}/client.json"),
        "dcr_nobody".to_owned(),
        String::new(),
    ] {
        assert!(!world.resolves(&id).await, "{id}");
    }
    assert_eq!((world.elsewhere.connections(), world.names.asked().len(), world.documents()), (0, 0, 0));
    assert!(world.server.metric("holdfast_cimd_fetch_suppressed_total{reason=\"domain\"} 2"));
}

/// M-06: switched off, nothing is fetched, and what was fetched before counts no more.
#[tokio::test]
async fn documents_can_be_switched_off() {
    let world = World::start(|options| options.enabled = false).await;
    world.put("/client.json", json!({}));
    assert!(!world.resolves(&world.id("/client.json")).await);
    assert_eq!(world.elsewhere.connections(), 0);
    let metadata = world.server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["client_id_metadata_document_supported"], false);
}

/// CI-02: a URL that is written differently is another client.
#[tokio::test]
async fn ids_are_compared_as_they_are_written() {
    let world = World::start(|_| {}).await;
    world.put("/client.json", json!({}));
    let id = world.id("/client.json");
    assert!(world.resolves(&id).await);
    for other in [
        id.replace("app.example", "APP.example"),
        id.replace("client.json", "%63lient.json"),
        id.replace("/client", "//client"),
    ] {
        world.elsewhere.put("/%63lient.json", Page::json(&world.document("/client.json", json!({}))));
        world.elsewhere.put("//client.json", Page::json(&world.document("/client.json", json!({}))));
        assert!(!world.resolves(&other).await, "{other}: its client_id is another");
    }
    assert_eq!(world.documents(), 1);
}

/// CI-03, CI-04, CI-07 to CI-11, R-46: refused, one generic answer, nothing kept, and a good document afterwards is good.
#[tokio::test]
async fn what_makes_no_client_is_not_kept() {
    let world = World::start(|options| options.per_host = 1000).await;
    let good = world.document("/c", json!({}));
    let page =
        |head: &str, body: &str| Page::raw(&format!("{head}\r\ncontent-length: {}", body.len()), body.as_bytes());
    let json_page = |body: &str| page("200 OK\r\ncontent-type: application/json", body);
    let change = |change: Value| json_page(&world.document("/c", change));
    let pages = [
        ("201", page("201 Created\r\ncontent-type: application/json", &good)),
        ("redirect", page("302 Found\r\nlocation: /d\r\ncontent-type: application/json", &good)),
        ("404", page("404 Not Found\r\ncontent-type: application/json", &good)),
        ("html", page("200 OK\r\ncontent-type: text/html", &good)),
        ("no type", page("200 OK", &good)),
        ("not json", json_page("<html>")),
        ("list", json_page("[]")),
        ("twice", json_page(&good.replacen('{', "{\"client_name\":\"x\",", 1))),
        ("not utf-8", Page::raw("200 OK\r\ncontent-type: application/json\r\ncontent-length: 3", b"{\"\xff")),
        ("large", change(json!({"x": "y".repeat(5120)}))),
        ("other id", change(json!({"client_id": world.id("/d")}))),
        ("no id", change(json!({"client_id": null}))),
        ("id of another case", change(json!({"client_id": world.id("/C")}))),
        ("no name", change(json!({"client_name": ""}))),
        ("no redirects", change(json!({"redirect_uris": []}))),
        ("scheme", change(json!({"redirect_uris": ["javascript:/x"]}))),
        ("unknown scheme", change(json!({"redirect_uris": ["com.app:/x"]}))),
        ("secret", change(json!({"client_secret": "x"}))),
        ("method", change(json!({"token_endpoint_auth_method": "client_secret_basic"}))),
        ("private key", change(json!({"jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}))),
        ("logo", change(json!({"logo_uri": "http://169.254.169.254/"}))),
    ];
    let id = world.id("/c");
    for (what, page) in pages {
        world.elsewhere.put("/c", page);
        let before = world.elsewhere.requests().len();
        assert!(!world.resolves(&id).await, "{what}");
        assert_eq!(world.elsewhere.requests().len(), before + 1, "{what}: errors are not remembered");
        assert_eq!(world.documents(), 0, "{what}");
        world.server.clock.advance(60);
    }
    world.elsewhere.put(
        "/c",
        Page::raw(
            &format!(
                "200 OK\r\ncontent-type: application/problem+JSON; charset=utf-8\r\ncontent-length: {}",
                good.len()
            ),
            good.as_bytes(),
        ),
    );
    assert!(world.resolves(&id).await);
}

/// CI-20, R-44: how long a refusal takes says nothing of what was met.
#[tokio::test]
async fn every_failure_takes_the_same_time() {
    let world = World::start(|_| {}).await;
    world.names.say("sub.app.example", &[&["10.0.0.1"]]);
    world.elsewhere.put("/html", Page::raw("200 OK\r\ncontent-length: 1", b"x"));
    let slow = Page { pause: Duration::from_millis(400), ..Page::json("{}") };
    world.elsewhere.put("/slow", slow);
    for id in [
        world.id("/html"),
        world.id("/nothing"),
        world.id("/slow"),
        world.elsewhere.url("sub.app.example", "/c"),
        "https://app.example:1/c".to_owned(),
    ] {
        let began = Instant::now();
        assert!(!world.resolves(&id).await);
        let took = began.elapsed().as_secs_f64();
        assert!((1.0..1.4).contains(&took), "{id}: {took}");
    }
}

/// CI-13, R-46, FT-18: however many ask at once, one fetches; whoever waited for a failure shares it.
#[tokio::test]
async fn many_who_ask_at_once_are_one_fetch() {
    let world = World::start(|options| options.per_source = 1000).await;
    let body = world.document("/c", json!({}));
    world.elsewhere.put("/c", Page { pause: Duration::from_millis(200), ..Page::json(&body) });
    let id = world.id("/c");
    let all = (0..50).map(|_| world.resolves(&id));
    assert!(futures::future::join_all(all).await.into_iter().all(|found| found));
    assert_eq!(world.elsewhere.requests().len(), 1);
    let missing = world.id("/missing");
    let began = Instant::now();
    let all = (0..50).map(|_| world.resolves(&missing));
    assert!(futures::future::join_all(all).await.into_iter().all(|found| !found));
    assert_eq!(world.elsewhere.requests().len(), 2);
    assert!(began.elapsed() < Duration::from_secs(3));
}

/// CI-13, CI-14: fresh for as long as the document says, within what configuration allows.
#[tokio::test]
async fn a_document_is_fetched_again_when_it_is_no_longer_fresh() {
    for (cache_control, fresh) in [
        ("", 300),
        ("cache-control: max-age=10\r\n", 300),
        ("cache-control: no-store\r\n", 300),
        ("cache-control: public, max-age=3600\r\n", 3600),
        ("cache-control: max-age=99999999\r\n", 86_400),
        ("cache-control: max-age=x\r\n", 300),
    ] {
        let world = World::start(|_| {}).await;
        let body = world.document("/c", json!({}));
        let head = format!("200 OK\r\n{cache_control}content-type: application/json\r\ncontent-length: {}", body.len());
        world.elsewhere.put("/c", Page::raw(&head, body.as_bytes()));
        let id = world.id("/c");
        assert!(world.resolves(&id).await);
        world.server.clock.advance(fresh - 1);
        assert!(world.resolves(&id).await);
        assert_eq!(world.elsewhere.requests().len(), 1, "{cache_control}");
        world.server.clock.advance(2);
        world.put("/c", json!({"client_name": "Renamed"}));
        assert!(world.resolves(&id).await);
        assert_eq!(world.elsewhere.requests().len(), 2, "{cache_control}");
        let renamed = world.server.store.snapshot().client(&id).unwrap().client.display_name.clone();
        assert_eq!(renamed, "Renamed");
        // expired and gone: no authorization begins (CI-14)
        world.server.clock.advance(86_401);
        world.elsewhere.put("/c", Page::raw("500 X\r\ncontent-length: 0", b""));
        assert!(!world.resolves(&id).await);
    }
}

/// CI-13: neither a source nor a host is troubled without end.
#[tokio::test]
async fn fetches_are_limited() {
    let world = World::start(|options| (options.per_source, options.per_host) = (3, 2)).await;
    for path in ["/a", "/b", "/c"] {
        world.put(path, json!({}));
    }
    assert!(world.resolves(&world.id("/a")).await && world.resolves(&world.id("/b")).await);
    assert!(!world.resolves(&world.id("/c")).await, "the host was asked twice");
    let limited = world.server.server.resolve_client(&world.id("/c"), SOMEWHERE).await;
    assert!(matches!(limited, Err(Error::Limited { .. })), "the source asked three times");
    assert!(world.resolves(&world.id("/a")).await, "what is fresh costs nobody anything");
    assert_eq!(world.elsewhere.requests().len(), 2);
    for reason in ["host", "source"] {
        assert!(
            world.server.metric(&format!("holdfast_cimd_fetch_suppressed_total{{reason=\"{reason}\"}} 1")),
            "{reason}"
        );
    }
}

/// CI-19: the domain policy, and redirects to the document's own host.
#[tokio::test]
async fn configuration_says_whose_documents_are_believed() {
    let domains = Domains { allowed: ["app.example".to_owned()].into(), others: Verdict::Denied, ..Domains::default() };
    let world = World::start(|options| (options.domains, options.same_host) = (domains, true)).await;
    world.put("/c", json!({"redirect_uris": ["https://app.example/cb", "http://localhost/cb", "cursor:/cb"]}));
    world.put("/d", json!({"redirect_uris": ["https://other.example/cb"]}));
    assert!(world.resolves(&world.id("/c")).await);
    assert!(!world.resolves(&world.id("/d")).await);
    assert!(!world.resolves(&world.elsewhere.url("other.example", "/c")).await);
    let warned = Domains { others: Verdict::Warned, ..Domains::default() };
    let world = World::start(|options| options.domains = warned).await;
    world.put("/c", json!({}));
    assert!(world.resolves(&world.id("/c")).await && world.server.server.is_from_elsewhere(&world.id("/c")));
}

/// S6, M-11, CI-15, CI-19: people see where an application comes from, and are asked again when it calls itself something
/// else.
#[tokio::test]
async fn people_see_where_an_application_comes_from() {
    let warned = Domains { others: Verdict::Warned, ..Domains::default() };
    let world = World::start(|options| options.domains = warned).await;
    let back = "https://app.example/cb";
    world.put("/c", json!({"redirect_uris": [back]}));
    world.server.put("rs_files", &stage::files(json!({}))).await;
    world.server.store.refresh().await.unwrap();
    stage::person(&world.server, ADA).await;
    let browser = Browser::at(&world.server.public);
    let asked = stage::request(&world.id("/c"), &[("redirect_uri", back), ("scope", "")]);
    let page = browser.sign_in(&browser.open(&asked).await, ADA, PASSWORD).await;
    let text = page.text();
    let parts = ["Allow A tool?", "Application at", "You will be sent to", "app.example", "Nobody here knows"];
    for part in parts {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    code(&browser.decide(&page, "allow").await);
    code(&browser.open(&asked).await);
    world.put("/c", json!({"redirect_uris": [back], "client_name": "Your bank"}));
    world.server.clock.advance(25 * 3600);
    let page = browser.open(&asked).await;
    assert!(asks_password(&page));
    let page = browser.sign_in(&page, ADA, PASSWORD).await;
    assert!(asks_consent(&page) && page.text().contains("Allow Your bank?"), "{}", page.text());
}

/// H-06 for documents: what is full makes room by ending who was never used; and the purge ends them in time.
#[tokio::test]
async fn documents_do_not_pile_up() {
    let world = World::start(|options| options.max_clients = 2).await;
    for path in ["/a", "/b", "/c"] {
        world.put(path, json!({}));
        assert!(world.resolves(&world.id(path)).await);
        world.server.clock.advance(1);
    }
    world.server.store.refresh().await.unwrap();
    assert_eq!(world.documents(), 2);
    world.server.clock.advance(25 * 3600);
    assert_eq!(purge(&world.server).await, 2);
    world.server.store.refresh().await.unwrap();
    assert_eq!(world.documents(), 0);
}

/// What an administrator decided about such a client, its document does not undo.
#[tokio::test]
async fn a_suspended_document_stays_suspended() {
    use holdfast::domain::Spec;
    use holdfast::domain::client::ClientState;
    let world = World::start(|_| {}).await;
    world.put("/c", json!({}));
    let id = world.id("/c");
    assert!(world.resolves(&id).await);
    let mut client = world.server.store.snapshot().client(&id).unwrap().client.clone();
    client.state = ClientState::Suspended;
    world.server.put(&id, &Spec::Client(client)).await;
    world.server.clock.advance(301);
    world.put("/c", json!({"client_name": "Renamed"}));
    let entry = world.server.server.resolve_client(&id, SOMEWHERE).await.unwrap();
    assert_eq!((entry.client.state, entry.client.display_name.as_str()), (ClientState::Suspended, "Renamed"));
}
