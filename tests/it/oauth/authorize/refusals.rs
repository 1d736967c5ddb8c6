//! What is refused at the authorization endpoint, and who is told.

use rstest::rstest;
use serde_json::json;

use super::stage::{ADA, BOB, Stage, asks_consent, asks_password, code, files, refused, request, told};

/// M-08: nobody is sent anywhere that is not registered, signed in or not.
#[tokio::test]
async fn a_near_miss_of_a_redirect_uri_leads_nowhere() {
    let stage = Stage::set().await;
    let (stranger, ada) = (stage.browser(), stage.signed_in(ADA).await);
    let rows = stage.rows("authorization_request").await;
    for uri in [
        "https://app.example.com/cb/",
        "https://app.example.com/CB",
        "https://app.example.com/cb/x",
        "https://app.example.com/cb?x=1",
        "https://app.example.com/cb?b&a=%2f",
        "https://app.example.com/%63b",
        "https://app.example.com/cb%252f",
        "https://app.example.com/x/../cb",
        "https://app.example.com/..;/cb",
        "https://app.example.com//evil.example/cb",
        "//evil.example/cb",
        "https:\\\\app.example.com\\cb",
        "https://good@evil.example/cb",
        "https://app.example.com@evil.example/cb",
        "https://app.example.com.evil.example/cb",
        "https://app.example.com/cb#x",
        "https://app.example.com:444/cb",
        "https://app.example.com./cb",
        "https://аpp.example.com/cb",
        "HTTPS://app.example.com/cb",
        "https://*.example.com/cb",
        "http://app.example.com/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://localhost/cb",
        "http://127.0.0.2/cb",
        "http://[::1]/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "view-source:https://app.example.com/cb",
    ] {
        for browser in [&stranger, &ada] {
            let page = browser.open(&request("app", &[("redirect_uri", uri), ("prompt", "none")])).await;
            refused(&page, 400, "invalid_request");
            assert!(!page.html.contains("evil"), "the page repeats the request");
        }
    }
    // several are registered, so one must be named
    refused(&stranger.open(&request("app", &[("redirect_uri", "")])).await, 400, "invalid_request");
    assert_eq!((stage.rows("authorization_request").await, stage.rows("authorization_code").await), (rows, 0));
}

/// an unknown client, one that sleeps, and one that cannot be
#[tokio::test]
async fn an_unknown_client_looks_like_a_suspended_one() {
    let stage = Stage::set().await;
    let browser = stage.browser();
    let mut pages = Vec::new();
    for client in ["nobody", "asleep", "dcr_gone", "https://nobody.invalid/client"] {
        let page = browser.open(&request(client, &[])).await;
        refused(&page, 400, "invalid_client");
        pages.push(page.html);
    }
    assert!(pages.windows(2).all(|two| two[0] == two[1]), "{pages:?}");
    assert!(pages[0].contains("add it again"), "H-10");
    refused(&browser.open("/oauth/authorize").await, 400, "invalid_request");
    refused(&browser.open("/oauth/authorize?client_id=app&client_id=app").await, 400, "invalid_request");
    refused(&browser.open("/oauth/authorize?client_id=%ff").await, 400, "invalid_request");
    refused(&browser.open(&format!("/oauth/authorize?client_id={}", "x".repeat(9000))).await, 400, "invalid_client");
}

/// M-14, R-06, R-10, finding 8: a client that somebody vouches for is told at once; of any
/// other the user is told, and nobody is redirected.
#[rstest]
#[case::no_type(&[("response_type", "")], "invalid_request")]
#[case::token(&[("response_type", "token")], "unsupported_response_type")]
#[case::hybrid(&[("response_type", "code id_token")], "unsupported_response_type")]
#[case::no_challenge(&[("code_challenge", "")], "invalid_request")]
#[case::no_method(&[("code_challenge_method", "")], "invalid_request")]
#[case::plain(&[("code_challenge_method", "plain")], "invalid_request")]
#[case::small(&[("code_challenge_method", "s256")], "invalid_request")]
#[case::short(&[("code_challenge", "short")], "invalid_request")]
#[case::fragment(&[("response_mode", "fragment")], "invalid_request")]
#[case::scope(&[("scope", "nonsense")], "invalid_scope")]
#[case::unattached(&[("scope", "a\"b")], "invalid_scope")]
#[case::resource(&[("resource", "https://elsewhere.example")], "invalid_target")]
#[case::draft(&[("resource", "https://draft.example.com/mcp")], "invalid_target")]
#[case::details(&[("authorization_details", "[{\"type\":\"x\"}]")], "invalid_authorization_details")]
#[case::object(&[("request", "eyJhbGciOiJub25lIn0.e30.")], "request_not_supported")]
#[case::prompt(&[("prompt", "none login")], "invalid_request")]
#[case::age(&[("max_age", "-1")], "invalid_request")]
#[case::nobody(&[("prompt", "none")], "login_required")]
#[tokio::test]
async fn an_error_is_told_to_who_may_be_told(#[case] change: &[(&str, &str)], #[case] expected: &str) {
    let stage = Stage::set().await;
    let browser = stage.browser();
    told(&browser.open(&request("app", change)).await, expected);
    refused(&browser.open(&request("dcr_site", change)).await, 400, expected);
    let twice = format!("{}&{}", request("app", change), "scope=files.read&scope=files.read");
    told(&browser.open(&twice).await, "invalid_request");
    assert_eq!((stage.rows("authorization_request").await, stage.rows("authorization_code").await), (0, 0));
    assert!(stage.server.metric("holdfast_auth_denied_total"));
}

/// what is unknown is ignored, and what is empty is absent.
#[tokio::test]
async fn what_nobody_knows_is_ignored() {
    let stage = Stage::set().await;
    let more =
        "&nonce=n&claims=%7B%7D&display=popup&ui_locales=de&acr_values=x&id_token_hint=x&foo=bar&request=&max_age=";
    let page = stage.browser().open(&format!("{}{more}", request("app", &[]))).await;
    assert!(asks_password(&page), "{}", page.html);
}

/// B-09, R-23: only clients that are registered for it.
#[tokio::test]
async fn a_machine_sends_nobody() {
    let stage = Stage::set().await;
    told(&stage.browser().open(&request("machine", &[])).await, "unauthorized_client");
}

/// Mechanics §18: nobody without a role gets anything, and is told so on a page.
#[tokio::test]
async fn who_has_no_role_gets_nothing() {
    let stage = Stage::set().await;
    stage.server.put("rs_files", &files(json!({"defaultRole": null}))).await;
    stage.server.store.refresh().await.unwrap();
    let browser = stage.signed_in(BOB).await;
    for client in ["app", "quiet", "dcr_site"] {
        let page = browser.open(&request(client, &[])).await;
        refused(&page, 403, "access_denied");
        let back = page.html.split("class=\"primary\"").nth(1).unwrap();
        assert!(back.contains("https://app.example.com/cb?error=access_denied"), "{back}");
    }
    assert_eq!((stage.rows("role_assignment").await, stage.rows("authorization_code").await), (0, 0));
    // a role that does not give the scope gives nothing either
    stage.server.put("rs_files", &files(json!({}))).await;
    stage.server.store.refresh().await.unwrap();
    refused(&browser.open(&request("quiet", &[("scope", "files.write")])).await, 403, "access_denied");
    code(&browser.open(&request("quiet", &[])).await);
}

/// M-13
#[tokio::test]
async fn pages_are_guarded() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let consent = browser.open(&request("app", &[])).await;
    assert!(asks_consent(&consent));
    let error = browser.open(&request("nobody", &[])).await;
    let redirect = browser.open(&request("quiet", &[])).await;
    for page in [&consent, &error] {
        let policy = page.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{part} is not in {policy}");
        }
        assert!(!policy.contains("script") && !policy.contains("unsafe") && !page.html.contains("<script"));
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
    }
    for page in [&consent, &error, &redirect] {
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("access-control-allow-origin"), "");
    }
    assert_eq!(redirect.status, 303);
}

/// what a client calls itself is text, on one line, and not long.
#[tokio::test]
async fn names_of_strangers_are_text() {
    let stage = Stage::set().await;
    let name = format!("<script>alert(1)</script>\u{202e}evil\u{200b}\n</title>{}", "x".repeat(10_000));
    stage.server.put("dcr_site", &super::stage::app(json!({"displayName": name, "resources": []}))).await;
    stage.server.store.refresh().await.unwrap();
    let page = stage.signed_in(ADA).await.open(&request("dcr_site", &[])).await;
    assert!(asks_consent(&page));
    assert!(!page.html.contains("<script") && !page.html.contains('\u{202e}') && !page.html.contains('\u{200b}'));
    assert!(page.html.len() < 10_000, "{}", page.html.len());
    assert_eq!(page.html.matches("</title>").count(), 1);
}
