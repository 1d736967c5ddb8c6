//! Which URLs are ids, and whose documents are believed.

use super::*;

/// CI-01
#[test]
fn only_a_plain_https_url_with_a_path_is_an_id() {
    for id in [
        "https://app.example/client.json",
        "https://app.example:8443/c",
        "https://APP.example/c",
        "https://app.example/%63",
        "https://app.example:443/c",
        "https://a.b.c.example/a/b/c/",
        "https://app.example//c",
    ] {
        assert!(id::host(id).is_some(), "{id}");
    }
    for id in [
        "http://app.example/c",
        "HTTPS://app.example/c",
        "https://app.example",
        "https://app.example/",
        "https://app.example?c",
        "https://app.example/c?x=1",
        "https://app.example/c#f",
        "https://user@app.example/c",
        "https://user:pw@app.example/c",
        "https://app.example/../c",
        "https://app.example/a/./c",
        "https://app.example/%2e%2E/c",
        "https://app.example/a%2f..%2fc",
        "https://127.0.0.1/c",
        "https://[::1]/c",
        "https://2130706433/c",
        "https://0x7f.1/c",
        "https://0x7f000001/c",
        "https://app.example./c",
        "https://.example/c",
        "https://app..example/c",
        "https:///c",
        "https://app.example:0/c",
        "https://app.example:99999/c",
        "https://app.example:/c",
        "https://app.example:08/c",
        "https://app.example/c d",
        "https://app.example/c\n",
        "https://app.example/\u{e4}",
        "https://\u{e4}.example/c",
        "https://app.example\\c",
        "https://app.example/<c>",
        "https://app.example/c\\",
        "",
    ] {
        assert!(id::host(id).is_none(), "{id}");
    }
    assert!(id::host(&format!("https://app.example/{}", "x".repeat(1024))).is_none());
}

/// CI-19
#[test]
fn a_domain_stands_for_what_is_below_it() {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let domains = Domains {
        allowed: list(&["good.example"]),
        denied: list(&["bad.good.example", "evil.example"]),
        others: Verdict::Warned,
    };
    for (host, verdict) in [
        ("good.example", Verdict::Allowed),
        ("a.GOOD.example", Verdict::Allowed),
        ("bad.good.example", Verdict::Denied),
        ("x.bad.good.example", Verdict::Denied),
        ("EVIL.example", Verdict::Denied),
        ("notevil.example", Verdict::Warned),
        ("evil.example.org", Verdict::Warned),
    ] {
        assert_eq!(domains.judge(host), verdict, "{host}");
    }
}
