//! What the rest of the protocol costs, in the same process accounting: one row a flow, and how many floors it is worth.

use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::process::Server;
use crate::{Result, SECRET};

const WORKERS: usize = 16;
const ROUND: Duration = Duration::from_secs(3);
pub const EMAIL: &str = "bench@example.com";
pub const PASSWORD: &str = "bench battery staple";
const REDIRECT: &str = "http://127.0.0.1/callback";
const ISSUER: &str = "http://localhost:9000";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What is measured; each is one operation a round trip, or a few where it says so.
#[derive(Clone, Copy, PartialEq)]
pub enum Flow {
    Jwks,
    Introspect,
    IssueAndRevoke,
    PrivateKeyJwt,
    Dpop,
    Refresh,
    CodeAndToken,
}

impl Flow {
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Jwks, "JWKS"),
        (Self::Introspect, "introspection"),
        (Self::IssueAndRevoke, "client_credentials and its revocation"),
        (Self::PrivateKeyJwt, "client_credentials by private_key_jwt"),
        (Self::Dpop, "client_credentials bound by DPoP"),
        (Self::Refresh, "refresh"),
        (Self::CodeAndToken, "authorization code with PKCE, implicit consent, and its token"),
    ];
}

/// A key of a client: signs assertions and proofs.
pub struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Key {
    pub fn generate() -> Result<Self> {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?;
        Ok(Self { pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())?, random })
    }

    pub fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let member = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "x": member(&point[1..33]), "y": member(&point[33..65])})
    }

    fn sign(&self, header: &Value, claims: &Value) -> Result<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut text = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&self.random, text.as_bytes())?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut text);
        Ok(text)
    }
}

/// One of those who ask at once.
struct Worker {
    http: Client,
    origin: String,
    /// Of the login session that all share.
    cookie: String,
    key: std::sync::Arc<Key>,
    token: String,
    refresh: String,
}

impl Worker {
    async fn prepare(&mut self, flow: Flow) -> Result<()> {
        match flow {
            Flow::Introspect => self.token = self.client_credentials().await?,
            Flow::Refresh => self.refresh = self.code_and_token().await?,
            _ => {}
        }
        Ok(())
    }

    async fn step(&mut self, flow: Flow) -> Result<()> {
        match flow {
            Flow::Jwks => ok(self.http.get(self.at("/.well-known/jwks.json")).send().await?).map(drop),
            Flow::Introspect => {
                let told = self.secret("/oauth/introspect", &[("token", &self.token)]).await?;
                if told["active"] == true { Ok(()) } else { Err("a token of ours is not active".into()) }
            }
            Flow::IssueAndRevoke => {
                let token = self.client_credentials().await?;
                self.secret("/oauth/revoke", &[("token", &token)]).await.map(drop)
            }
            Flow::PrivateKeyJwt => self.by_assertion().await,
            Flow::Dpop => self.bound().await,
            Flow::Refresh => {
                let form = [("grant_type", "refresh_token"), ("client_id", "person"), ("refresh_token", &self.refresh)];
                let told = json(self.http.post(self.at("/oauth/token")).form(&form).send().await?).await?;
                self.refresh = text(&told, "refresh_token")?;
                Ok(())
            }
            Flow::CodeAndToken => self.code_and_token().await.map(drop),
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn secret(&self, path: &str, form: &[(&str, &str)]) -> Result<Value> {
        json(self.http.post(self.at(path)).basic_auth("bench", Some(SECRET)).form(form).send().await?).await
    }

    async fn client_credentials(&self) -> Result<String> {
        text(&self.secret("/oauth/token", &[("grant_type", "client_credentials")]).await?, "access_token")
    }

    async fn by_assertion(&self) -> Result<()> {
        let now = seconds()?;
        let claims = json!({"iss": "workload", "sub": "workload", "aud": ISSUER, "iat": now, "exp": now + 60,
            "jti": Uuid::new_v4()});
        let assertion = self.key.sign(&json!({"alg": "ES256"}), &claims)?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", &assertion),
        ];
        json(self.http.post(self.at("/oauth/token")).form(&form).send().await?).await.map(drop)
    }

    async fn bound(&self) -> Result<()> {
        let now = seconds()?;
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.jwk()});
        let claims = json!({"jti": Uuid::new_v4(), "htm": "POST", "htu": format!("{ISSUER}/oauth/token"), "iat": now});
        let proof = self.key.sign(&header, &claims)?;
        let request = self.http.post(self.at("/oauth/token")).basic_auth("bench", Some(SECRET)).header("dpop", proof);
        let told = json(request.form(&[("grant_type", "client_credentials")]).send().await?).await?;
        if told["token_type"] == "DPoP" { Ok(()) } else { Err("the token is not bound".into()) }
    }

    /// Returns the refresh token.
    async fn code_and_token(&self) -> Result<String> {
        let verifier = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let query = [
            ("response_type", "code"),
            ("client_id", "person"),
            ("redirect_uri", REDIRECT),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let url = url::Url::parse_with_params(&self.at("/oauth/authorize"), query)?;
        let answer = self.http.get(url).header("cookie", &self.cookie).send().await?;
        let back = answer.headers().get("location").ok_or("no redirect")?.to_str()?;
        let back = url::Url::parse(back).map_err(|_| format!("not sent back: {back}"))?;
        let code = back.query_pairs().find(|(name, _)| name == "code").ok_or_else(|| format!("no code: {back}"))?.1;
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "person"),
            ("redirect_uri", REDIRECT),
            ("code", &code),
            ("code_verifier", &verifier),
        ];
        text(&json(self.http.post(self.at("/oauth/token")).form(&form).send().await?).await?, "refresh_token")
    }
}

/// Of UTC since 1970.
fn seconds() -> Result<u64> {
    Ok(std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs())
}

async fn json(answer: Response) -> Result<Value> {
    Ok(ok(answer)?.json().await?)
}

fn ok(answer: Response) -> Result<Response> {
    if answer.status() == StatusCode::OK { Ok(answer) } else { Err(format!("{}", answer.status()).into()) }
}

fn text(told: &Value, member: &str) -> Result<String> {
    Ok(told[member].as_str().ok_or_else(|| format!("no {member}"))?.to_owned())
}

/// Signs in once; the cookies that everybody then shows.
pub async fn sign_in(server: &Server) -> Result<String> {
    let http = Client::builder().redirect(Policy::none()).build()?;
    let page = http.get(format!("http://{}/login", server.address)).send().await?;
    let mut cookies = cookies(&page);
    let page = page.text().await?;
    let field = |name: &str| {
        let rest = page.split_once(&format!("name=\"{name}\" value=\"")).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    };
    let (to, csrf) = (field("to"), field("csrf"));
    let form = [("email", EMAIL), ("password", PASSWORD), ("to", &to), ("csrf", &csrf)];
    let url = format!("http://{}/login", server.address);
    let answer = http.post(url).header("cookie", cookies.join("; ")).form(&form).send().await?;
    if answer.status() != StatusCode::SEE_OTHER {
        return Err(format!("not signed in: {}", answer.status()).into());
    }
    cookies.extend(self::cookies(&answer));
    Ok(cookies.join("; "))
}

fn cookies(answer: &Response) -> Vec<String> {
    let set = answer.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    set.filter_map(|text| text.split(';').next().map(str::to_owned)).collect()
}

/// CPU microseconds of the server for one operation.
pub async fn measure(server: &Server, flow: Flow, cookie: &str, key: &std::sync::Arc<Key>) -> Result<f64> {
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let mut worker = Worker {
            http: Client::builder().redirect(Policy::none()).build()?,
            origin: format!("http://{}", server.address),
            cookie: cookie.to_owned(),
            key: key.clone(),
            token: String::new(),
            refresh: String::new(),
        };
        worker.prepare(flow).await?;
        worker.step(flow).await?;
        workers.push(worker);
    }
    let before = server.cpu()?;
    let until = Instant::now() + ROUND;
    let mut running = JoinSet::new();
    for mut worker in workers {
        running.spawn(async move {
            let mut steps = 0_u64;
            while Instant::now() < until {
                worker.step(flow).await.map_err(|error| error.to_string())?;
                steps += 1;
            }
            Ok::<_, String>(steps)
        });
    }
    let mut steps = 0;
    while let Some(ended) = running.join_next().await {
        steps += ended??;
    }
    Ok((server.cpu()? - before).as_secs_f64() * 1e6 / steps as f64)
}
