//! The admin port: who may what, and edits that are nearly right.

use reqwest::Method;
use serde_json::{Value, json};

use super::Target;

const EDIT: &str = "application/merge-patch+json";

async fn send(target: &Target, method: &Method, path: &str, authorization: Option<&str>, body: &str) -> (u16, String) {
    let request = target.server.client().request(method.clone(), target.server.admin(path));
    let request = match authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    };
    let answer = request.header("content-type", EDIT).body(body.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Every route with what a viewer, an operator and an admin get.
fn routes(rs: &str) -> Vec<(Method, String, [u16; 3])> {
    let server = |query: &str| format!("/admin/resource-servers/{rs}{query}");
    vec![
        (Method::GET, "/admin/resources".into(), [200, 200, 200]),
        (Method::PATCH, "/admin/clients/portal".into(), [403, 409, 409]),
        (Method::PATCH, "/admin/clients/portal?force=true".into(), [403, 200, 200]),
        (Method::PATCH, "/admin/clients/nobody".into(), [403, 404, 404]),
        (Method::PATCH, server(""), [403, 409, 409]),
        (Method::PATCH, server("?force=true"), [403, 200, 200]),
        (Method::GET, "/admin/export".into(), [403, 200, 200]),
        (Method::GET, "/admin/offers".into(), [200, 200, 200]),
        (Method::POST, "/admin/offers".into(), [403, 403, 415]),
        (Method::DELETE, "/admin/offers/OAuthClient/web/portal".into(), [403, 403, 404]),
        (Method::GET, "/admin/plan".into(), [405, 405, 405]),
        (Method::POST, "/admin/resources".into(), [405, 405, 405]),
        (Method::GET, "/admin/clients/portal".into(), [405, 405, 405]),
        (Method::GET, "/admin/nothing".into(), [404, 404, 404]),
    ]
}

/// Mechanics §8: nobody comes in without a key, each key does what its role may, and a revoked one nothing at once.
#[tokio::test]
async fn each_role_does_what_it_may_and_nobody_else_anything() {
    let mut home = crate::directory::samples();
    home.set("HOLDFAST_RATE_LIMITS__FAILED_AUTHENTICATIONS_PER_MINUTE", "100000");
    let mut target = Target::start(home).await;
    let keys = ["viewer", "operator", "admin"].map(|role| target.home.api_key(role, role));
    let (_, listed) = send(&target, &Method::GET, "/admin/resources", Some(&format!("Bearer {}", keys[0])), "").await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let billing = listed["items"].as_array().unwrap().iter().find(|row| row["kind"] == "ResourceServer").unwrap();
    let routes = routes(billing["id"].as_str().unwrap());
    let patch = "{\"displayName\": \"Changed\"}";
    let token = target.token().await;
    let strangers = [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer ".into()),
        Some(format!("Bearer {token}")),
        Some(format!("Bearer {}", target.secret)),
        Some("Bearer admin".into()),
        Some("Bearer hfk_".into()),
        Some(format!("Bearer {}A", keys[2])),
        Some(format!("Bearer {} x", keys[2])),
        Some(format!("Bearer {}", keys[2].to_uppercase())),
        Some(format!("Bearer {}", &keys[2][..46])),
        Some(format!("Basic {}", keys[2])),
        Some(format!("bearer' OR '1'='1 {}", keys[2])),
        Some(keys[2].clone()),
        Some("Bearer ' OR 1=1 --".into()),
        Some(format!("Bearer {}", "A".repeat(16_000))),
    ];
    for (method, path, expected) in &routes {
        for who in &strangers {
            let (status, body) = send(&target, method, path, who.as_deref(), patch).await;
            let wanted = if expected[0] > 403 { expected[0] } else { 401 };
            assert_eq!(status, wanted, "{method} {path} {who:?}: {body}");
        }
        for (key, expected) in keys.iter().zip(expected) {
            let (status, body) = send(&target, method, path, Some(&format!("bEaReR {key}")), patch).await;
            assert_eq!(status, *expected, "{method} {path}: {body}");
            assert!(status != 409 || body.contains("default/"), "the object is named: {body}");
        }
    }
    target.server.event("drift_corrected", |line| line["name"] == "portal").await;
    let revoked = target.home.command(&["admin", "apikey", "revoke", "--name", "admin"]).status().unwrap();
    assert!(revoked.success());
    let key = format!("Bearer {}", keys[2]);
    assert_eq!(send(&target, &Method::GET, "/admin/resources", Some(&key), "").await.0, 401, "at once");
    let public = target.server.client().get(target.server.public("/admin/resources")).bearer_auth(&keys[1]);
    assert_eq!(public.send().await.unwrap().status(), 404, "the public port has none of it");
    target.is_unharmed().await;
}

/// A patch of the client, and the field that the refusal names.
fn client() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"dispalyName": "x"}), "dispalyName"),
        (json!({"displayName": "ok", "roles": []}), "roles"),
        (json!({"displayName": 1}), "displayName"),
        (json!({"displayName": null}), "displayName"),
        (json!({"state": "Sleeping"}), "state"),
        (json!({"grantTypes": "client_credentials"}), "grantTypes"),
        (json!({"grantTypes": ["password"]}), "grantTypes"),
        (json!({"redirectURIs": [1]}), "redirectURIs"),
        (json!({"authenticationMethod": "None ", "displayName": "x"}), "authenticationMethod"),
        (json!({"tokens": {"refreshLifetime": 1}}), "tokens"),
        (json!({"tokens": {"refreshLifetimeSeconds": "1"}}), "tokens"),
        (json!({"tokens": {"refreshLifetimeSeconds": 1e30}}), "tokens"),
        (json!({"resources": [{"name": "x"}]}), "resources"),
        (json!({"id": "another"}), "id"),
        (json!({"__proto__": {"state": "Active"}}), "__proto__"),
        (json!({"": 1}), ""),
        (json!([]), "object"),
        (json!("x"), "object"),
        (json!(null), "object"),
    ]
}

/// A patch of the resource server, and the field that the refusal names.
fn resource_server() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"accessToken": {"lifetimeSeconds": 0}}), "accessToken"),
        (json!({"accessToken": {"lifetimeSeconds": -900}}), "accessToken"),
        (json!({"accessToken": {"lifetimeSeconds": i64::MAX}}), "accessToken"),
        (json!({"accessToken": {"lifetimeSeconds": 86_400}}), "accessToken"),
        (json!({"accessToken": {"lifetimeSecnods": 60}}), "accessToken"),
        (json!({"accessToken": {"signingAlgorithm": "none"}}), "accessToken"),
        (json!({"accessToken": {"signingAlgorithm": "HS256"}}), "accessToken"),
        (json!({"lifecycle": "Alive"}), "lifecycle"),
        (json!({"scopes": [{"name": "a", "secret": "b"}]}), "scopes"),
        (json!({"tools": {}}), "tools"),
    ]
}

/// K: clear refusal over silent repair; each names what is wrong and changes nothing.
#[tokio::test]
async fn an_edit_that_is_nearly_right_is_refused_by_name() {
    let mut target = Target::samples().await;
    let key = format!("Bearer {}", target.home.api_key("ops", "operator"));
    let list = async || {
        let (_, body) = send(&target, &Method::GET, "/admin/resources", Some(&key), "").await;
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let before = list().await;
    let rows = before["items"].as_array().unwrap();
    let billing = rows.iter().find(|row| row["kind"] == "ResourceServer").unwrap()["id"].as_str().unwrap().to_owned();
    let rows = client().into_iter().map(|row| ("/admin/clients/portal".to_owned(), row));
    let rows = rows.chain(resource_server().into_iter().map(|row| (format!("/admin/resource-servers/{billing}"), row)));
    for (path, (patch, named)) in rows {
        let path = format!("{path}?force=true");
        let (status, body) = send(&target, &Method::PATCH, &path, Some(&key), &patch.to_string()).await;
        assert_eq!(status, 400, "{patch}: {body}");
        assert!(body.contains(named) && body.contains("\"invalid_request\""), "{patch}: {body}");
    }
    for (query, body) in [
        ("?force", "{}"),
        ("?force=1", "{}"),
        ("?force=TRUE", "{}"),
        ("?Force=true", "{}"),
        ("?force=true&dry_run=true", "{}"),
        ("?force=true", ""),
        ("?force=true", "{"),
        ("?force=true", "{\"displayName\": \"a\"} {}"),
        ("?force=true", "{\"displayName\": \"\u{0}\"}"),
        ("?force=true", "{\"displayName\": \"\\u0000\"}"),
        ("?force=true", "{\"tokens\": {\"\\u0000\": 1}}"),
    ] {
        let path = format!("/admin/clients/portal{query}");
        let (status, said) = send(&target, &Method::PATCH, &path, Some(&key), body).await;
        assert_eq!(status, 400, "{query} {body}: {said}");
    }
    assert_eq!(list().await, before, "nothing was changed");
    assert!(target.server.events("drift_detected").is_empty());
    target.is_unharmed().await;
}

/// A URI that another row has is a conflict, not a fault; and a number that only SQL can write is no panic.
#[tokio::test]
async fn what_is_taken_or_out_of_range_is_no_fault_of_the_server() {
    let mut home = crate::directory::samples();
    let second = crate::directory::RESOURCE_SERVER
        .replace("name: billing-mcp", "name: second")
        .replace("https://billing.example.com/mcp", "https://second.example.com/mcp");
    home.write("second.yaml", &second);
    home.set("HOLDFAST_OPERATOR__DRIFT__MODE", "Warn");
    let mut target = Target::start(home).await;
    let key = format!("Bearer {}", target.home.api_key("ops", "operator"));
    let (_, body) = send(&target, &Method::GET, "/admin/resources", Some(&key), "").await;
    let rows: Value = serde_json::from_str(&body).unwrap();
    let rows = rows["items"].as_array().unwrap();
    let second = rows.iter().find(|row| row["spec"]["resourceURI"] == "https://second.example.com/mcp").unwrap();
    let path = format!("/admin/resource-servers/{}?force=true", second["id"].as_str().unwrap());
    let taken = json!({"resourceURI": "https://billing.example.com/mcp"}).to_string();
    let (status, body) = send(&target, &Method::PATCH, &path, Some(&key), &taken).await;
    assert_eq!(status, 409, "{body}");
    for seconds in [i64::MAX, i64::MIN, 0, -1] {
        let sql =
            format!("UPDATE resource_server SET lifetime_seconds = {seconds} WHERE resource_uri LIKE '%billing%'");
        crate::directory::sql(target.home.path(), &sql).await;
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        let answer = target.server.token(&target.id, &target.secret).await;
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!(status, 200, "{seconds}: {body}");
        assert!((60..=3600).contains(&body["expires_in"].as_i64().unwrap()), "{seconds}: {body}");
    }
    target.is_unharmed().await;
}
