use axum::body::Body;
use axum::http::{HeaderName, HeaderValue};

use super::*;

fn gate() -> Gate {
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:ff::/48".parse().unwrap()];
    Gate::new(Sources { trusted_proxies, per_minute: vec![(Endpoint::Login, 2)] }, None)
}

fn placed(peer: &str, headers: &[(&'static str, &str)]) -> String {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 443)));
    for (name, value) in headers {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let source = gate().place(&mut request).unwrap();
    let seen = request.extensions().get::<ConnectInfo<SocketAddr>>().unwrap().0.ip().to_canonical();
    assert_eq!(seen, source, "whoever asks later is told the same");
    source.to_string()
}

/// The peer, its headers, and the source that counts.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// S21, R-59: only a trusted proxy is believed, and only the hop that it, or one that it trusts, has seen.
#[test]
fn the_right_most_hop_that_is_no_trusted_proxy_counts() {
    const XFF: &str = "x-forwarded-for";
    const FORWARDED: &str = "forwarded";
    let cases: &[Case] = &[
        ("192.0.2.9", &[], "192.0.2.9"),
        ("192.0.2.9", &[(XFF, "203.0.113.1")], "192.0.2.9"),
        ("192.0.2.9", &[(FORWARDED, "for=203.0.113.1")], "192.0.2.9"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &[(XFF, "203.0.113.1")], "203.0.113.1"),
        ("::ffff:10.0.0.1", &[(XFF, "::ffff:203.0.113.1")], "203.0.113.1"),
        ("10.0.0.1", &[(XFF, "1.1.1.1, 203.0.113.1")], "203.0.113.1"),
        ("10.0.0.1", &[(XFF, "1.1.1.1, 203.0.113.1, 10.2.3.4")], "203.0.113.1"),
        ("10.0.0.1", &[(XFF, "1.1.1.1"), (XFF, "203.0.113.1")], "203.0.113.1"),
        ("10.0.0.1", &[(XFF, "10.9.9.9, 10.2.3.4")], "10.9.9.9"),
        ("10.0.0.1", &[(XFF, "203.0.113.1:4711")], "203.0.113.1"),
        ("10.0.0.1", &[(XFF, "1.1.1.1, garbage, 10.2.3.4")], "10.2.3.4"),
        ("10.0.0.1", &[(XFF, "1.1.1.1, ")], "10.0.0.1"),
        ("10.0.0.1", &[(FORWARDED, "for=1.1.1.1, for=\"203.0.113.1:80\";proto=https;by=10.0.0.1")], "203.0.113.1"),
        ("10.0.0.1", &[(FORWARDED, "proto=https;FOR=\"[2001:db8::1]:80\"")], "2001:db8::1"),
        ("10.0.0.1", &[(FORWARDED, "For=\"[2001:db8::1]\", for=10.1.1.1")], "2001:db8::1"),
        ("10.0.0.1", &[(FORWARDED, "for=unknown")], "10.0.0.1"),
        ("10.0.0.1", &[(FORWARDED, "for=_hidden, for=203.0.113.1")], "203.0.113.1"),
        ("2001:db8:ff::1", &[(XFF, "2001:db8::7")], "2001:db8::7"),
        ("10.0.0.1", &[(XFF, "203.0.113.1"), (FORWARDED, "for=203.0.113.1")], "203.0.113.1"),
        ("10.0.0.1", &[(XFF, "203.0.113.1"), (FORWARDED, "for=198.51.100.1")], "10.0.0.1"),
    ];
    for (peer, headers, source) in cases {
        assert_eq!(placed(peer, headers), *source, "{peer} {headers:?}");
    }
}

/// S21: a source runs dry, its neighbour and other endpoints do not; the answer says when to come back.
#[test]
fn a_source_that_sends_too_many_is_told_when_to_come_back() {
    let gate = gate();
    let at = |endpoint, source: &str| gate.refuse(Some(endpoint), Some(source.parse().unwrap()));
    assert!(at(Endpoint::Login, "2001:db8::1").is_none() && at(Endpoint::Login, "2001:db8::2").is_none());
    let refused = at(Endpoint::Login, "2001:db8::3").expect("its /64 is dry");
    assert_eq!(refused.status(), 429);
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=31).contains(&seconds), "{seconds}");
    assert!(at(Endpoint::Login, "2001:db8:0:1::1").is_none());
    assert!(at(Endpoint::Token, "2001:db8::3").is_none() && gate.refuse(None, None).is_none());
}
