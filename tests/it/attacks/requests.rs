//! Requests that are nearly right, and headers that lie.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Target, raw};

/// What a proxy that is not trusted might say.
const LIES: [(&str, &str); 9] = [
    ("host", "evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-for", "192.0.2.7"),
    ("forwarded", "host=evil.example;proto=https;for=192.0.2.7"),
    ("x-original-url", "/admin/resources"),
    ("x-rewrite-url", "/admin/resources"),
    ("x-http-method-override", "PATCH"),
];

/// G-01, R-59, R-62: only configuration says who the issuer is.
#[tokio::test]
async fn no_header_changes_who_the_issuer_is() {
    let target = Target::samples().await;
    let issuer = format!("http://localhost:{}", target.home.public);
    let paths = [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-protected-resource/default/billing-mcp",
    ];
    for path in paths {
        let plain = target.server.get(&target.server.public(path)).await.text().await.unwrap();
        assert!(plain.contains(&issuer), "{plain}");
        for (name, value) in LIES {
            let request = target.server.client().get(target.server.public(path)).header(name, value);
            assert_eq!(request.send().await.unwrap().text().await.unwrap(), plain, "{path} {name}");
        }
        let absolute =
            format!("GET http://evil.example{path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        let answer = raw(target.home.public, absolute.as_bytes(), Duration::from_secs(5)).await.unwrap();
        assert!(String::from_utf8(answer).unwrap().ends_with(&plain), "{path}");
    }
    let mut request = target.server.client().post(target.server.public("/oauth/token"));
    for (name, value) in LIES {
        request = request.header(name, value);
    }
    let request = request.basic_auth(&target.id, Some(&target.secret)).form(&[("grant_type", "client_credentials")]);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let seen = target.server.introspect(target.credentials(), answer["access_token"].as_str().unwrap()).await;
    assert_eq!((&seen["iss"], &seen["active"]), (&json!(issuer), &json!(true)));
    assert!(!target.server.log().contains("evil.example"));
}

/// Form, status, error.
type Row = (&'static str, &'static str, u16, &'static str);

const ROWS: [Row; 21] = [
    ("password", "grant_type=password&username=a&password=b", 400, "unsupported_grant_type"),
    ("implicit", "grant_type=implicit", 400, "unsupported_grant_type"),
    ("a code", "grant_type=authorization_code&code=x&redirect_uri=https://a", 400, "unauthorized_client"),
    ("refresh", "grant_type=refresh_token&refresh_token=x", 400, "unauthorized_client"),
    ("a grant in capitals", "grant_type=CLIENT_CREDENTIALS", 400, "unsupported_grant_type"),
    ("a grant and a space", "grant_type=client_credentials+", 400, "unsupported_grant_type"),
    ("a scope of nobody", "grant_type=client_credentials&scope=nothing", 400, "invalid_scope"),
    ("a scope that was not given", "grant_type=client_credentials&scope=invoices.write", 400, "invalid_scope"),
    ("a scope in capitals", "grant_type=client_credentials&scope=INVOICES.READ", 400, "invalid_scope"),
    ("all scopes", "grant_type=client_credentials&scope=*", 400, "invalid_scope"),
    ("a scope of quotes", "grant_type=client_credentials&scope=%22invoices.read%22", 400, "invalid_scope"),
    ("a tab between", "grant_type=client_credentials&scope=invoices.read%09invoices.write", 400, "invalid_request"),
    ("another resource", "grant_type=client_credentials&resource=https://evil.example", 400, "invalid_target"),
    (
        "a resource below",
        "grant_type=client_credentials&resource=https://billing.example.com/mcp/x",
        400,
        "invalid_target",
    ),
    (
        "the same resource in another spelling (RFC 3986 §6.2)",
        "grant_type=client_credentials&resource=HTTPS://Billing.example.com:443/x/../mcp",
        200,
        "",
    ),
    (
        "a longer host",
        "grant_type=client_credentials&resource=https://billing.example.com.evil.example/mcp",
        400,
        "invalid_target",
    ),
    (
        "a user in the host",
        "grant_type=client_credentials&resource=https://billing.example.com@evil.example/mcp",
        400,
        "invalid_target",
    ),
    ("a fragment", "grant_type=client_credentials&resource=https://billing.example.com/mcp%23x", 400, "invalid_target"),
    (
        "two resources",
        "grant_type=client_credentials&resource=https://billing.example.com/mcp&resource=https://evil.example",
        400,
        "invalid_target",
    ),
    ("an audience of its own", "grant_type=client_credentials&audience=https://evil.example", 200, ""),
    (
        "a lifetime and a subject of its own",
        "grant_type=client_credentials&expires_in=9999999&sub=usr_1&aud=x",
        200,
        "",
    ),
];

/// B-08, B-09, B-16, CC-05, M-14, R-22, R-23: what was not granted is not issued, whatever the request calls it.
#[tokio::test]
async fn only_what_was_granted_is_issued() {
    let mut target = Target::samples().await;
    for (name, form, status, error) in ROWS {
        let request = target.server.client().post(target.server.public("/oauth/token"));
        let request = request.basic_auth(&target.id, Some(&target.secret)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store", "{name}");
        let (found, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        assert_eq!((found, body["error"].as_str().unwrap_or_default()), (status, error), "{name}: {body}");
        if status == 200 {
            let mut members: Vec<&String> = body.as_object().unwrap().keys().collect();
            members.sort();
            assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"], "{name}");
            assert_eq!((&body["scope"], &body["expires_in"]), (&json!("invoices.read"), &json!(900)), "{name}");
            let seen = target.server.introspect(target.credentials(), body["access_token"].as_str().unwrap()).await;
            assert_eq!(
                (&seen["aud"], &seen["sub"]),
                (&json!("https://billing.example.com/mcp"), &json!(target.id)),
                "{name}"
            );
        } else {
            let text = body["error_description"].as_str().unwrap();
            assert!(text.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{name}: {text}");
            assert!(!text.contains("evil") && !text.contains("INVOICES"), "{name}: {text}");
        }
    }
    target.is_unharmed().await;
}

/// Status and body of an answer; `None` when the connection ended before it did.
async fn whole(request: reqwest::RequestBuilder) -> Option<(u16, String)> {
    let answer = request.send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// B-02, Y-07: bodies of every kind, size and coding, on every path that reads one.
#[tokio::test]
async fn no_body_is_too_strange() {
    let mut target = Target::samples().await;
    let form = "application/x-www-form-urlencoded";
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let bodies: [(&str, &str, Vec<u8>); 9] = [
        ("nothing", form, vec![]),
        ("NULs", form, vec![0; 1000]),
        ("all bytes", form, (0..=255).collect()),
        ("ampersands", form, vec![b'&'; 60_000]),
        ("many parameters", form, (0..5000).flat_map(|i| format!("a{i}=b&").into_bytes()).collect()),
        ("one name of 60 KB", form, vec![b'a'; 60_000]),
        ("10 MB", form, vec![b'a'; 10 << 20]),
        ("deep JSON", "application/json", deep.clone().into_bytes()),
        ("deep JSON as a patch", "application/merge-patch+json", deep.into_bytes()),
    ];
    for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
        for (name, kind, body) in &bodies {
            for coding in [None, Some("gzip")] {
                let request = target.server.client().post(target.server.public(path)).body(body.clone());
                // on a connection of its own: one that was refused before may be closed at any moment
                let request = request.header("connection", "close").header("content-type", *kind);
                let request = request.basic_auth(&target.id, Some(&target.secret));
                let request = coding.map_or(request.try_clone().unwrap(), |c| request.header("content-encoding", c));
                let Some((status, text)) = whole(request).await else {
                    // who is refused while sending may find the connection closed before or within the answer
                    assert!(body.len() > 16 << 10, "{path} {name}: so little is always answered");
                    continue;
                };
                let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} {name}: {text}"));
                assert!([400, 413].contains(&status), "{path} {name}: {status} {body}");
                assert_eq!(body["error"], "invalid_request", "{path} {name}");
            }
        }
    }
    target.is_unharmed().await;
}

/// IV-9, RC-3: JSON even where the path or the query is not text.
#[tokio::test]
async fn an_error_is_json_wherever_it_arises() {
    let target = Target::samples().await;
    let key = target.home.api_key("ops", "operator");
    for (method, url) in [
        ("PATCH", target.server.admin("/admin/clients/%ff")),
        ("PATCH", target.server.admin("/admin/clients/%00")),
        ("PATCH", target.server.admin("/admin/resource-servers/%ff%fe")),
        ("PATCH", target.server.admin("/admin/clients/a%2Fb")),
        ("DELETE", target.server.admin("/admin/clients/portal")),
        ("GET", target.server.admin("/health?verbose=1&verbose=2")),
        ("GET", target.server.admin("/health?verbose=%ff")),
        ("PUT", target.server.public("/.well-known/jwks.json")),
        ("GET", target.server.public("/.well-known/oauth-protected-resource/%ff/%2e%2e")),
    ] {
        let request = target.server.client().request(method.parse().unwrap(), &url).bearer_auth(&key);
        let request = request.header("content-type", "application/merge-patch+json").body("{\"displayName\":\"x\"}");
        let answer = request.send().await.unwrap();
        let (status, kind) = (answer.status().as_u16(), answer.headers()["content-type"].clone());
        assert!(answer.headers().get("location").is_none(), "{method} {url}");
        let body: Value = answer.json().await.unwrap_or_else(|error| panic!("{method} {url}: {status} {error}"));
        assert_eq!(kind, "application/json", "{method} {url}");
        assert!(status < 500 || url.contains("health"), "{method} {url}: {status} {body}");
    }
}

/// Y-06, R-61: what a stranger writes never looks like a line of the log, in either form of it.
#[tokio::test]
async fn nothing_is_smuggled_into_the_log() {
    for format in ["json", "text"] {
        let mut home = crate::directory::samples();
        home.set("HOLDFAST_LOGGING__FORMAT", format);
        home.set("HOLDFAST_LOGGING__LEVEL", "trace");
        let escape = "\u{1b}[31mred\r\n{\"event\":\"forged\"}";
        let named = "metadata:\n  name: portal\n  labels: {a: \"\\e[31m\\n{forged\"}";
        home.write("evil\u{1b}[31m\nforged.yaml", "kind: [\"\\e[31mforged");
        home.write("label.yaml", &crate::directory::CLIENT.replace("metadata:\n  name: portal", named));
        let server = home.start().await;
        let key = home.api_key("ops", "operator");
        let coded: String = url::form_urlencoded::byte_serialize(escape.as_bytes()).collect();
        let coded = coded.replace('+', "%20");
        let body = format!("grant_type=client_credentials&client_id={coded}&client_secret={coded}&scope={coded}");
        let post = server.client().post(server.public("/oauth/token")).body(body);
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(post.send().await.unwrap().status(), 400);
        let post = server.client().post(server.public("/oauth/token")).basic_auth(escape, Some(escape));
        let post = post.form(&[("grant_type", "client_credentials")]).header("user-agent", "\u{9b}31m forged");
        assert_eq!(post.send().await.unwrap().status(), 401);
        for path in ["clients", "resource-servers"] {
            let url = server.admin(&format!("/admin/{path}/{coded}?{coded}={coded}"));
            let patch = server.client().patch(url).bearer_auth(&key).body(format!("{{{:?}: 1}}", "forged"));
            let patch = patch.header("content-type", "application/json").header("x-request-id", "a\tforged");
            assert!(patch.send().await.unwrap().status().is_client_error());
            let url = server.admin(&format!("/admin/{path}/{coded}"));
            let patch = server.client().patch(url).bearer_auth(&key).body("{\"displayName\": \"x\"}");
            let patch = patch.header("content-type", "application/json");
            assert!(patch.send().await.unwrap().status().is_client_error());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let log = server.log();
        assert!(!log.contains('\u{1b}') && !log.contains('\u{9b}') && !log.contains('\r'), "{log}");
        for line in log.lines() {
            let whole = if format == "json" {
                serde_json::from_str::<Value>(line).is_ok_and(|line| line["event"] != "forged")
            } else {
                line.starts_with("20")
            };
            assert!(whole, "{line}");
        }
    }
}

/// The largest distance of the two distributions (Kolmogorov and Smirnov).
fn distance(mut one: Vec<Duration>, mut other: Vec<Duration>) -> f64 {
    one.sort();
    other.sort();
    let below = |sorted: &[Duration], at: Duration| sorted.partition_point(|x| *x <= at) as f64 / sorted.len() as f64;
    let gaps = one.iter().chain(&other).map(|at| (below(&one, *at) - below(&other, *at)).abs());
    gaps.fold(0.0, f64::max)
}

/// B-07, R-57: time does not tell a client that nobody knows from one whose secret is wrong.
#[tokio::test]
async fn time_does_not_tell_which_clients_there_are() {
    const SAMPLES: usize = 250;
    // what chance alone passes once in a thousand times
    let critical = 1.95 * (2.0 / SAMPLES as f64).sqrt();
    let mut home = crate::directory::samples();
    home.set("HOLDFAST_RATE_LIMITS__FAILED_AUTHENTICATIONS_PER_MINUTE", "100000");
    let target = Target::start(home).await;
    let mut found = Vec::new();
    for _ in 0..3 {
        let mut took = [Vec::new(), Vec::new()];
        for sample in 0..2 * SAMPLES {
            // each goes first as often as the other
            let which = (sample + sample / 2) % 2;
            let began = Instant::now();
            let answer = target.server.token(["portal", "nobody"][which], "wrong-secret-0123456789").await;
            assert_eq!(answer.status(), 401);
            took[which].push(began.elapsed());
        }
        let [known, unknown] = took;
        found.push(distance(known, unknown));
        if found.last().is_some_and(|distance| *distance < critical) {
            return;
        }
    }
    panic!("{found:?} are beyond {critical}");
}
