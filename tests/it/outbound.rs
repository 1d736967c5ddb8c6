//! What is fetched because somebody named a URL: only from where strangers may send us, only so much, and only so long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast::outbound::{Ask, Error, Options, Outbound, Trust};
use tokio::net::TcpListener;

use crate::support::elsewhere::{Elsewhere, Names, Page};

fn ask(url: &str, trust: Trust) -> Ask<'_> {
    Ask { url, trust, accept: "application/json", limit: 5 * 1024 }
}

/// A listener that must never be reached.
struct Canary {
    listener: TcpListener,
    port: u16,
}

impl Canary {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    async fn is_untouched(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(50), self.listener.accept()).await.is_err()
    }
}

/// CI-05, CI-06, R-43: zero packets, whatever the address is called.
#[tokio::test]
async fn a_stranger_cannot_send_us_home() {
    let canary = Canary::start().await;
    let names: Arc<Names> = Arc::default();
    let private: &[&[&str]] = &[&["127.0.0.1"]];
    for name in ["rebound.example", "kubernetes.default.svc", "metadata.google.internal"] {
        names.say(name, private);
    }
    names.say("mixed.example", &[&["93.184.216.34", "127.0.0.1"]]);
    names.say("mixed6.example", &[&["2606:4700::1111", "::1"]]);
    names.say("mapped.example", &[&["::ffff:127.0.0.1"]]);
    names.say("nat64.example", &[&["64:ff9b::7f00:1"]]);
    names.say("nothing.example", &[&[]]);
    let outbound = Outbound::new(Options { resolver: names.clone(), ..Options::default() });
    let port = canary.port;
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "[::]",
        "169.254.169.254",
        "10.0.0.1",
        "93.184.216.34",
        "localhost",
        "localhost.",
        "rebound.example.",
        "kubernetes",
        "rebound.example",
        "kubernetes.default.svc",
        "metadata.google.internal",
        "mixed.example",
        "mixed6.example",
        "mapped.example",
        "nat64.example",
        "nothing.example",
        "user@rebound.example",
        "user:pw@rebound.example",
        "LOCALHOST",
        "\u{ff11}27.0.0.1",
    ] {
        let url = format!("https://{host}:{port}/x");
        let refused = outbound.get(&ask(&url, Trust::Stranger)).await.unwrap_err();
        let forbidden = matches!(&refused, Error::Forbidden) || source_is_forbidden(&refused);
        assert!(forbidden, "{url}: {refused:?}");
    }
    for url in
        [format!("http://rebound.example:{port}/"), "file:///etc/passwd".to_owned(), "ftp://a.example/".to_owned()]
    {
        assert!(matches!(outbound.get(&ask(&url, Trust::Stranger)).await, Err(Error::Forbidden)), "{url}");
    }
    for url in ["https://[fe80::1%25eth0]/", "https://", "", "x"] {
        assert!(outbound.get(&ask(url, Trust::Stranger)).await.is_err(), "{url}");
    }
    assert!(canary.is_untouched().await);
    let asked = names.asked();
    assert!(asked.iter().all(|name| name.ends_with('.')), "no search domain is tried: {asked:?}");
    assert!(!asked.iter().any(|name| name.starts_with("localhost")), "{asked:?}");
}

fn source_is_forbidden(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if matches!(cause.downcast_ref::<Error>(), Some(Error::Forbidden)) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// CI-05: the name is resolved once, and what was looked at is what is dialled.
#[tokio::test]
async fn a_second_answer_is_never_asked_for() {
    let elsewhere = Elsewhere::start().await;
    elsewhere.put("/x", Page::json("{}"));
    let names: Arc<Names> = Arc::default();
    names.say("app.example", &[&["127.0.0.1"], &["10.0.0.1"]]);
    let outbound = elsewhere.outbound(names.clone());
    let url = elsewhere.url("app.example", "/x");
    assert_eq!(outbound.get(&ask(&url, Trust::Stranger)).await.unwrap().body, b"{}");
    assert_eq!(names.asked(), ["app.example"]);
    // no connection is kept: the next fetch looks again, and finds out
    let refused = outbound.get(&ask(&url, Trust::Stranger)).await.unwrap_err();
    assert!(source_is_forbidden(&refused), "{refused:?}");
    assert_eq!((names.asked().len(), elsewhere.connections()), (2, 1));
    let request = elsewhere.requests().remove(0).to_lowercase();
    assert!(request.contains(&format!("host: app.example:{}", elsewhere.port)), "{request}");
    assert!(request.contains("accept: application/json") && !request.contains("accept-encoding"), "{request}");
}

/// CI-03, CI-04: only 200 is an answer, and nobody is followed.
#[tokio::test]
async fn only_a_200_is_an_answer() {
    let elsewhere = Elsewhere::start().await;
    let canary = Canary::start().await;
    let outbound = elsewhere.outbound(Arc::default());
    let location = format!("location: https://127.0.0.1:{}/\r\nrefresh: 0; url=https://127.0.0.1/", canary.port);
    for status in [201, 202, 203, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 429, 500, 502, 503] {
        elsewhere.put("/x", Page::raw(&format!("{status} X\r\n{location}\r\ncontent-length: 0"), b""));
        let refused = outbound.get(&ask(&elsewhere.url("app.example", "/x"), Trust::Stranger)).await.unwrap_err();
        assert!(matches!(refused, Error::Status(s) if s == status), "{status}: {refused:?}");
    }
    elsewhere.put("/x", Page::raw(&format!("200 OK\r\n{location}\r\ncontent-length: 2"), b"{}"));
    outbound.get(&ask(&elsewhere.url("app.example", "/x"), Trust::Stranger)).await.unwrap();
    assert!(canary.is_untouched().await);
}

/// CI-07, R-45
#[tokio::test]
async fn neither_size_nor_time_is_theirs_to_choose() {
    let elsewhere = Elsewhere::start().await;
    let quick = Outbound::new(Options {
        loopback: true,
        authorities: elsewhere.authority.clone().into_bytes(),
        resolver: Arc::new(Names::default()),
        deadline: Duration::from_secs(1),
        ..Options::default()
    });
    let url = elsewhere.url("app.example", "/x");
    let ask = ask(&url, Trust::Stranger);
    let get = || quick.get(&ask);
    let of = |size: usize| Page::raw(&format!("200 OK\r\ncontent-length: {size}"), &vec![b'x'; size]);
    elsewhere.put("/x", of(5120));
    assert_eq!(get().await.unwrap().body.len(), 5120);
    elsewhere.put("/x", of(5121));
    assert!(matches!(get().await, Err(Error::TooLarge(5120))));
    // a length that is not told, and one that is a lie
    elsewhere.put("/x", Page::raw("200 OK", &vec![b'x'; 1 << 20]));
    assert!(matches!(get().await, Err(Error::TooLarge(5120))));
    elsewhere.put("/x", Page::raw("200 OK\r\ncontent-length: 10", b"short"));
    assert!(matches!(get().await, Err(Error::Unreachable(_))));

    // whatever it would unpack to, nobody unpacks it
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    for encoding in ["gzip", "br", "deflate", "zstd", "x"] {
        let head = format!("200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {}", bomb.len());
        elsewhere.put("/x", Page::raw(&head, &bomb));
        assert!(matches!(get().await, Err(Error::Compressed)), "{encoding}");
    }

    let began = Instant::now();
    let drops = std::iter::once(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_vec());
    let drops = drops.chain((0..100).map(|_| b"x".to_vec())).collect();
    elsewhere.put("/x", Page { pieces: drops, pause: Duration::from_millis(100) });
    assert!(matches!(get().await, Err(Error::TooSlow(_))));
    elsewhere.put("/x", Page { pieces: vec![Vec::new(); 100], pause: Duration::from_millis(100) });
    assert!(matches!(get().await, Err(Error::TooSlow(_))));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// `outbound.allowed_private` is for what the administrator named, and for nobody else.
#[tokio::test]
async fn what_is_allowed_in_private_is_allowed_to_the_configuration_alone() {
    let elsewhere = Elsewhere::start().await;
    elsewhere.put("/x", Page::json("{}"));
    let url = elsewhere.url("app.example", "/x");
    let literal = elsewhere.url("127.0.0.1", "/x");
    for (allowed, by_name, by_address) in [
        (&[][..], false, false),
        (&["app.example"][..], true, false),
        (&["127.0.0.0/8"][..], true, true),
        (&["10.0.0.0/8", "sub.app.example"][..], false, false),
    ] {
        let outbound = Outbound::new(Options {
            allowed_private: allowed.iter().map(|text| text.parse().unwrap()).collect(),
            authorities: elsewhere.authority.clone().into_bytes(),
            resolver: Arc::new(Names::default()),
            ..Options::default()
        });
        let before = elsewhere.connections();
        for url in [&url, &literal] {
            assert!(outbound.get(&ask(url, Trust::Stranger)).await.is_err(), "{allowed:?} {url}");
        }
        assert_eq!(elsewhere.connections(), before);
        assert_eq!(outbound.get(&ask(&url, Trust::Configuration)).await.is_ok(), by_name, "{allowed:?}");
        assert_eq!(outbound.get(&ask(&literal, Trust::Configuration)).await.is_ok(), by_address, "{allowed:?}");
    }
}

#[tokio::test]
async fn a_certificate_must_be_for_the_name_and_signed_by_somebody_known() {
    let elsewhere = Elsewhere::start().await;
    elsewhere.put("/x", Page::json("{}"));
    let outbound = elsewhere.outbound(Arc::default());
    let unknown = outbound.get(&ask(&elsewhere.url("unnamed.example", "/x"), Trust::Stranger)).await;
    assert!(matches!(unknown, Err(Error::Unreachable(_))), "the certificate is not for that name");
    let other = Elsewhere::start().await;
    let untrusted = outbound.get(&ask(&other.url("app.example", "/x"), Trust::Stranger)).await;
    assert!(matches!(untrusted, Err(Error::Unreachable(_))), "nor signed by anybody known");
    assert!(elsewhere.requests().is_empty() && other.requests().is_empty());
}
