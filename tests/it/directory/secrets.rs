//! Generated secrets: rotation with two that work, one that is lost, one whose place leads elsewhere.

use std::os::unix::fs::symlink;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};

use super::{CLIENT, samples};

/// K5
#[tokio::test]
#[allow(clippy::disallowed_methods)] // the rotation is to happen a second from now
async fn a_rotation_leaves_two_secrets_that_work_and_a_revocation_none() {
    let home = samples();
    let server = home.start().await;
    server.event("secret_generated", |_| true).await;
    let (id, old) = (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"));
    let level = (Timestamp::now() + SignedDuration::from_secs(2)).round(Unit::Second).unwrap();
    let rotated = CLIENT.replace("rotation:", &format!("rotation:\n        rotateIssuedBefore: \"{level}\""));
    home.write("oauthclient.yaml", &rotated);
    server.event("secret_rotated", |line| line["name"] == "portal").await;
    let new = home.secret("portal-oauth", "client_secret");
    assert_ne!(new, old);
    tokio::time::sleep(Duration::from_millis(500)).await;
    for secret in [&old, &new] {
        assert!(server.token(&id, secret).await.status().is_success());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(home.secret("portal-oauth", "client_secret"), new, "a level acts once");
    home.write("oauthclient.yaml", &rotated.replace("rotateIssuedBefore", "revokeIssuedBefore"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.token(&id, &old).await.status(), 401, "what was issued before it has ended");
    assert!(server.token(&id, &new).await.status().is_success(), "what was issued after it goes on");
}

#[tokio::test]
async fn a_lost_secret_is_made_again_and_the_lost_one_retires() {
    let home = samples();
    let mut server = home.start().await;
    server.event("secret_generated", |_| true).await;
    let (id, old) = (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"));
    server.signal("TERM");
    server.ended().await;
    std::fs::remove_dir_all(home.data().join("secrets")).unwrap();
    let server = home.start().await;
    server.event("secret_rotated", |_| true).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let new = home.secret("portal-oauth", "client_secret");
    assert_ne!(new, old);
    for secret in [&old, &new] {
        assert!(server.token(&id, secret).await.status().is_success());
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_a_secret_is_not_followed() {
    let home = samples();
    let outside = home.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(home.data().join("secrets/default")).unwrap();
    symlink(&outside, home.data().join("secrets/default/portal-oauth")).unwrap();
    let server = home.start().await;
    let said = server.event("reconciled", |line| line["name"] == "portal" && line["ready"] == false).await;
    assert_eq!(said["reason"], "SecretConflict", "{said}");
    assert_eq!(std::fs::read_dir(outside).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_is_taken_away_comes_back_with_another_value_and_a_renamed_one_moves() {
    let home = samples();
    let server = home.start().await;
    server.event("secret_generated", |_| true).await;
    let (id, old) = (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"));
    std::fs::remove_file(home.data().join("secrets/default/portal-oauth/client_secret")).unwrap();
    server.event("secret_rotated", |_| true).await;
    let new = home.secret("portal-oauth", "client_secret");
    assert_ne!(new, old);
    home.write("oauthclient.yaml", &CLIENT.replace("name: portal-oauth", "name: moved"));
    let moved = home.data().join("secrets/default/moved/client_secret");
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if moved.exists() && !home.data().join("secrets/default/portal-oauth").exists() {
            break;
        }
    }
    assert!(!home.data().join("secrets/default/portal-oauth").exists(), "{}", server.log());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(server.token(&id, &home.secret("moved", "client_secret")).await.status().is_success());
}
