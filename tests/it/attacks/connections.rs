//! What is sent instead of a request, and how slowly.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Target, raw};

const SOON: Duration = Duration::from_secs(20);

/// Bytes, and the status that answers them; 0 when the connection just closes.
fn rows() -> Vec<(&'static str, String, &'static [u16])> {
    let head = "POST /oauth/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let many: String = (0..200).map(|i| format!("X-{i}: 1\r\n")).collect();
    vec![
        ("no HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n".into(), &[0, 400]),
        ("a line feed", "\n\n\n\n".into(), &[0, 400]),
        ("another version", "GET /livez HTTP/9.9\r\n\r\n".into(), &[0, 400, 505]),
        ("a large head", format!("GET /livez HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(40_000)), &[431]),
        ("many fields", format!("GET /livez HTTP/1.1\r\n{many}\r\n"), &[431]),
        ("a NUL in a field", "GET /livez HTTP/1.1\r\nX: a\0b\r\n\r\n".into(), &[400]),
        ("a folded field", "GET /livez HTTP/1.1\r\nX: a\r\n b\r\n\r\n".into(), &[400]),
        ("a space in a name", "GET /livez HTTP/1.1\r\nX : a\r\n\r\n".into(), &[400]),
        ("a negative length", format!("{head}{form}Content-Length: -1\r\n\r\n"), &[400]),
        ("a length of text", format!("{head}{form}Content-Length: ten\r\n\r\n"), &[400]),
        ("two lengths", format!("{head}{form}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), &[400]),
        (
            "a chunk that is too large",
            format!("{head}{form}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"),
            &[400, 413],
        ),
        ("a chunk that is none", format!("{head}{form}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), &[400, 413]),
        ("another coding", format!("{head}{form}Transfer-Encoding: gzip\r\n\r\nx"), &[400, 411, 501]),
        ("a body that ends early", format!("{head}{form}Content-Length: 5\r\n\r\n"), &[408, 413]),
        ("a body of a terabyte", format!("{head}{form}Content-Length: 1099511627776\r\n\r\nx"), &[408, 413]),
        (
            "CONNECT",
            "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".into(),
            &[400, 404, 405],
        ),
        ("TRACE", "TRACE /livez HTTP/1.1\r\nHost: a\r\nX-Canary: c4nary\r\nConnection: close\r\n\r\n".into(), &[405]),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), &[400, 404, 405]),
        ("no path", "GET ? HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), &[400, 404]),
        ("a path of nothing", "GET //oauth/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), &[404]),
        ("a path upwards", "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), &[404]),
        ("a coded NUL", "GET /livez%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), &[404]),
        ("bytes in the path", "GET /livez\u{ff} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), &[400, 404]),
        (
            "no resource by another name",
            "GET /.well-known/oauth-protected-resource/%ff/%00 HTTP/1.1\r\nHost: \u{ff}\r\nConnection: close\r\n\r\n"
                .into(),
            &[404],
        ),
        ("a request in a request", smuggled(), &[400, 401]),
    ]
}

/// Both lengths of RFC 9112 §6.3 at once, and what a careless proxy would take for the next request behind it.
fn smuggled() -> String {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let lengths = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    format!(
        "POST /oauth/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{form}{lengths}\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    )
}

fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// Y-07, A-07, F-20: no bytes harm it, none is answered with 500, HTML or a second answer.
#[tokio::test]
async fn what_is_no_request_harms_nobody() {
    let mut target = Target::samples().await;
    for port in [target.home.public, target.home.admin] {
        let all = rows().into_iter().map(async |(name, bytes, expected)| {
            let answer = raw(port, bytes.as_bytes(), SOON).await;
            (name, answer.unwrap_or_else(|| panic!("{name} is still open")), expected)
        });
        for (name, answer, expected) in futures::future::join_all(all).await {
            let text = String::from_utf8_lossy(&answer);
            let admin = port == target.home.admin;
            assert!(expected.contains(&status(&answer)) || (admin && status(&answer) == 404), "{name}: {text}");
            assert!(!text.contains("<html") && !text.contains("c4nary"), "{name}: {text}");
            assert_eq!(text.matches("HTTP/1.").count(), usize::from(!answer.is_empty()), "{name}: {text}");
        }
    }
    target.is_unharmed().await;
}

/// Sends a byte of `head` every half second; how long the server put up with it.
async fn drip(port: u16, head: &str) -> Duration {
    let began = Instant::now();
    let (mut reader, mut writer) = TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
    let mut answer = Vec::new();
    let write = async {
        for byte in head.bytes().chain(std::iter::repeat(b'x')) {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        read = reader.read_to_end(&mut answer) => drop(read),
        () = write => {}
    }
    began.elapsed()
}

/// Y-07, FT-20: who connects and does not say what it wants is cut off after ten seconds; who has said something
/// may wait longer than that for its next request.
#[tokio::test]
async fn nobody_is_waited_for() {
    let mut target = Target::samples().await;
    let port = target.home.public;
    let silent = async {
        let began = Instant::now();
        assert_eq!(raw(port, b"", SOON).await.as_deref(), Some(&b""[..]));
        began.elapsed()
    };
    let begun = async {
        let began = Instant::now();
        assert!(raw(port, b"PRI * HTTP/2.0\r\n", SOON).await.is_some());
        began.elapsed()
    };
    let body = async {
        let began = Instant::now();
        let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n";
        let answer = raw(port, format!("POST /oauth/token HTTP/1.1\r\nHost: a\r\n{form}\r\na").as_bytes(), SOON).await;
        let text = String::from_utf8(answer.unwrap()).unwrap();
        assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("\"invalid_request\""), "{text}");
        began.elapsed()
    };
    let idle = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut buffer = [0; 4096];
        for wait in [Duration::from_secs(12), Duration::ZERO] {
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(buffer[..read].starts_with(b"HTTP/1.1 200 OK"));
            tokio::time::sleep(wait).await;
        }
        Duration::from_secs(10)
    };
    let head = drip(port, "GET /livez HTTP/1.1\r\nX: ");
    let took = tokio::join!(silent, begun, body, idle, head, drip(target.home.admin, "PATCH /admin/clients/"));
    for took in [took.0, took.1, took.2, took.3, took.4, took.5] {
        assert!((Duration::from_secs(9)..Duration::from_secs(14)).contains(&took), "{took:?}");
    }
    target.is_unharmed().await;
}

/// A connection that says nothing does not keep a server from ending.
#[tokio::test]
async fn an_open_connection_does_not_hold_up_the_end() {
    let mut target = Target::samples().await;
    let _silent = TcpStream::connect(("127.0.0.1", target.home.public)).await.unwrap();
    let mut idle = TcpStream::connect(("127.0.0.1", target.home.public)).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_ne!(idle.read(&mut [0; 4096]).await.unwrap(), 0);
    let began = Instant::now();
    target.server.signal("TERM");
    assert_eq!(target.server.ended().await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
