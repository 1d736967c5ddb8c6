//! Signing keys of the real program: replaced on command, on two replicas, from a folder, by SIGHUP.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::postgres;
use crate::support::server::{Home, Server};

async fn kids(server: &Server) -> BTreeSet<String> {
    let set: Value = server.get(&server.public("/.well-known/jwks.json")).await.json().await.unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn list(home: &Home) -> Vec<Value> {
    let output = home.command(&["admin", "key", "list", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap().as_array().unwrap().clone()
}

fn of(keys: &[Value], state: &str) -> usize {
    keys.iter().filter(|key| key["state"] == state).count()
}

async fn until(what: &str, server: &Server, so: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < Duration::from_secs(30), "not so: {what}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

fn rotate(home: &Home, arguments: &[&str]) {
    let output = home.command(&[&["admin", "key", "rotate"], arguments].concat()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "rotation=requested\n");
}

/// S15: `holdfast admin key rotate` on two replicas that share a database and no cluster; one leads, both follow, and
/// when the leader dies the other replaces keys.
#[tokio::test]
async fn a_rotation_on_command_reaches_both_replicas() {
    let database = postgres::fresh().await;
    let mut homes = [Home::new(), Home::new()];
    let key = homes[0].path().join("shared.key").display().to_string();
    for home in &mut homes {
        home.set("HOLDFAST_DATABASE__URL", &database.url);
        home.set("HOLDFAST_KEYS__MASTER_KEY_FILE", &key);
        home.set("HOLDFAST_KEYS__ROTATION__PUBLISH_AHEAD", "2s");
    }
    let mut one = homes[0].start().await;
    let two = homes[1].start().await;
    let first = kids(&one).await;
    assert_eq!((first.len(), &kids(&two).await), (3, &first));
    let jwks = two.get(&two.public("/.well-known/jwks.json")).await;
    assert_eq!(jwks.headers()["cache-control"], "public, max-age=2", "no longer than a key is published ahead");
    rotate(&homes[1], &[]);
    until("published on the first", &one, async || kids(&one).await.len() == 6).await;
    let behind = until("published on the second", &two, async || kids(&two).await == kids(&one).await).await;
    assert!(behind < Duration::from_secs(1), "{behind:?}");
    until("active", &one, async || of(&list(&homes[0]), "retiring") == 3).await;
    let keys = list(&homes[0]);
    assert_eq!((of(&keys, "active"), of(&keys, "next"), of(&keys, "retired")), (3, 0, 0));
    assert_eq!(kids(&two).await.len(), 6, "the old ones stay published");
    let leads = |server: &Server| server.events("key_rotated").len() == 9;
    assert!(leads(&one) != leads(&two), "one of them did it");
    let metric = "holdfast_signing_key_rotations_total{alg=\"ES256\"} 1\n";
    let (leader, other, home) = if leads(&one) { (&mut one, two, &homes[1]) } else { panic!("the first leads") };
    assert!(leader.get(&leader.admin("/metrics")).await.text().await.unwrap().contains(metric));
    leader.signal("KILL");
    leader.ended().await;
    rotate(home, &["--now"]);
    until("the other leads", &other, async || kids(&other).await.len() == 9).await;
}

/// A new PKCS#8 key in a file of the folder, with these rights.
fn write_key(folder: &Path, name: &str, mode: u32) {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let body = STANDARD.encode(key.as_ref());
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let draft = folder.join(".draft");
    std::fs::write(&draft, pem).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::rename(draft, folder.join(name)).unwrap();
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// S15, Y-03, Y-05: keys in a folder are made private, a key that is put there is taken up at SIGHUP, and what is taken away, or
/// cannot be read, takes no key from a server that has it.
#[tokio::test]
async fn keys_of_a_folder_are_taken_up_at_sighup() {
    let mut home = Home::new();
    home.set("HOLDFAST_KEYS__STORE", "file");
    home.set("HOLDFAST_LOGGING__LEVEL", "trace");
    home.set("HOLDFAST_KEYS__ROTATION__PUBLISH_AHEAD", "1s");
    let mut server = home.start().await;
    let folder = home.data().join("signing-keys");
    assert_eq!(files(&folder).len(), 3);
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for name in files(&folder) {
        let path = folder.join(&name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    write_key(&folder, "mine.pem", 0o600);
    server.signal("HUP");
    server.event("keys_reloaded", |_| true).await;
    until("published", &server, async || kids(&server).await.len() == 4).await;
    until("active", &server, async || of(&list(&home), "retiring") == 1).await;
    // a file that others can read is refused by name, and changes nothing
    write_key(&folder, "open.pem", 0o644);
    server.signal("HUP");
    let says = server.event("key_rotation_failed", |_| true).await;
    assert!(says["error"].as_str().unwrap().contains("open.pem can be read or written by others: chmod 600"), "{says}");
    assert_eq!(kids(&server).await.len(), 4);
    std::fs::remove_file(folder.join("open.pem")).unwrap();
    // a folder that is gone for a while takes no key away
    std::fs::rename(&folder, home.path().join("away")).unwrap();
    server.signal("HUP");
    until("reloaded again", &server, async || server.events("keys_reloaded").len() >= 2).await;
    assert_eq!(kids(&server).await.len(), 4);
    let health: Value = server.get(&server.admin("/health?verbose")).await.json().await.unwrap();
    assert_eq!(health["checks"]["keys"], "ok", "{health}");
    let database = std::fs::read(home.data().join("holdfast.db")).unwrap();
    for name in files(&home.path().join("away")) {
        let text = std::fs::read_to_string(home.path().join("away").join(name)).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(!server.log().contains(line), "a private key is in the log");
        let der = STANDARD.decode(line).unwrap();
        assert!(!database.windows(der.len()).any(|window| window == der), "a private key is in the database");
    }
    // but a server that starts without it cannot sign, and says so; nothing is made in their place
    server.signal("TERM");
    server.ended().await;
    let server = home.start().await;
    assert_eq!(kids(&server).await.len(), 4);
    let health: Value = server.get(&server.admin("/health?verbose")).await.json().await.unwrap();
    assert_eq!(health["checks"]["keys"], "failing", "{health}");
    assert!(!folder.exists());
    std::fs::rename(home.path().join("away"), &folder).unwrap();
    server.signal("HUP");
    let healthy = async || {
        let health: Value = server.get(&server.admin("/health?verbose")).await.json().await.unwrap();
        health["checks"]["keys"] == "ok"
    };
    until("they are back", &server, healthy).await;
}

/// Whoever changes `keys.store` gets keys of the new store in good order, and the old ones verify as long as they must.
#[tokio::test]
async fn another_store_is_moved_to_without_a_gap() {
    let mut home = Home::new();
    home.set("HOLDFAST_KEYS__ROTATION__PUBLISH_AHEAD", "1s");
    let mut server = home.start().await;
    let before = kids(&server).await;
    server.signal("TERM");
    server.ended().await;
    home.set("HOLDFAST_KEYS__STORE", "file");
    let server = home.start().await;
    until("replaced", &server, async || of(&list(&home), "retiring") == 3).await;
    let after = kids(&server).await;
    assert!(after.is_superset(&before) && after.len() == 6);
    let active: Vec<Value> = list(&home).into_iter().filter(|key| key["state"] == "active").collect();
    assert!(active.iter().all(|key| key["store"] == "file"), "{active:?}");
}

/// What cannot be used is refused at the start, by the name of its key.
#[test]
fn settings_that_cannot_be_used_are_refused() {
    for (name, value, says) in [
        ("KEYS__STORE", "vault", "keys.vault.address: required with keys.store: vault"),
        ("KEYS__STORE", "drawer", "keys.store"),
        ("KEYS__ROTATION__PUBLISH_AHEAD", "0s", "keys.rotation.publish_ahead: expected at least 1s"),
        ("KEYS__ROTATION__PERIOD", "90m", "keys.rotation.period: expected at least twice publish_ahead, or null"),
        ("PURGE__INTERVAL", "0s", "purge.interval: expected at least 1s"),
        ("AUDIT__ISSUANCE_RETENTION", "1h", "audit.issuance_retention: expected at least 48h"),
        ("SERVER__TRUSTED_PROXIES", "[10.0.0.0/33]", "server.trusted_proxies: 10.0.0.0/33 is neither"),
        ("RATE_LIMITS__TOKEN_PER_MINUTE", "100000001", "rate_limits.token_per_minute: expected 0 to 100000000"),
    ] {
        let mut home = Home::new();
        home.set(&format!("HOLDFAST_{name}"), value);
        let output = home.refused();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(says), "{name}={value}: {error}");
    }
    let vault = |address: &str, extra: (&str, &str)| {
        let mut home = Home::new();
        home.set("HOLDFAST_KEYS__STORE", "vault");
        home.set("HOLDFAST_KEYS__VAULT__ADDRESS", address);
        home.set(extra.0, extra.1);
        let output = home.refused();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let file = ("HOLDFAST_KEYS__VAULT__TOKEN_FILE", "/none");
    for (address, extra, says) in [
        ("http://vault.example.com:8200", file, "expected https"),
        ("https://vault.example.com/", file, "without a slash"),
        ("vault.example.com", file, "expected a URL"),
        ("https://vault.example.com", ("UNUSED", ""), "expected one of token_file and kubernetes.role"),
        ("https://vault.example.com", ("HOLDFAST_KEYS__VAULT__MOUNT", "../sys"), "keys.vault.mount"),
    ] {
        let (code, error) = vault(address, extra);
        assert!(code == Some(2) && error.contains(says), "{address}: {error}");
    }
}
