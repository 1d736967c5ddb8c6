//! Secrets are looked for everywhere they must not be, after a run in which all of them were used.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use holdfast::domain::SecretText;
use sqlx::{AssertSqlSafe, Row};

use super::Target;

/// A referenced secret, one that authenticates a request in vain, and one that is sent to the wrong place.
const REFERENCED: &str = "referenced-canary-0123456789-abcdefghijklm";
const WRONG: &str = "wrong-canary-0123456789-abcdefghijklmnopqrs";

/// Every form in which a secret might stand somewhere.
fn forms(secret: &str) -> Vec<String> {
    let hash = SecretText::new(secret).hash();
    let hex: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = secret.as_bytes();
    vec![
        secret.to_owned(),
        STANDARD.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
        hex.to_uppercase(),
        hex,
        STANDARD.encode(hash.as_bytes()),
    ]
}

/// All of the database as text, table by table; bytes in hex.
async fn dump(target: &Target) -> Vec<(String, String)> {
    let mut connection = crate::directory::database(target.home.path()).await;
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    let mut dumped = Vec::new();
    for table in tables {
        let columns = format!("SELECT name FROM pragma_table_info('{table}')");
        let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(columns)).fetch_all(&mut connection).await.unwrap();
        let both =
            columns.iter().map(|c| format!("coalesce(CAST(\"{c}\" AS TEXT), '') || ' ' || coalesce(hex(\"{c}\"), '')"));
        let sql = format!("SELECT {} FROM \"{table}\"", both.collect::<Vec<_>>().join(" || ' ' || "));
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        let text: Vec<String> =
            rows.iter().map(|row| String::from_utf8_lossy(row.get_unchecked::<&[u8], _>(0)).into_owned()).collect();
        dumped.push((table, text.join("\n")));
    }
    dumped
}

/// Looks for all of them in the log, in the metrics and, but for the hashes that are compared with, in every table.
pub(super) async fn are_nowhere(target: &Target, secrets: &[String]) {
    let metrics = target.server.get(&target.server.admin("/metrics")).await.text().await.unwrap();
    for (place, text) in [("the log", target.server.log()), ("the metrics", metrics)] {
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            assert!(!text.contains(&form), "{place} has {form}");
        }
    }
    for (table, text) in dump(target).await {
        for form in secrets.iter().flat_map(|secret| forms(secret).into_iter().take(3)) {
            let hex: String = form.bytes().map(|byte| format!("{byte:02X}")).collect();
            assert!(!text.contains(&form) && !text.contains(&hex), "table {table} has {form}");
        }
    }
}

/// OV-10, Y-05: no secret, token or key in the log at its loudest, in metrics, in the admin's list, or in any table.
#[tokio::test]
async fn no_secret_is_where_it_must_not_be() {
    let mut home = crate::directory::samples();
    home.write("provider.yaml", &crate::directory::PROVIDER.replace("sample-value-replace-me-before-use", REFERENCED));
    home.set("HOLDFAST_LOGGING__LEVEL", "trace");
    let mut target = Target::start(home).await;
    let (viewer, operator) = (target.home.api_key("v", "viewer"), target.home.api_key("o", "operator"));
    let mut secrets = vec![target.secret.clone(), viewer.clone(), operator.clone(), REFERENCED.into(), WRONG.into()];
    secrets.push(std::fs::read_to_string(target.home.data().join("master.key")).unwrap().trim().to_owned());
    secrets.push(target.token().await);
    let opaque = crate::directory::RESOURCE_SERVER.replace("accessToken:", "accessToken:\n    format: Opaque");
    target.home.write("resourceserver.yaml", &opaque);
    target.server.event("reconciled", |line| line["name"] == "billing-mcp" && line["outcome"] == "updated").await;
    let opaque = loop {
        let token = target.token().await;
        if token.starts_with("hfat_") {
            break token;
        }
    };
    secrets.push(opaque.clone());
    for token in secrets.clone() {
        target.post("/oauth/introspect", &[("token", &token)]).await;
    }
    target.post("/oauth/revoke", &[("token", &opaque)]).await;
    let _ = target.server.token(&target.id, WRONG).await;
    let _ = target.server.token(WRONG, WRONG).await;
    let get = target.server.client().get(target.server.admin(&format!("/admin/resources?key={operator}")));
    assert_eq!(get.bearer_auth(WRONG).send().await.unwrap().status(), 401);
    let url = target.server.admin("/admin/clients/portal?force=true");
    let patch = target.server.client().patch(url).bearer_auth(&operator).header("content-type", "application/json");
    assert_eq!(patch.body("{\"displayName\": \"Drifted\"}").send().await.unwrap().status(), 200);
    target.server.event("drift_corrected", |line| line["name"] == "portal").await;
    let rotated = crate::directory::CLIENT
        .replace("rotation:", "rotation:\n        revokeIssuedBefore: \"2099-01-01T00:00:00Z\"");
    target.home.write("oauthclient.yaml", &rotated);
    while target.home.secret("portal-oauth", "client_secret") == target.secret {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    target.secret = target.home.secret("portal-oauth", "client_secret");
    secrets.push(target.secret.clone());
    while target.server.token(&target.id, &target.secret).await.status() != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    target.is_unharmed().await;
    let metrics = target.server.get(&target.server.admin("/metrics")).await.text().await.unwrap();
    let list = target.server.client().get(target.server.admin("/admin/resources")).bearer_auth(&viewer);
    let list = list.send().await.unwrap().text().await.unwrap();
    assert!(list.contains("billing-mcp") && metrics.contains("holdfast_"));
    let open = [("the log", target.server.log()), ("the metrics", metrics), ("the list", list)];
    let keys = target.home.command(&["admin", "apikey", "list", "--json"]).output().unwrap();
    let keys = ("the list of keys", String::from_utf8(keys.stdout).unwrap());
    for (place, text) in open.into_iter().chain([keys]) {
        for secret in &secrets {
            for form in forms(secret) {
                assert!(!text.contains(&form), "{place} has {form}:\n{text}");
            }
        }
    }
    // what is kept of a secret is its SHA-256, and only where it is compared
    for (table, text) in dump(&target).await {
        for secret in &secrets {
            let known = ["credential", "api_key", "access_token"].contains(&table.as_str());
            for form in forms(secret).into_iter().take(if known { 3 } else { 6 }) {
                let hex: String = form.bytes().map(|byte| format!("{byte:02X}")).collect();
                assert!(!text.contains(&form) && !text.contains(&hex), "table {table} has {form}");
            }
        }
    }
    let output = target.home.command(&["config", "check"]).output().unwrap();
    assert!(output.status.success());
}

/// What lies in the data folder is only its owner's to read.
#[tokio::test]
async fn nobody_else_reads_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let target = Target::samples().await;
    let mut folders = vec![target.home.data()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            files += 1;
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o177, 0, "{}", entry.path().display());
        }
    }
    assert!(files >= 6, "database, its companions, the key and the secret: {files}");
}
