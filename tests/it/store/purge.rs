//! What a purge takes, and what it leaves.

use holdfast::domain::purge::{Keep, PurgeTarget};
use holdfast::domain::{Actor, AuditKind, Record};
use holdfast::store::{Error, Store};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::engine::Fresh;
use super::samples::put_all;

const DAY: i64 = 86_400;

fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).unwrap()
}

fn keep() -> Keep {
    let days = |days: i64| SignedDuration::from_secs(days * DAY);
    Keep {
        issuance: days(90),
        audit: None,
        never_used: days(1),
        last_used: days(90),
        change_log: days(30),
        access_log: days(30),
        access_log_rows: 1_000_000,
    }
}

/// Until nothing is left to do.
async fn purged(store: &Store, target: PurgeTarget, keep: &Keep) -> u64 {
    let mut rows = 0;
    loop {
        match store.purge(target, (keep, now()), None).await.unwrap() {
            0 => return rows,
            more => rows += more,
        }
    }
}

/// A jti of so many days ago, as a literal.
fn jti(engine: Engine, days: i64, number: u32) -> String {
    let millis = u64::try_from((now().as_second() - days * DAY) * 1000).unwrap();
    let mut random = [0u8; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().simple().to_string();
    match engine {
        Sqlite => format!("X'{id}'"),
        Postgres => format!("'\\x{id}'"),
    }
}

async fn issue(fresh: &Fresh, rows: &[(i64, u32, &str)]) {
    for (days, number, subject) in rows {
        let at = (now().as_second() - days * DAY) * 1_000_000;
        let jti = jti(fresh.engine, *days, *number);
        fresh
            .sql(&format!(
                "INSERT INTO access_token (jti, client_id, resource_server_id, subject, scope, issued_at, expires_at)
                VALUES ({jti}, 'portal', 'rs_1', '{subject}', '', {at}, {at} + 900000000)"
            ))
            .await;
    }
}

/// S23: tokens stay for as long as it is kept who was issued what, in more than one batch if need be.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn issued_tokens_go_after_their_retention(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    issue(&fresh, &[(89, 1, "portal"), (91, 2, "portal"), (89, 3, "usr_1"), (91, 4, "usr_1"), (0, 5, "usr_1")]).await;
    let many = "INSERT INTO access_token (jti, client_id, resource_server_id, subject, scope, issued_at, expires_at)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)";
    let key = match engine {
        Sqlite => "CAST(printf('old-%012d', i) AS BLOB)",
        Postgres => "convert_to('old-' || lpad(i::text, 12, '0'), 'UTF8')",
    };
    // keys of the far past: their first bytes are their time
    let key = key.replace("old-", "\u{1}old");
    fresh.sql(&format!("{many} SELECT {key}, 'portal', 'rs_1', 'portal', '', 1, 2 FROM n")).await;
    assert_eq!(purged(&store, PurgeTarget::Jti, &keep()).await, 1);
    assert_eq!(fresh.number("SELECT count(*) FROM access_token").await, 1204);
    assert_eq!(purged(&store, PurgeTarget::MachineTokens, &keep()).await, 1201);
    assert_eq!(fresh.number("SELECT count(*) FROM access_token").await, 3);
}

/// S23: what has served goes a day after its end, each kind under its own name.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn what_has_expired_goes_under_its_own_name(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    let hex = |number: i64| match engine {
        Sqlite => format!("X'{number:064x}'"),
        Postgres => format!("'\\x{number:064x}'"),
    };
    // of each kind one that is a day and an hour over, and one that is not
    for (number, hours) in [(1, 25), (2, 23)] {
        let (end, key) = ((now().as_second() - hours * 3600) * 1_000_000, hex(number));
        let grant = hex(number + 10);
        for sql in [
            format!("INSERT INTO token_grant (id, kind, client_id, subject, resource_server_id, scope, created_at, expires_at)
                VALUES ({grant}, 'authorization_code', 'c', 'u', 'r', '', 1, {end})"),
            format!("INSERT INTO refresh_token (hash, grant_id, issued_at, idle_expires_at) VALUES ({key}, {grant}, 1, 2)"),
            format!("INSERT INTO authorization_code (hash, client_id, subject, resource_server_id, scope, code_challenge,
                session_id, auth_time, issued_at, expires_at) VALUES ({key}, 'c', 'u', 'r', '', '', 's', 1, 1, {end})"),
            format!("INSERT INTO authorization_request (hash, kind, client_id, parameters, created_at, expires_at)
                VALUES ({key}, 'pushed', 'c', '', 1, {end})"),
            format!("INSERT INTO authorization_request (hash, kind, client_id, parameters, created_at, expires_at)
                VALUES ({grant}, 'browser', 'c', '', 1, {end})"),
            format!("INSERT INTO device_authorization (hash, user_code, client_id, resource_server_id, scope, source, state,
                interval_seconds, issued_at, expires_at) VALUES ({key}, {key}, 'c', 'r', '', '', 'pending', 5, 1, {end})"),
            format!("INSERT INTO used_proof (id, kind, expires_at, used_by) VALUES ({key}, 'client_assertion', {end}, {key})"),
            format!("INSERT INTO used_proof (id, kind, expires_at, used_by) VALUES ({grant}, 'dpop_proof', {end}, {grant})"),
            format!("INSERT INTO login_failure (kind, key, failures, since) VALUES ('account', {key}, 1, {end})"),
        ] {
            fresh.sql(&sql).await;
        }
    }
    for target in [
        PurgeTarget::RefreshTokens,
        PurgeTarget::AuthorizationCodes,
        PurgeTarget::DeviceCodes,
        PurgeTarget::ParRequests,
        PurgeTarget::ConsentTransactions,
        PurgeTarget::AssertionJti,
        PurgeTarget::DpopNonces,
        PurgeTarget::Sessions,
    ] {
        assert_eq!(purged(&store, target, &keep()).await, 1, "{}", target.as_str());
        assert_eq!(purged(&store, target, &keep()).await, 0, "{}", target.as_str());
    }
    assert_eq!(fresh.number("SELECT count(*) FROM token_grant").await, 2, "who was granted what is kept longer");
}

/// Changes go once they are old, accounted for and told; the newest stays, because numbers are counted from it.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn only_settled_and_reported_changes_go(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let old = (now().as_second() - 31 * DAY) * 1_000_000;
    let all = fresh.number("SELECT count(*) FROM change").await;
    let kept = |what: &'static str| {
        let fresh = &fresh;
        async move { fresh.number(&format!("SELECT count(*) FROM change WHERE {what}")).await }
    };
    // young: nothing goes
    fresh.sql(&format!("UPDATE change SET at = {}", old + 2 * DAY * 1_000_000)).await;
    assert_eq!(purged(&store, PurgeTarget::ChangeLog, &keep()).await, 0);
    fresh.sql(&format!("UPDATE change SET at = {old}")).await;
    let managed = |settled: i64| {
        format!(
            "INSERT INTO managed (owner_kind, owner_namespace, owner_name, namespace_uid, object_uid, entity_id,
                deletion, format, credentials, settled)
            VALUES ('OAuthClient', 'web', 'portal', '', '', 'portal', 'Delete', 1, '[]', {settled})"
        )
    };
    // the object's manager has not come so far
    fresh.sql(&managed(0)).await;
    fresh.sql(&format!("UPDATE change SET at = {old}")).await;
    assert!(purged(&store, PurgeTarget::ChangeLog, &keep()).await > 0);
    let portal = kept("entity_id = 'portal'").await;
    assert!(portal > 0, "what is not accounted for stays");
    // accounted for, and something is still to be told of it
    fresh.sql("UPDATE managed SET settled = (SELECT max(sequence) FROM change)").await;
    fresh
        .sql(
            "INSERT INTO report (owner_kind, owner_namespace, owner_name, object_uid, reason, field_path, note, at)
            VALUES ('OAuthClient', 'web', 'portal', '', 'DriftDetected', '', '', 1)",
        )
        .await;
    fresh.sql(&format!("UPDATE change SET at = {old}")).await;
    purged(&store, PurgeTarget::ChangeLog, &keep()).await;
    assert!(kept("entity_id = 'portal'").await >= portal, "what is not told stays");
    fresh.sql(&format!("UPDATE report SET reported_at = {old}")).await;
    // what was changed from outside goes only once it is in the log
    purged(&store, PurgeTarget::ChangeLog, &keep()).await;
    assert!(kept("derived = 0").await > 1);
    let epoch = store.take_over().await.unwrap();
    store.settle(epoch).await.unwrap();
    assert!(purged(&store, PurgeTarget::ChangeLog, &keep()).await > 0);
    assert_eq!(kept("1 = 1").await, 1, "of {all}");
    assert_eq!(fresh.number("SELECT count(*) FROM report").await, 0);
    let newest = fresh.number("SELECT max(sequence) FROM change").await;
    fresh.sql("UPDATE client SET display_name = 'x' WHERE id = 'portal'").await;
    assert!(fresh.number("SELECT revision FROM client WHERE id = 'portal'").await > newest);
}

/// Tombstones give ids back for thirty days; the audit stays unless it is told otherwise, and a purge leaves a record.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn tombstones_and_the_audit_go_by_their_own_time(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    for (name, deleted) in [("alive", "NULL".to_owned()), ("young", days_ago(29)), ("old", days_ago(31))] {
        fresh
            .sql(&format!(
                "INSERT INTO managed (owner_kind, owner_namespace, owner_name, namespace_uid, object_uid, entity_id,
                    deletion, format, credentials, settled, deleted_at)
                VALUES ('Provider', 'web', '{name}', '', '', 'prv_{name}', 'Delete', 1, '[]', 0, {deleted})"
            ))
            .await;
    }
    assert_eq!(purged(&store, PurgeTarget::Tombstones, &keep()).await, 1);
    assert_eq!(fresh.number("SELECT count(*) FROM managed WHERE owner_name <> 'old'").await, 2);
    let mut tx = store.write(&Actor::server()).await.unwrap();
    for days in [1, 91] {
        let at = now() - SignedDuration::from_secs(days * DAY);
        for kind in [AuditKind::Logout, AuditKind::TokenRefreshed] {
            tx.audit(kind, &Record::new(at, Actor::server())).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    assert_eq!(purged(&store, PurgeTarget::Audit, &keep()).await, 1, "an old record of issuance");
    let short = Keep { audit: Some(SignedDuration::from_secs(30 * DAY)), ..keep() };
    assert_eq!(purged(&store, PurgeTarget::Audit, &short).await, 1, "another old record");
    assert_eq!(fresh.number("SELECT count(*) FROM audit").await, 2);
}

async fn calls(fresh: &Fresh, server: &str, from: i64, count: i64, seconds_ago: i64) {
    let at = (now().as_second() - seconds_ago) * 1_000_000;
    let own = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ";
    fresh
        .sql(&format!(
            "INSERT INTO access_log (resource_server_id, id, at, received_at, tool, outcome, scopes, reported_by)
            {own}{count}) SELECT '{server}', 'd-' || ({from} + i), {at} - i * CAST(1000000 AS BIGINT), 0, 'pay', 'allowed', '', 'x' FROM n"
        ))
        .await;
}

/// D12: by age, whoever's; and by number the oldest of each resource server, in more than one batch, and nothing of a
/// smaller one.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn calls_go_by_age_and_by_number(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    let count = async |what: &str| fresh.number(&format!("SELECT count(*) FROM access_log WHERE {what}")).await;
    calls(&fresh, "rs_gone", 0, 600, 31 * DAY).await;
    calls(&fresh, "rs_1", 1000, 30, 29 * DAY).await;
    assert_eq!(purged(&store, PurgeTarget::AccessLog, &keep()).await, 600);
    assert_eq!(count("1 = 1").await, 30, "who is gone keeps no calls for longer than others");
    calls(&fresh, "rs_1", 2000, 12_000, DAY).await;
    calls(&fresh, "rs_2", 3000, 100, 2 * DAY).await;
    // of the same moment as the last that stays
    let same = "UPDATE access_log SET at = (SELECT min(at) FROM access_log WHERE id = 'd-2099') WHERE id = 'd-2100'";
    fresh.sql(same).await;
    let few = Keep { access_log_rows: 100, ..keep() };
    assert_eq!(purged(&store, PurgeTarget::AccessLog, &few).await, 12_030 - 100);
    assert_eq!((count("resource_server_id = 'rs_1'").await, count("resource_server_id = 'rs_2'").await), (100, 100));
    let newest = (now().as_second() - DAY - 99) * 1_000_000;
    assert_eq!(count(&format!("resource_server_id = 'rs_1' AND at < {newest}")).await, 0, "the oldest went");
    assert_eq!(purged(&store, PurgeTarget::AccessLog, &few).await, 0);
    assert_eq!(fresh.number("SELECT count(*) FROM change").await, 0, "no policy");
}

fn days_ago(days: i64) -> String {
    ((now().as_second() - days * DAY) * 1_000_000).to_string()
}

/// A leader that was replaced purges nothing; the lease lapses by the database's clock, and one at a time holds it.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn one_leads_and_a_former_leader_purges_nothing(#[case] engine: Engine) {
    use std::time::Duration;
    let (store, fresh) = engine.store().await;
    let other = fresh.open().await;
    let hold = Duration::from_secs(60);
    let first = store.campaign(hold).await.unwrap().expect("nobody leads");
    assert_eq!(other.campaign(hold).await.unwrap(), None);
    assert!(store.renew(first, hold).await.unwrap());
    store.purge(PurgeTarget::Audit, (&keep(), now()), Some(first)).await.unwrap();
    assert!(store.renew(first, Duration::ZERO).await.unwrap());
    let second = other.campaign(Duration::from_millis(300)).await.unwrap().expect("it was given back");
    assert!(second > first && !store.renew(first, hold).await.unwrap());
    let fenced = store.purge(PurgeTarget::Audit, (&keep(), now()), Some(first)).await;
    assert!(matches!(fenced, Err(Error::Fenced)));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(store.campaign(hold).await.unwrap().is_some_and(|third| third > second), "it lapsed");
}
