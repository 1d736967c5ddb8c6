//! What may be registered, and what is taken for what.

use super::*;

fn registered(uris: &[&str]) -> Vec<String> {
    uris.iter().map(|uri| (*uri).to_owned()).collect()
}

/// whoever comes close is still somebody else.
#[test]
fn a_near_miss_is_a_miss() {
    let known =
        registered(&["https://good.example/cb?a=1&b=2", "https://good.example/a%2Fb", "https://good.example/x/"]);
    for asked in [
        "https://good.example/cb",
        "https://good.example/cb?b=2&a=1",
        "https://good.example/cb?a=1&b=2&c=3",
        "https://good.example/cb?a=1&b=2#f",
        "https://good.example/cb/?a=1&b=2",
        "https://good.example/cb/more?a=1&b=2",
        "https://good.example/Cb?a=1&b=2",
        "https://good.example/cb?a=1&b=%32",
        "https://good.example/a/b",
        "https://good.example/a%2fb",
        "https://good.example/a%252Fb",
        "https://good.example/x",
        "https://good.example/x//",
        "https://good.example/x/../x/",
        "https://good.example/x/..;/x/",
        "https://good.example/x/%2e%2e/x/",
        "https://good.example//evil.example/x/",
        "https://good.example/x/\\",
        "https://good.example\\@evil.example/x/",
        "https://good.example/x/\t",
        "https://good.example/x/\r\n",
        " https://good.example/x/",
        "https://good.example@evil.example/x/",
        "https://user@good.example/x/",
        "https://good.example.evil.example/x/",
        "https://evilgood.example/x/",
        "https://good.example:443/x/",
        "https://good.example:8443/x/",
        "https://good.example./x/",
        "https://GOOD.example/x/",
        "HTTPS://good.example/x/",
        "http://good.example/x/",
        "https://go\u{43e}d.example/x/",
        "https://xn--god-0ed.example/x/",
        "https://*.example/x/",
        "https://goodXexample/x/",
        "https://good.example/.*",
        "//good.example/x/",
        "good.example/x/",
        "/x/",
        "",
    ] {
        assert_eq!(matches(&known, Some(asked)), Err(Mismatch), "{asked}");
    }
    for exact in &known {
        assert_eq!(matches(&known, Some(exact)), Ok(exact.as_str()));
    }
}

/// the port may differ on loopback and nowhere else, and the three names of it are three hosts.
#[test]
fn only_the_port_of_a_loopback_address_may_differ() {
    let hosts = ["127.0.0.1", "[::1]", "localhost"];
    for host in hosts {
        let known = registered(&[&format!("http://{host}:4000/cb?x=1")]);
        for port in ["", ":1", ":80", ":4000", ":65535"] {
            let asked = format!("http://{host}{port}/cb?x=1");
            assert_eq!(matches(&known, Some(&asked)), Ok(asked.as_str()));
        }
        for other in hosts.into_iter().filter(|other| *other != host) {
            assert_eq!(matches(&known, Some(&format!("http://{other}:4000/cb?x=1"))), Err(Mismatch), "{host} {other}");
        }
        for wrong in [
            format!("https://{host}:4000/cb?x=1"),
            format!("http://{host}:4000/cb"),
            format!("http://{host}:4000/cb?x=2"),
            format!("http://{host}:4000/CB?x=1"),
            format!("http://{host}:4000/cb?x=1#f"),
            format!("http://{host}:/cb?x=1"),
            format!("http://{host}:65536/cb?x=1"),
            format!("http://{host}:99999999/cb?x=1"),
            format!("http://{host}:-1/cb?x=1"),
            format!("http://{host}:4000@evil.example/cb?x=1"),
            format!("http://{host}.evil.example:4000/cb?x=1"),
            format!("http://user@{host}:4000/cb?x=1"),
        ] {
            assert_eq!(matches(&known, Some(&wrong)), Err(Mismatch), "{wrong}");
        }
    }
    let known = registered(&["http://127.0.0.1/cb"]);
    for wrong in [
        "http://127.0.0.2/cb",
        "http://127.1/cb",
        "http://0x7f.0.0.1/cb",
        "http://2130706433/cb",
        "http://127.0.0.1:80@evil/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "http://[0:0:0:0:0:0:0:1]/cb",
        "http://LOCALHOST/cb",
        "http://localhost./cb",
        "http:/127.0.0.1/cb",
    ] {
        assert_eq!(matches(&known, Some(wrong)), Err(Mismatch), "{wrong}");
    }
    let https = registered(&["https://127.0.0.1:4000/cb"]);
    assert_eq!(matches(&https, Some("https://127.0.0.1:4001/cb")), Err(Mismatch), "not with https");
}

/// refused when registered, and refused again although a row says it.
#[test]
fn what_must_not_be_registered_is_not_followed_either() {
    let schemes = [
        "javascript:/alert(1)",
        "javascript://x/%0aalert(1)",
        "data:/text/html,x",
        "vbscript:/x",
        "file:///etc/passwd",
        "blob:/x",
        "about:/blank",
        "ws://a.example/",
        "wss://a.example/",
        "intent://x/",
        "view-source:/x",
        "http://a.example/cb",
        "ftp://a.example/",
        "JavaScript:/x",
        "com.example.app:cb",
        "com.example.app",
        "1app:/cb",
        "",
        "https://user:pw@a.example/",
        "https://a.example/#f",
        "https://a.example/*",
        "https://a.example/%zz",
        "https://a.example/%2",
        "https://a..example:0x50/cb",
        "https://a.example/c b",
        "https://a.example/\u{e4}",
    ];
    for uri in schemes {
        assert_eq!(place(uri), Err(Fault::Form), "{uri}");
        assert_eq!(matches(&registered(&[uri]), Some(uri)), Err(Mismatch), "{uri}");
        assert_eq!(matches(&registered(&[uri]), None), Err(Mismatch), "{uri}");
    }
    for name in RESPONSE {
        for uri in [
            format!("https://a.example/cb?{name}=x"),
            format!("https://a.example/?a=1&{name}"),
            format!("https://a.example/?a;{name}=1"),
        ] {
            assert_eq!(place(&uri), Err(Fault::ResponseParameter(name)), "{uri}");
            assert_eq!(matches(&registered(&[&uri]), Some(&uri)), Err(Mismatch));
        }
    }
    assert_eq!(place("https://a.example/?st%61te=1"), Err(Fault::ResponseParameter("state")));
    for uri in ["https://a.example/a/../b", "https://a.example/%2E./b", "https://a.example/a%2f..%2Fb", "app.x:/."] {
        assert_eq!(place(uri), Err(Fault::DotSegment), "{uri}");
    }
    assert_eq!(place("https://1.1/cb"), Err(Fault::Host("1.1".to_owned())));
    assert_eq!(place(&format!("https://a.example/{}", "x".repeat(MAX_LENGTH))), Err(Fault::Form));
}

/// any other query is kept as it was written.
#[test]
fn what_is_meant_may_be_registered() {
    let rows = [
        ("https://a.example", Place::Https),
        ("https://a.example/cb?tenant=1&encoded=%20&codec=x", Place::Https),
        ("https://a.example:8443/cb", Place::Https),
        ("http://localhost:1234/cb", Place::Loopback),
        ("http://[::1]/cb", Place::Loopback),
        ("com.example.app:/cb", Place::PrivateUse("com.example.app")),
        ("cursor://anysphere.cursor-retrieval/oauth/cb", Place::PrivateUse("cursor")),
    ];
    for (uri, expected) in rows {
        assert_eq!(place(uri), Ok(expected), "{uri}");
        assert_eq!(matches(&registered(&["https://b.example/", uri]), Some(uri)), Ok(uri));
    }
}

#[test]
fn a_request_may_be_silent_only_where_there_is_one() {
    assert_eq!(matches(&registered(&["https://a.example/"]), None), Ok("https://a.example/"));
    assert_eq!(matches(&registered(&["https://a.example/", "https://b.example/"]), None), Err(Mismatch));
    assert_eq!(matches(&[], None), Err(Mismatch));
    assert_eq!(matches(&[], Some("https://a.example/")), Err(Mismatch));
}

/// M-11
#[test]
fn people_are_shown_the_host() {
    let rows = [
        ("https://a.example:8443/cb", "a.example"),
        ("http://[::1]:80/", "[::1]"),
        ("com.example.app:/cb", "com.example.app"),
    ];
    for (uri, host) in rows {
        assert_eq!(shown(uri), host);
    }
    assert!(is_loopback("http://localhost/cb") && !is_loopback("https://localhost/cb"));
}
