//! An operator behind the proxy, some policy, and the authorization server on the same database, which somebody asks
//! for tokens all the time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::app::api_server::client;
use jiff::Timestamp;
use kube::Config;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::proxy::Proxy;
use crate::controller::harness::{self, Operator, World, eventually, resource_server};
use crate::oauth::harness::{HandClock, Server, Setup};

/// How often each object is looked at though nothing happened.
pub const RESCAN: Duration = Duration::from_secs(2);

pub struct Site {
    pub world: World,
    pub proxy: Proxy,
    pub server: Server,
    pub steady: Steady,
    /// As it was before anything happened.
    keys: Vec<String>,
}

/// Whoever asks for tokens all the time, with a credential that nobody changes.
pub struct Steady {
    asked: Arc<Mutex<u64>>,
    failed: Arc<Mutex<Vec<String>>>,
    stop: Option<DropGuard>,
}

impl Site {
    /// With resource server `mcp`, its client `steady`, and their operator.
    pub async fn begin() -> (Self, Operator) {
        Self::with(1).await
    }

    pub async fn with(namespaces: usize) -> (Self, Operator) {
        Self::on(World::with(namespaces).await).await
    }

    /// In a world that has no operator yet.
    pub async fn on(mut world: World) -> (Self, Operator) {
        let proxy = Proxy::before(world.client.clone()).await;
        world.door = Some(through(&proxy));
        world.rescan = RESCAN;
        let operator = world.operator().await;
        let uri = format!("https://{}.example.com/mcp", world.namespace());
        world.apply("ResourceServer", "mcp", resource_server(&uri)).await;
        world.apply("OAuthClient", "steady", named_client("steady")).await;
        world.ready("ResourceServer", "mcp").await;
        world.ready("OAuthClient", "steady").await;
        let clock = Some(Arc::new(HandClock::at(now())));
        let server = Setup { url: Some(world.url.clone()), clock, second: true, ..Setup::default() }.start().await;
        let id = world.secret("steady-oauth", "client_id").await;
        let secret = world.secret("steady-oauth", "client_secret").await;
        let steady = Steady::begin(&server, (id, secret)).await;
        let keys = keys(&world).await;
        (Self { world, proxy, server, steady, keys }, operator)
    }

    /// A client of `mcp` with a Secret of its own, Ready.
    pub async fn client(&self, name: &str) -> DynamicObject {
        self.world.apply("OAuthClient", name, named_client(name)).await;
        self.world.ready("OAuthClient", name).await
    }

    /// A token by the credential that a client's Secret holds now; the answer's status.
    pub async fn token_of(&self, name: &str) -> u16 {
        let (id, value) = self.credential_of(name).await;
        token(&self.server, &id, &value).await.0
    }

    /// An access token by the same credential.
    pub async fn access_token_of(&self, name: &str) -> String {
        let (id, value) = self.credential_of(name).await;
        let (status, answer) = token(&self.server, &id, &value).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Whether the server says to this client, by the same credential, that a token is good; and the key that signed it
    /// is published.
    pub async fn accepts(&self, name: &str, token: &str) -> bool {
        let (id, value) = self.credential_of(name).await;
        let request = self.server.http.post(format!("{}/oauth/introspect", self.server.public));
        let answer = request.basic_auth(id, Some(value)).form(&[("token", token)]).send().await.unwrap();
        assert_eq!(answer.status(), 200, "the client's credential opens nothing");
        let about: Value = answer.json().await.unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        let jwks = self.server.http.get(format!("{}/.well-known/jwks.json", self.server.public)).send().await.unwrap();
        let jwks: Value = jwks.json().await.unwrap();
        about["active"] == true && jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"])
    }

    async fn credential_of(&self, name: &str) -> (String, String) {
        let secret = format!("{name}-oauth");
        (self.world.secret(&secret, "client_id").await, self.world.secret(&secret, "client_secret").await)
    }

    /// The list of clients as the API server has it now, but for these.
    pub async fn list_without(&self, names: &[&str]) -> String {
        let path = format!("/apis/holdfast.dev/v1alpha1/namespaces/{}/oauthclients", self.world.namespace());
        let request = axum::http::Request::get(path).body(Vec::new()).unwrap();
        let mut list: Value = serde_json::from_str(&self.world.client.request_text(request).await.unwrap()).unwrap();
        let items = list["items"].as_array_mut().unwrap();
        items.retain(|item| !names.contains(&item["metadata"]["name"].as_str().unwrap()));
        list.to_string()
    }

    /// OV-3: what tokens are signed with is untouched.
    pub async fn keys_are_untouched(&self) {
        assert_eq!(keys(&self.world).await, self.keys, "OV-3");
    }

    /// Waits until the operator has looked at something this many times more.
    pub async fn looks(&self, operator: &Operator, times: u64) {
        looks(operator, times).await;
    }
}

/// Waits until the operator has looked at something this many times more.
pub async fn looks(operator: &Operator, times: u64) {
    let before = looked(operator);
    eventually("the operator to look again", async || (looked(operator) >= before + times).then_some(())).await;
}

/// The operator's way to the API server, by the program's own client.
pub fn through(proxy: &Proxy) -> kube::Client {
    client(Config::new(proxy.url.parse().unwrap())).unwrap()
}

pub fn named_client(name: &str) -> Value {
    let mut spec = harness::client();
    spec["authentication"]["secret"]["name"] = format!("{name}-oauth").into();
    spec
}

#[allow(clippy::disallowed_methods)] // the API server keeps the time of this test
pub fn now() -> Timestamp {
    Timestamp::now()
}

fn looked(operator: &Operator) -> u64 {
    let text = operator.metrics.render().unwrap();
    let counts = text.lines().filter(|line| line.starts_with("holdfast_reconciles_total{"));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

async fn keys(world: &World) -> Vec<String> {
    world
        .texts(
            "SELECT kid || ' ' || algorithm || ' ' || state || ' ' || hex(sealed_private) FROM signing_key ORDER BY 1",
        )
        .await
}

async fn token(server: &Server, id: &str, secret: &str) -> (u16, Value) {
    let form = [("grant_type", "client_credentials")];
    let request = server.http.post(format!("{}/oauth/token", server.public)).basic_auth(id, Some(secret)).form(&form);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

impl Steady {
    async fn begin(server: &Server, credential: (String, String)) -> Self {
        let (asked, failed) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
        let stop = CancellationToken::new();
        let (http, public) = (server.http.clone(), server.public.clone());
        let own = (Arc::clone(&asked), Arc::clone(&failed), stop.clone());
        eventually("the first token", async || {
            (token(server, &credential.0, &credential.1).await.0 == 200).then_some(())
        })
        .await;
        tokio::spawn(async move {
            let (asked, failed, stop) = own;
            let round = async || -> Result<(), String> {
                let post = |path: &str, form: &[(&str, &str)]| {
                    let request = http.post(format!("{public}{path}"));
                    request.basic_auth(&credential.0, Some(&credential.1)).form(form).send()
                };
                let told = |error: reqwest::Error| error.to_string();
                let answer = post("/oauth/token", &[("grant_type", "client_credentials")]).await.map_err(told)?;
                let answer: Value = answer.json().await.map_err(told)?;
                let token = answer["access_token"].as_str().ok_or_else(|| answer.to_string())?;
                let about: Value =
                    post("/oauth/introspect", &[("token", token)]).await.map_err(told)?.json().await.map_err(told)?;
                if about["active"] != true {
                    return Err(format!("a new token is {about}"));
                }
                let keys = http.get(format!("{public}/.well-known/jwks.json")).send().await.map_err(told)?;
                let keys: Value = keys.json().await.map_err(told)?;
                if keys["keys"].as_array().is_none_or(Vec::is_empty) { Err(keys.to_string()) } else { Ok(()) }
            };
            while !stop.is_cancelled() {
                match round().await {
                    Ok(()) => *asked.lock().unwrap() += 1,
                    Err(told) => failed.lock().unwrap().push(told),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { asked, failed, stop: Some(stop.drop_guard()) }
    }

    /// OV-12: no token was refused, whatever became of the operator.
    pub async fn end(&mut self) {
        // a fault may be over sooner than somebody has asked a few times
        eventually("somebody to have asked", async || {
            let failed = self.failed.lock().unwrap();
            assert!(failed.is_empty(), "OV-12: {failed:?}");
            (*self.asked.lock().unwrap() > 3).then_some(())
        })
        .await;
        self.stop = None;
    }
}

/// All objects of ours in a namespace.
pub async fn objects(world: &World, namespace: &str) -> Vec<DynamicObject> {
    let mut all = Vec::new();
    for kind in ["ResourceServer", "OAuthClient", "Provider"] {
        let api: Api<DynamicObject> = world.api(kind, namespace);
        let kind = kind.to_owned();
        all.extend(api.list(&Default::default()).await.unwrap().items.into_iter().map(|mut object| {
            // a list does not say it of each item
            object.data["kind"] = json!(kind);
            object
        }));
    }
    all
}
