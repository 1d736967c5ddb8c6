//! The Transit engine of a Vault or OpenBao: it signs with keys that never leave it.
//!
//! Its address is configuration, so it may be anywhere. One pooled client, a deadline for each call, no proxy, no
//! redirect. Whoever runs it sees what is signed and nothing else of ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::domain::SecretText;
use crate::domain::resource_server::SigningAlgorithm;

/// A token that was read from a file is read again after this long.
const REREAD: Duration = Duration::from_secs(30);
/// Connections that were not used for so long are closed.
const IDLE: Duration = Duration::from_secs(90);

/// Where the engine is, and who we are to it.
#[derive(Debug, Clone)]
pub struct TransitOptions {
    /// `https://vault.example.com:8200`, without a slash at its end.
    pub address: String,
    /// Where the engine is mounted: `transit`.
    pub mount: String,
    /// Of Vault Enterprise or OpenBao; `None` = the root namespace.
    pub namespace: Option<String>,
    pub authentication: TransitAuthentication,
    /// More certificate authorities, in PEM.
    pub authorities: Vec<u8>,
    /// For one call, from connecting to the last byte.
    pub timeout: Duration,
}

/// How we prove who we are.
#[derive(Debug, Clone)]
pub enum TransitAuthentication {
    /// A token in a file, as an agent keeps it fresh.
    TokenFile(PathBuf),
    /// The Kubernetes auth method: the pod's projected ServiceAccount token against a role.
    Kubernetes { mount: String, role: String, token_file: PathBuf },
}

/// Why the engine did not do what it was asked. No token is in the message.
#[derive(Debug, thiserror::Error)]
pub enum TransitError {
    #[error("failed to prepare the client of the Transit engine")]
    Client(#[source] reqwest::Error),
    #[error("failed to read {}", path.display())]
    Token { path: PathBuf, source: std::io::Error },
    #[error("failed to reach the Transit engine")]
    Unreachable(#[source] reqwest::Error),
    #[error("the Transit engine refused {asked} with status {status}")]
    Refused { asked: &'static str, status: u16 },
    #[error("the Transit engine answered {0} with something else")]
    Answer(&'static str),
}

/// One version of a key, as the engine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitVersion {
    pub number: u64,
    /// PEM of a SubjectPublicKeyInfo, or base64 of an Ed25519 key.
    pub public_key: String,
}

struct Login {
    token: SecretText,
    until: Instant,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Transit {
    inner: Arc<Inner>,
}

struct Inner {
    client: reqwest::Client,
    options: TransitOptions,
    login: Mutex<Option<Login>>,
}

impl Transit {
    /// # Errors
    /// When a certificate authority cannot be read, or there is none at all.
    pub fn new(options: TransitOptions) -> Result<Self, TransitError> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(options.timeout)
            .timeout(options.timeout)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")));
        if !options.authorities.is_empty() {
            let authorities = reqwest::Certificate::from_pem_bundle(&options.authorities);
            builder = builder.tls_certs_merge(authorities.map_err(TransitError::Client)?);
        }
        let client = builder.build().map_err(TransitError::Client)?;
        Ok(Self { inner: Arc::new(Inner { client, options, login: Mutex::default() }) })
    }

    /// The signature of one version of a key, as a JWS has it (RFC 7518 §3).
    ///
    /// # Errors
    /// When the engine cannot be reached, refuses, or answers something else.
    pub async fn sign(
        &self,
        (name, version): (&str, u64),
        algorithm: SigningAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TransitError> {
        let digest = || STANDARD.encode(Sha256::digest(message));
        let body = match algorithm {
            SigningAlgorithm::ES256 => json!({
                "key_version": version, "input": digest(), "prehashed": true, "hash_algorithm": "sha2-256",
                "marshaling_algorithm": "jws",
            }),
            SigningAlgorithm::RS256 => json!({
                "key_version": version, "input": digest(), "prehashed": true, "hash_algorithm": "sha2-256",
                "signature_algorithm": "pkcs1v15",
            }),
            SigningAlgorithm::EdDSA => json!({"key_version": version, "input": STANDARD.encode(message)}),
        };
        let path = format!("{}/sign/{name}", self.inner.options.mount);
        let answer = self.call("a signature", Method::POST, &path, Some(&body)).await?;
        let unexpected = TransitError::Answer("a signature");
        let text = answer.as_ref().and_then(|answer| answer["data"]["signature"].as_str());
        // vault:v3:<base64>
        let signature = text.and_then(|text| text.strip_prefix(&format!("vault:v{version}:"))).ok_or(unexpected)?;
        let decoded = match algorithm {
            SigningAlgorithm::ES256 => URL_SAFE_NO_PAD.decode(signature),
            SigningAlgorithm::RS256 | SigningAlgorithm::EdDSA => STANDARD.decode(signature),
        };
        decoded.map_err(|_| TransitError::Answer("a signature"))
    }

    /// The latest version of a key; `None` = there is no such key.
    ///
    /// # Errors
    /// As [`Self::sign`]; also when the key is of another type.
    pub async fn latest(
        &self,
        name: &str,
        algorithm: SigningAlgorithm,
    ) -> Result<Option<TransitVersion>, TransitError> {
        let path = format!("{}/keys/{name}", self.inner.options.mount);
        let Some(answer) = self.call("a key", Method::GET, &path, None).await? else { return Ok(None) };
        let data = &answer["data"];
        let number = data["latest_version"].as_u64().filter(|_| data["type"] == kind(algorithm));
        let number = number.ok_or(TransitError::Answer("a key"))?;
        let public_key = data["keys"][number.to_string()]["public_key"].as_str();
        let public_key = public_key.ok_or(TransitError::Answer("a key"))?.to_owned();
        Ok(Some(TransitVersion { number, public_key }))
    }

    /// Makes a key, with its first version.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub async fn create(&self, name: &str, algorithm: SigningAlgorithm) -> Result<(), TransitError> {
        let path = format!("{}/keys/{name}", self.inner.options.mount);
        let body = json!({"type": kind(algorithm), "exportable": false, "allow_plaintext_backup": false});
        self.call("a new key", Method::POST, &path, Some(&body)).await.map(drop)
    }

    /// Makes the next version of a key.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub async fn rotate(&self, name: &str) -> Result<(), TransitError> {
        let path = format!("{}/keys/{name}/rotate", self.inner.options.mount);
        self.call("a rotation", Method::POST, &path, Some(&json!({}))).await.map(drop)
    }

    /// The answer's JSON, `None` for 404. A token that is no longer good is replaced once.
    async fn call(
        &self,
        asked: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, TransitError> {
        let mut retried = false;
        loop {
            let token = self.token(retried).await?;
            let response = self.send(method.clone(), path, Some(&token), body).await?;
            match response.status() {
                StatusCode::FORBIDDEN if !retried => retried = true,
                StatusCode::NOT_FOUND if method == Method::GET => return Ok(None),
                StatusCode::NO_CONTENT => return Ok(Some(Value::Null)),
                StatusCode::OK => {
                    return response.json().await.map(Some).map_err(|_| TransitError::Answer(asked));
                }
                status => return Err(TransitError::Refused { asked, status: status.as_u16() }),
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretText>,
        body: Option<&Value>,
    ) -> Result<reqwest::Response, TransitError> {
        let options = &self.inner.options;
        let mut request = self.inner.client.request(method, format!("{}/v1/{path}", options.address));
        request = request.header("X-Vault-Request", "true");
        if let Some(namespace) = &options.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(token) = token {
            request = request.header("X-Vault-Token", token.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        // the URL names no secret, but it is nobody's business either
        request.send().await.map_err(|error| TransitError::Unreachable(error.without_url()))
    }

    /// The token that we have, or a new one.
    async fn token(&self, renew: bool) -> Result<SecretText, TransitError> {
        let mut login = self.inner.login.lock().await;
        if let Some(known) = login.as_ref().filter(|known| !renew && Instant::now() < known.until) {
            return Ok(known.token.clone());
        }
        let fresh = match &self.inner.options.authentication {
            TransitAuthentication::TokenFile(path) => {
                Login { token: read(path).await?, until: Instant::now() + REREAD }
            }
            TransitAuthentication::Kubernetes { mount, role, token_file } => {
                let jwt = read(token_file).await?;
                self.log_in(mount, role, &jwt).await?
            }
        };
        let token = fresh.token.clone();
        *login = Some(fresh);
        Ok(token)
    }

    async fn log_in(&self, mount: &str, role: &str, jwt: &SecretText) -> Result<Login, TransitError> {
        let body = json!({"role": role, "jwt": jwt.expose()});
        let response = self.send(Method::POST, &format!("auth/{mount}/login"), None, Some(&body)).await?;
        if response.status() != StatusCode::OK {
            return Err(TransitError::Refused { asked: "a login", status: response.status().as_u16() });
        }
        let answer: Value = response.json().await.map_err(|_| TransitError::Answer("a login"))?;
        let token = answer["auth"]["client_token"].as_str().ok_or(TransitError::Answer("a login"))?;
        let seconds = answer["auth"]["lease_duration"].as_u64().filter(|seconds| *seconds > 0).unwrap_or(3600);
        // a third of the lease is left for whoever is slow
        let until = Instant::now() + Duration::from_secs(seconds) * 2 / 3;
        Ok(Login { token: SecretText::new(token), until })
    }
}

async fn read(path: &Path) -> Result<SecretText, TransitError> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|source| TransitError::Token { path: path.to_owned(), source })?;
    Ok(SecretText::new(text.trim()))
}

const fn kind(algorithm: SigningAlgorithm) -> &'static str {
    match algorithm {
        SigningAlgorithm::ES256 => "ecdsa-p256",
        SigningAlgorithm::EdDSA => "ed25519",
        SigningAlgorithm::RS256 => "rsa-2048",
    }
}
