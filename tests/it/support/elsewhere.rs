//! A web server that somebody else runs: https on loopback, with a certificate authority, a resolver that lies when it
//! is told to, and pages that misbehave byte by byte.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast::outbound::{Options, Outbound, Resolver};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What is sent for one path, as it is; between pieces it pauses.
#[derive(Clone)]
pub struct Page {
    pub pieces: Vec<Vec<u8>>,
    pub pause: Duration,
}

impl Page {
    pub fn raw(head: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
        Self { pieces: vec![head.into_bytes(), body.to_vec()], pause: Duration::ZERO }
    }

    pub fn json(body: &str) -> Self {
        let head = format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        Self::raw(&head, body.as_bytes())
    }
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
    pages: Mutex<HashMap<String, Page>>,
}

/// The server.
pub struct Elsewhere {
    pub port: u16,
    /// Of the authority that signed for every name in `NAMES`.
    pub authority: String,
    seen: Arc<Seen>,
}

pub const NAMES: &[&str] = &["app.example", "other.example", "denied.example", "sub.app.example", "localhost"];

impl Elsewhere {
    pub async fn start() -> Self {
        let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).chain(["127.0.0.1".to_owned()]).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&seen)));
        Self { port, authority: authority_pem, seen }
    }

    pub fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }

    pub fn put(&self, path: &str, page: Page) {
        self.seen.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    #[allow(dead_code)] // for tests to come
    pub fn remove(&self, path: &str) {
        self.seen.pages.lock().unwrap().remove(path);
    }

    /// How often somebody came, even to say nothing.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// A client that may come here, by names that all lead to loopback unless `names` says otherwise.
    pub fn outbound(&self, names: Arc<Names>) -> Outbound {
        Outbound::new(Options {
            loopback: true,
            authorities: self.authority.clone().into_bytes(),
            resolver: names,
            ..Options::default()
        })
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(answer(stream, acceptor.clone(), Arc::clone(&seen)));
    }
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor, seen: Arc<Seen>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => head.extend_from_slice(&buffer[..n]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.requests.lock().unwrap().push(head);
    let page = seen.pages.lock().unwrap().get(&path).cloned();
    let page = page.unwrap_or_else(|| Page::raw("404 Not Found\r\ncontent-length: 0", b""));
    for piece in page.pieces {
        if stream.write_all(&piece).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        tokio::time::sleep(page.pause).await;
    }
    let _ = stream.shutdown().await;
}

/// A resolver with answers to give: each name has a list, and its last answer stays.
#[derive(Default)]
pub struct Names {
    answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub fn say(self: &Arc<Self>, host: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|list| list.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        self.answers.lock().unwrap().insert(host.to_owned(), answers);
    }

    /// Every name that was asked for, as it was.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolver for Names {
    fn resolve(&self, host: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let mut answers = self.answers.lock().unwrap();
        let found = match answers.get_mut(host.trim_end_matches('.')) {
            Some(list) if list.len() > 1 => list.pop_front().unwrap(),
            Some(list) => list.front().cloned().unwrap_or_default(),
            None => vec![Ipv4Addr::LOCALHOST.into()],
        };
        self.asked.lock().unwrap().push(host);
        Box::pin(async move { Ok(found) })
    }
}
