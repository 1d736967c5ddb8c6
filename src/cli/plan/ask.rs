//! The one question that this program asks of a server: over TLS, or over http where nobody listens in between.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, Client, Url, header, redirect};
use serde_json::Value;

use crate::app::Error;
use crate::domain::{SecretText, chain};

/// A plan of thousands of objects takes a while.
const PATIENCE: Duration = Duration::from_secs(120);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Where the server is, and how it knows us.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// The admin port of the server
    #[arg(long, value_name = "URL", env = "HOLDFAST_SERVER_URL", default_value = "http://127.0.0.1:9001")]
    server: Url,
    /// A file that holds an API key of role viewer or higher. Default: the variable HOLDFAST_API_KEY
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// More certificate authorities for https, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Send the key over http to a host that is not this one
    #[arg(long)]
    insecure_http: bool,
}

/// `POST /admin/plan`
pub async fn plan(server: &Server, (namespace, prune): (&str, &[String]), text: String) -> Result<Value, Error> {
    let key = key(server)?;
    let mut url = place(server)?;
    url.query_pairs_mut().append_pair("namespace", namespace);
    if !prune.is_empty() {
        url.query_pairs_mut().append_pair("prune", &prune.join(","));
    }
    let request = client(server)?.post(url).bearer_auth(key.expose());
    let request = request.header(header::CONTENT_TYPE, "application/yaml").body(text);
    let failed = |error: reqwest::Error| Error::Refused(format!("failed to ask the server: {}", chain(&error)));
    let mut response = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::Refused("the server's answer is larger than 64 MiB".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    match (response.status(), answer) {
        (status, Some(answer)) if status.is_success() && answer["objects"].is_array() => Ok(answer),
        (status, answer) => {
            let told = answer.as_ref().and_then(|answer| answer["error_description"].as_str()).unwrap_or_default();
            let told: String = told.chars().filter(|c| !c.is_control()).take(300).collect();
            let told = if told.is_empty() { "is that the admin port of holdfast?".to_owned() } else { told };
            Err(Error::Refused(format!("the server answers {}: {told}", status.as_u16())))
        }
    }
}

fn key(server: &Server) -> Result<SecretText, Error> {
    let text = match &server.api_key_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Error::Refused(format!("failed to read {}: {error}", path.display())))?,
        None => std::env::var("HOLDFAST_API_KEY").unwrap_or_default(),
    };
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::Refused("an API key is needed: --api-key-file, or HOLDFAST_API_KEY".to_owned()));
    }
    Ok(SecretText::new(key))
}

/// A key travels, so http is for this host unless somebody says otherwise.
fn place(server: &Server) -> Result<Url, Error> {
    let url = &server.server;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback || server.insecure_http => {}
        "http" => {
            let text = "--server: a key would travel over http; use https, or say --insecure-http";
            return Err(Error::Refused(text.to_owned()));
        }
        _ => return Err(Error::Refused("--server: must be http or https".to_owned())),
    }
    let mut url = url.clone();
    let path = format!("{}/admin/plan", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(None);
    Ok(url)
}

/// No proxy, which would see the key; no redirect, which would take it elsewhere.
fn client(server: &Server) -> Result<Client, Error> {
    let mut builder = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE);
    if server.server.scheme() == "http" {
        // a host without certificate authorities can do this much
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &server.ca_file {
        let failed = |error: &dyn std::error::Error| {
            Error::Refused(format!("failed to read --ca-file {}: {}", path.display(), chain(error)))
        };
        let pem = std::fs::read(path).map_err(|error| failed(&error))?;
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(|error| failed(&error))?);
    }
    builder.build().map_err(|error| Error::Refused(format!("failed to prepare the HTTP client: {}", chain(&error))))
}
