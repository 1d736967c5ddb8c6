//! Files of a policy directory that are there to do harm, or merely by mistake.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use super::Target;
use crate::directory::{CLIENT, RESOURCE_SERVER};

fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let laughs: String = (1..=30)
        .map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", ")))
        .collect();
    let quadratic = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(5000), "*a,".repeat(5000));
    let scalar = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a,".repeat(5000));
    let deep = |open: &str| format!("a: {}", open.repeat(200_000)).into_bytes();
    let block: String = (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth.min(1300)))).collect();
    vec![
        ("laughs", format!("a0: &a0 [lol]\n{laughs}").into_bytes()),
        ("quadratic", quadratic.into_bytes()),
        ("scalar", scalar.into_bytes()),
        ("itself", b"a: &a [*a]\n".to_vec()),
        ("lists", deep("[")),
        ("maps", deep("{a: ")),
        ("dashes", format!("{}a", "- ".repeat(100_000)).into_bytes()),
        ("block", block.into_bytes()),
        ("merge", b"a: &a {<<: *a}\n".to_vec()),
        ("tag", b"a: !!python/object/apply:os.system [id]\n".to_vec()),
        ("include", b"a: !include /etc/passwd\n".to_vec()),
        ("bytes", vec![0xff; 1000]),
        ("nul", b"kind: OAuth\0Client\n".to_vec()),
        ("utf16", "kind: OAuthClient".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("documents", b"---\n".repeat(100_000)),
        ("keys", (0..100_000).map(|i| format!("k{i}: 1\n")).collect::<String>().into_bytes()),
        ("long", format!("{RESOURCE_SERVER}  documentation: {}\n", "x".repeat(3 << 20)).into_bytes()),
    ]
}

/// FT-20, OV-11: each by itself is said and left out, and what was good stays.
#[tokio::test]
async fn a_bomb_spoils_nothing_but_its_own_file() {
    let mut target = Target::samples().await;
    for (name, bytes) in bombs() {
        let path = target.home.path().join("draft");
        std::fs::write(&path, bytes).unwrap();
        std::fs::rename(path, target.home.policy().join(format!("bomb-{name}.yaml"))).unwrap();
        let about = |fault: &str| fault.contains(&format!("bomb-{name}.yaml"));
        let known = |line: &serde_json::Value| line["fault"].as_str().is_some_and(about);
        let said = target.server.event("policy_file_invalid", known).await;
        assert!(said["fault"].as_str().unwrap().len() < 10_000, "{name} is said at length");
        assert!(target.server.is_running(), "{name}: {}", target.server.log());
        std::fs::remove_file(target.home.policy().join(format!("bomb-{name}.yaml"))).unwrap();
    }
    target.is_unharmed().await;
    assert!(target.server.events("deleted").is_empty());
}

/// Mechanics §9: what is no file cannot be read, which is no reason to wait for it or to delete anything.
#[tokio::test]
async fn what_is_no_file_is_not_read_and_deletes_nothing() {
    let mut target = Target::samples().await;
    let place = target.home.policy().join("oauthclient.yaml");
    for make in 0..4 {
        std::fs::remove_file(&place).unwrap();
        let _socket = match make {
            0 => {
                assert!(Command::new("mkfifo").arg(&place).status().unwrap().success());
                None
            }
            1 => Some(UnixListener::bind(&place).unwrap()),
            2 => {
                symlink("/dev/zero", &place).unwrap();
                None
            }
            _ => {
                symlink("nowhere", &place).unwrap();
                None
            }
        };
        tokio::time::sleep(Duration::from_millis(4500)).await;
        target.is_unharmed().await;
        assert!(target.server.events("deleted").is_empty(), "{make}: {}", target.server.log());
        assert!(!target.server.events("policy_directory_unreadable").is_empty(), "{make}: {}", target.server.log());
        std::fs::remove_file(&place).unwrap();
        target.home.write("oauthclient.yaml", CLIENT);
    }
}

/// Names that lead out of the folder of secrets, or onto each other.
const NAMES: [(&str, &str); 9] = [
    ("name: portal-oauth", "name: ../../../../outside"),
    ("name: portal-oauth", "name: a/b"),
    ("name: portal-oauth", "name: .."),
    ("name: portal-oauth", "name: /etc/outside"),
    ("name: portal-oauth", "name: .outside"),
    ("name: portal-oauth", "name: portal-oauth\n      keys: {clientSecret: ../../outside}"),
    ("name: portal-oauth", "name: portal-oauth\n      keys: {clientSecret: ..}"),
    ("name: portal-oauth", "name: portal-oauth\n      keys: {clientID: client_secret}"),
    ("namespace: default", "namespace: ../../outside"),
];

/// Mechanics §9: no name leads anywhere else, and two keys are never one file.
#[tokio::test]
async fn no_name_leads_out_of_the_folder_of_secrets() {
    let mut target = Target::samples().await;
    let listing = |target: &Target| {
        let mut found = Vec::new();
        let mut folders = vec![target.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        found
    };
    target.home.write("evil.yaml", "# nothing yet\n");
    let before = listing(&target);
    for (index, (good, evil)) in NAMES.into_iter().enumerate() {
        let text = CLIENT.replace(good, evil).replace("clientID: portal\n", &format!("clientID: evil-{index}\n"));
        assert_ne!(text, CLIENT);
        target.home.write("evil.yaml", &text.replace("name: portal\n", &format!("name: evil-{index}\n")));
        let told = |line: &serde_json::Value| line.to_string().contains(&format!("evil-{index}")) || index == 8;
        let event = if index == 8 { "policy_file_invalid" } else { "reconciled" };
        let said = target.server.event(event, told).await;
        assert!(index == 8 || said["ready"] == false, "{evil}: {said}");
        assert_eq!(listing(&target), before, "{evil}");
    }
    target.is_unharmed().await;
}

/// Y-05: a Secret that is not YAML, or is of the wrong type, is told without its value.
#[tokio::test]
async fn a_secret_that_is_wrong_is_not_repeated() {
    let mut target = Target::samples().await;
    let values = [
        "*hunter-canary",
        "&hunter-canary",
        "!hunter-canary x",
        "!!hunter-canary x",
        "@hunter-canary",
        "`hunter-canary",
        "%hunter-canary",
        "|hunter-canary",
        ">hunter-canary",
        "'hunter-canary",
        "\"hunter-canary",
        "\"hunter-canary\\q\"",
        "{hunter-canary",
        "[hunter-canary",
        "a: hunter-canary",
        "\n  hunter-canary",
        "\n\thunter-canary",
        "hunter-canary: : x",
        "{hunter-canary: 1}",
        "? hunter-canary",
        "- hunter-canary",
        "hunter-canary\n hunter-canary: a",
    ];
    for (index, value) in values.into_iter().enumerate() {
        for field in ["data", "stringData"] {
            let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s{index}}}\n{field}:\n  a: {value}\n");
            target.home.write(&format!("secret-{index}-{field}.yaml"), &text);
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let log = target.server.log();
    assert!(target.server.events("policy_file_invalid").len() > values.len(), "{log}");
    let said: Vec<&str> = log.lines().filter(|line| line.contains("hunter-canary")).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    target.is_unharmed().await;
}
