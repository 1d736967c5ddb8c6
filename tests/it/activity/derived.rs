//! Every type of record, by whoever makes the change: once each, and with the change or not at all.

use std::collections::BTreeSet;

use holdfast::domain::credential::Rotation;
use holdfast::domain::desired::SecretSource;
use holdfast::domain::{
    Activity, ActivityType, Actor, AuditKind, Cause, Clock, DeletionPolicy, Desired, Kind, Reason, SecretText,
};
use holdfast::provision::{Held, SecretStep};
use holdfast::store;
use rstest::rstest;
use serde_json::{Value, json};

use super::stage::{Stage, edited, member};
use crate::store::engine::Engine::{self, Postgres, Sqlite};

/// A line of SQL, with `$rs` for the id and `$blob` for some bytes, and what is to be told of it.
const OUTSIDE: &[(&str, &[&str])] = &[
    (
        "INSERT INTO scope (id, resource_server_id, name, description, risk, upstream) VALUES ('s9', $rs, 'x', '', 'Low', '')",
        &["scope_added"],
    ),
    ("UPDATE scope SET risk = 'Medium' WHERE id = 's9'", &["scope_changed"]),
    (
        "INSERT INTO tool (id, resource_server_id, name, access, scopes, matching)
        VALUES ('t9', $rs, 'fly', 'Scoped', '[\"x\", \"invoices.read\"]', 'Any')",
        &["tool_added"],
    ),
    ("UPDATE tool SET scopes = '[\"x\"]' WHERE id = 't9'", &["tool_remapped"]),
    ("DELETE FROM scope WHERE id = 's9'", &["scope_deleted", "tool_unmapped"]),
    ("UPDATE tool SET scopes = '[\"invoices.read\"]' WHERE id = 't9'", &["tool_mapped"]),
    ("UPDATE tool SET access = 'Public' WHERE id = 't9'", &["tool_made_public"]),
    ("UPDATE tool SET name = 'soar' WHERE id = 't9'", &["tool_removed", "tool_added"]),
    ("DELETE FROM tool WHERE id = 't9'", &["tool_removed"]),
    ("INSERT INTO role (id, resource_server_id, name, scopes) VALUES ('r9', $rs, 'boss', '[]')", &["role_added"]),
    ("UPDATE role SET scopes = '[\"invoices.write\"]' WHERE id = 'r9'", &["role_changed"]),
    ("UPDATE resource_server SET default_role = 'boss' WHERE id = $rs", &["default_role_changed"]),
    ("DELETE FROM role WHERE id = 'r9'", &["role_removed", "default_role_disabled"]),
    ("UPDATE resource_server SET default_role = NULL WHERE id = $rs", &["default_role_disabled"]),
    ("UPDATE resource_server SET default_role = 'reader' WHERE id = $rs", &["default_role_enabled"]),
    (
        "INSERT INTO role_binding (id, resource_server_id, name, members) VALUES ('b9', $rs, 'all', '{\"role\":\"reader\"}')",
        &["role_binding_added"],
    ),
    ("UPDATE role_binding SET members = '{\"role\":\"x\"}' WHERE id = 'b9'", &["role_binding_changed"]),
    ("DELETE FROM role_binding WHERE id = 'b9'", &["role_binding_removed"]),
    ("UPDATE resource_server SET resource_uri = 'https://x.example/' WHERE id = $rs", &["resource_uri_changed"]),
    ("UPDATE resource_server SET display_name = 'X' WHERE id = $rs", &["display_name_changed"]),
    ("UPDATE resource_server SET lifecycle = 'Draft' WHERE id = $rs", &["lifecycle_changed"]),
    ("UPDATE resource_server SET lifetime_seconds = 60 WHERE id = $rs", &["access_token_changed"]),
    ("UPDATE resource_server SET allowed_namespaces = '{}' WHERE id = $rs", &["allowed_namespaces_changed"]),
    ("UPDATE resource_server SET dynamic_clients = 'All' WHERE id = $rs", &["dynamic_clients_changed"]),
    ("UPDATE resource_server SET consent = 'Required' WHERE id = $rs", &["consent_changed"]),
    ("UPDATE resource_server SET exchange = '{}' WHERE id = $rs", &["exchange_changed"]),
    ("UPDATE resource_server SET runtime_clients = '[]' WHERE id = $rs", &["runtime_changed"]),
    ("UPDATE resource_server SET connect = '{}' WHERE id = $rs", &["connect_changed"]),
    ("UPDATE resource_server SET fronting = '[]' WHERE id = $rs", &["fronting_changed"]),
    ("UPDATE resource_server SET owner_name = 'other' WHERE id = $rs", &["ownership_changed"]),
    (
        "INSERT INTO credential (id, principal, hash, state, issued_at) VALUES ('c1', $rs, $blob, 'current', 1)",
        &["secret_added"],
    ),
    (
        "INSERT INTO credential (id, principal, hash, state, issued_at) VALUES ('c2', $rs, $blob, 'current', 2)",
        &["secret_rotated"],
    ),
    ("UPDATE credential SET state = 'retiring', retire_at = 5 WHERE id = 'c1'", &["secret_changed"]),
    ("DELETE FROM credential WHERE id = 'c1'", &["secret_ended"]),
    (
        "INSERT INTO credential (id, principal, hash, state, issued_at) VALUES ('c3', 'portal', $blob, 'current', 1)",
        &["client_secret_added"],
    ),
    (
        "INSERT INTO credential (id, principal, hash, state, issued_at) VALUES ('c4', 'portal', $blob, 'current', 2)",
        &["client_secret_rotated"],
    ),
    ("UPDATE credential SET state = 'retiring', retire_at = 5 WHERE id = 'c3'", &["client_secret_changed"]),
    ("DELETE FROM credential WHERE id = 'c3'", &["client_secret_ended"]),
    ("UPDATE client_resource SET scopes = '[]' WHERE client_id = 'portal'", &["client_scopes_changed"]),
    ("UPDATE client_resource SET name = 'renamed' WHERE client_id = 'portal'", &["client_changed"]),
    ("UPDATE client_resource SET resource_server_id = 'rs_other' WHERE client_id = 'portal'", &["client_detached"]),
    ("UPDATE client_resource SET resource_server_id = $rs WHERE client_id = 'portal'", &["client_attached"]),
    ("UPDATE client SET state = 'Suspended' WHERE id = 'portal'", &["client_suspended"]),
    ("UPDATE client SET state = 'Active' WHERE id = 'portal'", &["client_reactivated"]),
    ("UPDATE client SET redirect_uris = '[\"https://evil.example/\"]' WHERE id = 'portal'", &["redirect_uris_changed"]),
    ("UPDATE client SET grant_types = '[\"device_code\"]' WHERE id = 'portal'", &["grant_types_changed"]),
    ("UPDATE client SET authentication_method = 'None' WHERE id = 'portal'", &["auth_method_changed"]),
    ("UPDATE client SET consent = 'Implicit' WHERE id = 'portal'", &["client_changed"]),
    ("DELETE FROM client WHERE id = 'portal'", &["client_deleted"]),
    ("DELETE FROM client_resource WHERE client_id = 'portal'", &["client_detached"]),
    ("UPDATE provider SET display_name = 'X' WHERE id = 'prv_1'", &["provider_changed"]),
    ("DELETE FROM provider WHERE id = 'prv_1'", &["provider_deleted"]),
    ("UPDATE resource_server SET token_source = '{\"type\":\"Mint\"}' WHERE id = $rs", &["token_source_changed"]),
    ("DELETE FROM resource_server WHERE id = $rs", &["resource_deleted"]),
];

/// Types that SQL alone does not make, or not on both engines; each has its test below.
const OTHERWISE: &[ActivityType] = &[
    ActivityType::Launched,
    ActivityType::ClientAttached,
    ActivityType::ClientRecreated,
    ActivityType::ProviderRecreated,
    ActivityType::ResourceRecreated,
    ActivityType::PolicyTruncated,
    ActivityType::ManifestPublished,
    ActivityType::ToolPublished,
    ActivityType::ToolWithdrawn,
];

/// D1, D2: no change by SQL goes unnamed, and no type is without a change that makes it.
#[rstest]
#[tokio::test]
async fn every_type_is_told_of_a_change_by_sql(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    for (sql, expected) in OUTSIDE {
        let told = stage.sql(&sql.replace("$blob", stage.blob())).await;
        assert_eq!(&told, expected, "{sql}");
    }
    for record in stage.log().await.iter().skip(2) {
        let by = record.cause.actor.as_str();
        assert!(record.cause.outside && by.starts_with("sql"), "{by}");
        assert!(record.cause.sequence.is_some());
    }
    let produced: BTreeSet<&str> = stage.types().await.iter().map(|event| event.as_str()).collect();
    for event in ActivityType::ALL.iter().filter(|event| !OTHERWISE.contains(event)) {
        assert!(produced.contains(event.as_str()), "nothing makes {}", event.as_str());
    }
    let mut tx = stage.house.store.read().await.unwrap();
    let audited = tx.audit_events(Some(AuditKind::PolicyChanged), 1000).await.unwrap();
    assert_eq!(audited.len(), OUTSIDE.len(), "each is in the audit, too");
    assert!(audited.iter().all(|event| event.who.as_str().starts_with("sql")));
}

/// What is put back is told as well, in the name of who does it.
#[rstest]
#[tokio::test]
async fn what_was_deleted_and_comes_back_is_told(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    assert_eq!(stage.sql("DELETE FROM provider").await, ["provider_deleted"]);
    stage.house.apply(&stage.provider).await;
    assert_eq!(stage.fresh().await, ["provider_recreated"]);
    assert_eq!(stage.sql("DELETE FROM client").await, ["client_deleted"]);
    stage.house.apply(&stage.client).await;
    assert_eq!(stage.fresh().await, ["client_recreated"]);
    assert_eq!(stage.sql("DELETE FROM resource_server").await, ["resource_deleted"]);
    stage.house.apply(&stage.server).await;
    let back = stage.news().await;
    assert_eq!(back[0].activity.event, ActivityType::ResourceRecreated);
    assert_eq!((back[0].cause.actor.as_str(), back[0].cause.outside), ("controller", false));
    if engine == Postgres {
        stage.house.database.sql("TRUNCATE role_binding").await;
        stage.house.store.settle(stage.epoch()).await.unwrap();
        let told = stage.news().await;
        assert_eq!(told[0].activity.event, ActivityType::PolicyTruncated);
        assert_eq!(told[0].activity.payload["table"], "role_binding");
    }
}

/// D5: the record is there when the change is, by the reconcile that makes it.
#[rstest]
#[tokio::test]
async fn a_reconcile_tells_what_it_does(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    stage.house.told().await;
    let write = json!([{"name": "invoices.write", "description": "Write 'them'", "risk": "High", "upstream": "w"}]);
    let role = json!([{"name": "writer", "scopes": ["invoices.write"]}]);
    let next = edited(&edited(&stage.server, "scopes", write), "roles", role);
    let next = edited(
        &edited(&next, "defaultRole", json!("writer")),
        "tools",
        json!([
            {"name": "list", "access": "Scoped", "scopes": [], "match": "Any"},
            {"name": "ping", "access": "Public", "scopes": [], "match": "All"},
        ]),
    );
    stage.house.apply(&next).await;
    let told = stage.news().await;
    let types: BTreeSet<&str> = told.iter().map(|record| record.activity.event.as_str()).collect();
    let expected = ["default_role_changed", "role_added", "role_removed", "scope_deleted", "tool_unmapped"];
    assert_eq!(types, BTreeSet::from(expected));
    for record in &told {
        assert_eq!((record.cause.actor.as_str(), record.cause.outside), ("controller", false));
        assert!(record.cause.prior_version < record.cause.version, "{:?}", record.cause);
        assert_eq!(record.owner.as_deref(), Some("billing/mcp"));
    }
    let of = |event| told.iter().find(|record| record.activity.event == event).unwrap();
    let unmapped = of(ActivityType::ToolUnmapped);
    assert_eq!(unmapped.activity.payload["prior_scopes"], json!(["invoices.read", "invoices.write"]));
    let deleted = of(ActivityType::ScopeDeleted);
    assert_eq!(unmapped.activity.payload["prior_scope_id"], deleted.activity.payload["prior_scope_id"]);
    let role = Value::from(of(ActivityType::DefaultRoleChanged).activity.payload.clone());
    assert_eq!(role, json!({"prior_default_role": "reader", "new_default_role": "writer"}));
    let reasons: Vec<Reason> = stage.house.told().await.into_iter().map(|(reason, ..)| reason).collect();
    for reason in [Reason::ScopeDeleted, Reason::ToolUnmapped, Reason::DefaultRoleChanged] {
        assert_eq!(reasons.iter().filter(|told| **told == reason).count(), 1, "{reason:?}: {reasons:?}");
    }
    stage.house.apply(&next).await;
    assert_eq!(stage.fresh().await, [] as [&str; 0]);
}

#[rstest]
#[tokio::test]
async fn an_edit_by_the_admin_api_is_told_in_its_name(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    let (anna, house) = (Actor::api_key("anna"), &stage.house);
    let off = json!({"defaultRole": null});
    house.provisioner.edit(Kind::ResourceServer, &stage.id, &off, true, &anna).await.unwrap();
    let patch = json!({"redirectURIs": ["https://new.example.com/cb"]});
    house.provisioner.edit(Kind::OAuthClient, "portal", &patch, true, &anna).await.unwrap();
    let told = stage.news().await;
    let told: Vec<_> =
        told.iter().map(|r| (r.activity.event.as_str(), r.cause.actor.as_str(), r.cause.outside)).collect();
    assert_eq!(
        told,
        [("default_role_disabled", "apikey:anna", false), ("redirect_uris_changed", "apikey:anna", false)]
    );
    assert_eq!(stage.house.store.settle(stage.epoch()).await.unwrap(), 0, "nothing is left for the leader");
}

/// B's manifest types, and whatever else is no change of policy.
#[rstest]
#[tokio::test]
async fn what_is_no_change_of_policy_is_recorded_with_its_transaction(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    let now = stage.house.clock.now();
    let cause = Cause::own(Actor::client("portal"), now);
    let activities = [
        Activity::new(ActivityType::ManifestPublished, json!({})),
        Activity::new(ActivityType::ToolPublished, json!({"tool_name": "fly"})).affecting(1),
        Activity::new(ActivityType::ToolWithdrawn, json!({"tool_name": "swim"})).affecting(1),
    ];
    let mut tx = stage.house.store.write(&cause.actor).await.unwrap();
    tx.record_activity(&stage.id, &cause, &activities).await.unwrap();
    drop(tx);
    assert_eq!(stage.fresh().await, [] as [&str; 0], "rolled back");
    let mut tx = stage.house.store.write(&cause.actor).await.unwrap();
    tx.record_activity(&stage.id, &cause, &activities).await.unwrap();
    tx.record_activity("rs_never", &cause, &activities).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stage.fresh().await, ["manifest_published", "tool_published", "tool_withdrawn"]);
    assert_eq!(
        stage.house.database.number("SELECT count(*) FROM activity WHERE resource_server_id = 'rs_never'").await,
        0
    );
}

/// D5: a change whose record cannot be written is not made, by nobody.
#[rstest]
#[tokio::test]
async fn a_change_and_its_record_are_one(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    let before = stage.server_spec().await;
    stage.house.database.sql("ALTER TABLE activity RENAME TO away").await;
    let next = edited(&stage.server, "displayName", json!("New"));
    assert!(stage.house.provisioner.apply(&next).await.is_err());
    assert_eq!(stage.server_spec().await, before);
    // the leader, too, settles nothing that it cannot tell
    stage
        .house
        .database
        .sql(&format!("UPDATE resource_server SET consent = 'Required' WHERE id = '{}'", stage.id))
        .await;
    assert!(stage.house.store.settle(stage.epoch()).await.is_err());
    stage.house.database.sql("ALTER TABLE away RENAME TO activity").await;
    assert_eq!(stage.fresh().await, [] as [&str; 0]);
    stage.house.store.settle(stage.epoch()).await.unwrap();
    assert_eq!(stage.fresh().await, ["consent_changed"]);
    stage.house.store.settle(stage.epoch()).await.unwrap();
    assert_eq!(stage.fresh().await, [] as [&str; 0], "once");
}

/// Two leaders, of whom one does not know yet that it is none: once.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_sql_is_told_once_by_whoever_leads(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    let other = stage.house.database.open().await;
    for round in 0..5 {
        let sql = format!("UPDATE resource_server SET display_name = 'X{round}' WHERE id = '{}'", stage.id);
        stage.house.database.sql(&sql).await;
        let (one, two) = tokio::join!(stage.house.store.settle(stage.epoch()), other.settle(stage.epoch()));
        assert_eq!(one.unwrap() + two.unwrap(), 1);
        assert_eq!(stage.fresh().await, ["display_name_changed"]);
    }
    let former = stage.epoch();
    stage.house.database.sql("UPDATE client SET state = 'Suspended' WHERE id = 'portal'").await;
    let epoch = other.take_over().await.unwrap();
    assert!(matches!(stage.house.store.settle(former).await, Err(store::Error::Fenced)));
    assert_eq!(stage.fresh().await, [] as [&str; 0]);
    other.settle(epoch).await.unwrap();
    assert_eq!(stage.fresh().await, ["client_suspended"]);
}

/// PostgreSQL: a transaction that was there first and commits last is not passed over.
#[tokio::test]
async fn a_slow_transaction_is_told_when_it_commits() {
    use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
    let mut stage = Stage::on(Postgres).await;
    let mut slow = PgConnection::connect(&stage.house.database.url).await.unwrap();
    let mut open = slow.begin().await.unwrap();
    let sql = format!(
        "UPDATE scope SET risk = 'Medium' WHERE resource_server_id = '{}' AND name = 'invoices.read'",
        stage.id
    );
    // the revision of the resource server is the slow one's until it ends
    open.execute(AssertSqlSafe(sql)).await.unwrap();
    assert_eq!(stage.sql("UPDATE client SET state = 'Suspended' WHERE id = 'portal'").await, ["client_suspended"]);
    open.commit().await.unwrap();
    stage.house.store.settle(stage.epoch()).await.unwrap();
    assert_eq!(stage.fresh().await, ["scope_changed"]);
}

/// Mechanics §1: what was not told yet is not cleared away.
#[rstest]
#[tokio::test]
async fn no_change_is_cleared_away_before_it_is_told(#[values(Sqlite, Postgres)] engine: Engine) {
    use holdfast::domain::purge::{Keep, PurgeTarget};
    use jiff::SignedDuration;
    let mut stage = Stage::on(engine).await;
    let short = SignedDuration::from_secs(1);
    let keep = Keep {
        issuance: short,
        audit: None,
        never_used: short,
        last_used: short,
        change_log: short,
        access_log: short,
        access_log_rows: 1,
    };
    let sql = format!("UPDATE resource_server SET display_name = 'X', owner_name = NULL WHERE id = '{}'", stage.id);
    stage.house.database.sql(&sql).await;
    stage.house.database.sql("DELETE FROM managed").await;
    stage.house.database.sql("DELETE FROM report").await;
    let later = jiff::Timestamp::from_second(4_000_000_000).unwrap();
    let purge = async |stage: &Stage| {
        stage.house.store.purge(PurgeTarget::ChangeLog, (&keep, later), None).await.unwrap();
    };
    purge(&stage).await;
    assert!(stage.house.database.number("SELECT count(*) FROM change WHERE derived = 0").await > 1);
    stage.house.store.settle(stage.epoch()).await.unwrap();
    assert_eq!(stage.fresh().await, ["display_name_changed", "ownership_changed"]);
    purge(&stage).await;
    assert_eq!(stage.house.database.number("SELECT count(*) FROM change").await, 1);
    let kept = stage.log().await.len();
    stage.house.store.purge(PurgeTarget::Audit, (&keep, later), None).await.unwrap();
    assert_eq!(stage.log().await.len(), kept, "the log is kept for good");
    let keep = Keep { audit: Some(short), ..keep };
    stage.house.store.purge(PurgeTarget::Audit, (&keep, later), None).await.unwrap();
    assert_eq!(stage.log().await.len(), 0, "unless the audit is not");
}

/// D5: nobody can take its log along.
#[rstest]
#[tokio::test]
async fn a_log_outlives_its_resource_server_and_goes_on_when_it_returns(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    let key = stage.server.owner.key.clone();
    stage.house.provisioner.remove(&key, DeletionPolicy::Delete, "object").await.unwrap();
    let told = stage.news().await;
    assert_eq!(told.iter().map(|r| r.activity.event.as_str()).collect::<Vec<_>>(), ["resource_deleted"]);
    assert_eq!(told[0].activity.payload["prior_tools"], json!(["list", "ping"]));
    assert_eq!(
        (told[0].resource_uri.as_str(), told[0].owner.as_deref()),
        ("https://billing.example.com/mcp", Some("billing/mcp"))
    );
    assert!(stage.server_spec().await.is_none());
    let again = stage.house.apply(&stage.server).await;
    assert_eq!(again.entity_id, stage.id);
    assert_eq!(stage.fresh().await, ["resource_recreated"]);
    assert!(stage.types().await.contains(&ActivityType::Launched));
    assert_eq!(member(&stage.server, "lifecycle"), "Live");
}

/// D7: a rotation says until when the secret before works, and its end is told when it comes.
#[rstest]
#[tokio::test]
async fn a_rotated_secret_is_told_with_its_overlap(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    let secret = |letter: &str| {
        let hash = SecretText::new(letter.repeat(40)).hash();
        SecretSource::Referenced { hash, rotation: Rotation::default() }
    };
    let of = |letter: &str| Desired { secret: secret(letter), ..stage.server.clone() };
    let (first, second) = (of("a"), of("b"));
    stage.house.apply(&first).await;
    let added = stage.news().await;
    assert_eq!(added[0].activity.event, ActivityType::SecretAdded);
    let before = stage.house.apply(&second).await.secret.retiring[0].clone();
    let told = stage.news().await;
    assert_eq!((told.len(), told[0].activity.event), (1, ActivityType::SecretRotated));
    let payload = &told[0].activity.payload;
    assert_eq!(payload["rotated_by"], "controller");
    assert_eq!(payload["rotated_at"], told[0].cause.at.to_string());
    assert_eq!(payload["prior_credential_id"], added[0].activity.payload["credential_id"]);
    assert_eq!(payload["prior_credential_id"], before.id);
    assert_eq!(payload["retire_at"], before.retire_at.unwrap().to_string());
    stage.house.clock.advance(100_000);
    stage.house.apply(&second).await;
    assert_eq!(stage.fresh().await, ["secret_ended"]);
}

/// The steps of publishing a generated secret are one record, those of replacing it two more and no third.
#[rstest]
#[tokio::test]
async fn a_generated_secret_is_told_when_it_is_made(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut stage = Stage::on(engine).await;
    let made = Desired { secret: SecretSource::Generated(Rotation::default()), ..stage.server.clone() };
    stage.house.apply(&made).await;
    let settle = async |stage: &Stage, made: &Desired, held: Held| {
        stage.house.provisioner.settle_secret(made, &stage.id, held).await.unwrap()
    };
    let SecretStep::Write(text) = settle(&stage, &made, Held::Absent).await else { panic!("nothing is made") };
    assert_eq!(stage.fresh().await, ["secret_added"]);
    assert!(matches!(settle(&stage, &made, Held::Value(text.clone())).await, SecretStep::Settled(_)));
    assert_eq!(stage.fresh().await, [] as [&str; 0]);
    stage.house.clock.advance(10);
    let due = Rotation { rotate_issued_before: Some(stage.house.clock.now()), ..Rotation::default() };
    let due = Desired { secret: SecretSource::Generated(due), ..made };
    let SecretStep::Write(next) = settle(&stage, &due, Held::Value(text)).await else { panic!("nothing is made") };
    assert_eq!(stage.fresh().await, ["secret_added"]);
    settle(&stage, &due, Held::Value(next)).await;
    assert_eq!(stage.fresh().await, ["secret_rotated"]);
}
