//! Text that would like to be a header, a line of the log, or an order to the terminal that shows it.

use std::time::Duration;

use serde_json::Value;

use super::{Target, raw};

/// A new line of JSON, a new header, colours, a title of the terminal's window, a right-to-left mark, a line separator.
const POISON: &str =
    "x\r\n{\"event\":\"forged\"}\r\nSet-Cookie: forged=1\r\n\u{1b}[31m\u{1b}]0;forged\u{7}\u{202e}\u{2028}y";

/// The same in a form, percent-encoded.
fn encoded() -> String {
    url::form_urlencoded::byte_serialize(POISON.as_bytes()).collect()
}

/// What cannot stand in a log, whatever it shows: control characters, but for the end of each line.
fn is_clean(log: &str) -> bool {
    log.chars().all(|c| c == '\n' || !c.is_control() && !['\u{2028}', '\u{2029}', '\u{202e}'].contains(&c))
}

async fn poison(target: &Target) -> Vec<String> {
    let encoded = encoded();
    let (id, secret) = target.credentials();
    let mut answers = Vec::new();
    for body in [
        format!("grant_type=client_credentials&scope={encoded}&client_id={id}&client_secret={secret}"),
        format!("grant_type={encoded}"),
        format!("grant_type=client_credentials&client_id={encoded}&client_secret={encoded}"),
        format!("grant_type=client_credentials&resource={encoded}&{encoded}={encoded}"),
        format!("grant_type=authorization_code&code={encoded}&redirect_uri={encoded}&code_verifier={encoded}"),
        format!("grant_type=refresh_token&refresh_token={encoded}"),
    ] {
        for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\u{9b}31mb\u{9}c\r\nX-Request-Id: a\u{9}b\r\n\
                 traceparent: 00-{encoded}-1-1\r\nX-Forwarded-For: \u{9b}31m\r\nConnection: close\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let answer = raw(target.home.public, (head + &body).as_bytes(), Duration::from_secs(10)).await;
            answers.push(String::from_utf8(answer.expect("it answers and closes")).unwrap());
        }
    }
    for path in [
        format!("/oauth/authorize?client_id={encoded}&redirect_uri={encoded}&state={encoded}&response_type=code"),
        format!("/.well-known/oauth-protected-resource/{encoded}/{encoded}"),
        format!("/login?to={encoded}"),
        format!("/{encoded}"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(target.home.public, request.as_bytes(), Duration::from_secs(10)).await;
        answers.push(String::from_utf8(answer.expect("it answers and closes")).unwrap());
    }
    answers
}

/// Y-06, R-61: in JSON every line of the log is one object of ours, and no header of an answer is a stranger's.
#[tokio::test]
async fn nothing_that_is_sent_becomes_a_line_or_a_header() {
    let mut home = crate::directory::samples();
    home.set("HOLDFAST_LOGGING__LEVEL", "trace");
    let mut target = Target::start(home).await;
    for answer in poison(&target).await {
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.is_ascii() && is_clean(&head.replace("\r\n", "\n")), "{head}");
        assert!(!head.to_ascii_lowercase().contains("\r\nset-cookie: forged"), "{head}");
        assert!(!head.contains("forged=1") || head.contains("%0D%0A"), "{head}");
    }
    target.is_unharmed().await;
    let log = target.server.log();
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
    assert!(target.server.events("forged").is_empty());
    assert!(log.bytes().all(|byte| byte == b'\n' || byte >= 0x20), "control characters are written as JSON escapes");
}

/// Y-06: as text the log is one line an event, too, and no terminal obeys it.
#[tokio::test]
async fn a_terminal_that_shows_the_log_obeys_nobody() {
    let mut home = crate::directory::samples();
    home.set("HOLDFAST_LOGGING__LEVEL", "trace");
    let target = Target::start(home).await;
    drop(target.server);
    let mut home = target.home;
    home.set("HOLDFAST_LOGGING__FORMAT", "text");
    let server = home.start().await;
    let target = Target { home, server, id: target.id, secret: target.secret };
    poison(&target).await;
    let log = target.server.log();
    assert!(log.contains("authorization_denied"), "{log}");
    assert!(is_clean(&log), "{:?}", log.chars().find(|c| c.is_control() && *c != '\n'));
    assert!(!log.lines().any(|line| line.starts_with("{\"event\":\"forged\"}")), "{log}");
}
