//! Changes that no trigger saw, and databases that came out of a backup.

use std::time::Duration;

use holdfast::domain::drift::OpenDrift;
use holdfast::domain::{Kind, Reason};
use holdfast::provision::{ChangeKind, Error, Scanned};
use rstest::rstest;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{House, client, reasons, resource_server, with};
use crate::store::engine::Engine::{self, Postgres, Sqlite};

/// Changes a row behind every trigger's back.
async fn behind_the_triggers(house: &House, statement: &str) {
    match house.database.engine {
        Postgres => {
            let mut connection = PgConnection::connect(&house.database.url).await.unwrap();
            let sql = format!("SET session_replication_role = replica; {statement}");
            connection.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        Sqlite => {
            let mut connection = house.database.sqlite().await;
            let find = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'";
            let triggers: Vec<(String, String)> = sqlx::query_as(find).fetch_all(&mut connection).await.unwrap();
            for (name, _) in &triggers {
                connection.execute(AssertSqlSafe(format!("DROP TRIGGER {name}"))).await.unwrap();
            }
            connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
            for (_, sql) in triggers {
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
            }
            connection.close().await.unwrap();
        }
    }
}

async fn scan(house: &House) -> Scanned {
    house.store.refresh().await.unwrap();
    house.provisioner.scan(Kind::OAuthClient).await.unwrap()
}

/// K3: the full scan finds what bypassed the triggers, sends word of it, and writes nothing; the correction names nobody.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_no_trigger_saw_is_found_told_and_put_right(#[case] engine: Engine) {
    let house = House::on(engine).await;
    let desired = client("portal");
    house.apply(&desired).await;
    house.told().await;
    assert_eq!(scan(&house).await, Scanned::default(), "nothing is suspected without a reason");
    let mut changes = house.provisioner.changes();
    let before = house.changes().await;
    behind_the_triggers(&house, "UPDATE client SET redirect_uris = '[\"https://evil.example/cb\"]'").await;
    assert_eq!(house.changes().await, before, "no trigger saw it");
    assert_eq!(house.provisioner.scan(Kind::OAuthClient).await.unwrap().suspects, 1);
    assert_eq!(house.changes().await, before, "a scan corrects nothing");
    let heard = tokio::time::timeout(Duration::from_secs(5), changes.recv()).await.unwrap().unwrap();
    assert_eq!(heard.owner, Some(desired.owner.key.clone()));
    assert_eq!(house.apply(&desired).await.change, ChangeKind::Corrected);
    let told = house.told().await;
    assert_eq!(reasons(&told), [Reason::DriftDetected, Reason::DriftCorrected]);
    assert!(told[0].2.starts_with("spec.redirectURIs was changed by unknown"), "{}", told[0].2);
    assert_eq!(scan(&house).await, Scanned::default());
}

/// K3: what others changed while nobody led is known at once, and once it was looked at it is known no more.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn what_others_changed_while_nobody_led_is_known(#[case] engine: Engine) {
    let house = House::on(engine).await;
    let desired = client("portal");
    house.apply(&desired).await;
    house.apply(&client("other")).await;
    let unheard = async || house.provisioner.changed_unheard().await.unwrap();
    assert_eq!(unheard().await, [], "what the controller does itself is no news");
    for statement in [
        "UPDATE client SET redirect_uris = '[\"https://evil.example/cb\"]' WHERE id = 'portal'",
        "DELETE FROM client_resource WHERE client_id = 'portal'",
        "DELETE FROM client WHERE id = 'portal'",
    ] {
        house.database.sql(statement).await;
        assert_eq!(unheard().await, std::slice::from_ref(&desired.owner.key), "{statement}");
        assert_eq!(house.apply(&desired).await.change, ChangeKind::Corrected, "{statement}");
        assert_eq!(unheard().await, [], "{statement}");
    }
}

/// K3: rows that are gone, secrets and owners count, too; a row that nobody owns is counted and left alone.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn the_scan_looks_at_all_of_a_row(#[case] engine: Engine) {
    for statement in [
        "DELETE FROM client",
        "UPDATE client SET owner_name = 'thief'",
        "DELETE FROM client_resource",
        "UPDATE managed SET last_applied = replace(last_applied, 'Portal', 'Portent')",
        "INSERT INTO credential (id, principal, hash, state, issued_at) SELECT 'x', 'portal', credential.hash, 'current', 1 FROM credential",
    ] {
        let house = House::on(engine).await;
        let secret = holdfast::domain::SecretText::new("s".repeat(40));
        let rotation = holdfast::domain::credential::Rotation::default();
        let source = holdfast::domain::desired::SecretSource::Referenced { hash: secret.hash(), rotation };
        house.apply(&holdfast::domain::Desired { secret: source, ..client("portal") }).await;
        behind_the_triggers(&house, statement).await;
        assert_eq!(scan(&house).await.suspects, 1, "{statement}");
    }
    let house = House::on(engine).await;
    house.apply(&client("portal")).await;
    behind_the_triggers(&house, "UPDATE client SET owner_namespace = NULL, owner_name = NULL").await;
    behind_the_triggers(&house, "DELETE FROM managed").await;
    assert_eq!(scan(&house).await, Scanned { suspects: 0, unmanaged: 1 });
}

/// K3: the memory that requests are decided by is brought up to date where nobody holds the row to anything.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn the_scan_reads_anew_what_nobody_owns(#[case] engine: Engine) {
    let house = House::on(engine).await;
    house.apply(&client("portal")).await;
    house.database.sql("UPDATE client SET owner_namespace = NULL, owner_name = NULL").await;
    house.database.sql("DELETE FROM managed").await;
    house.store.refresh().await.unwrap();
    behind_the_triggers(&house, "UPDATE client SET display_name = 'Changed'").await;
    let name = || {
        holdfast::domain::policy::Policy::client(&*house.store.snapshot(), "portal")
            .unwrap()
            .client
            .display_name
            .clone()
    };
    assert_eq!(name(), "Portal");
    house.provisioner.scan(Kind::OAuthClient).await.unwrap();
    assert_eq!(name(), "Changed");
}

async fn triggers(house: &House) -> i64 {
    let sql = match house.database.engine {
        Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'",
        Postgres => "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'",
    };
    house.database.number(sql).await
}

/// Triggers that somebody took away, altered or disabled are put back at the next start or scan.
#[rstest]
#[case(Sqlite, "DROP TRIGGER client_updated")]
#[case(Sqlite, "DROP TRIGGER client_updated; CREATE TRIGGER client_updated AFTER UPDATE ON client BEGIN SELECT 1; END")]
#[case(Postgres, "DROP TRIGGER changed ON client")]
#[case(Postgres, "ALTER TABLE client DISABLE TRIGGER changed")]
#[case(Postgres, "DROP TRIGGER truncated ON managed")]
#[case(
    Postgres,
    "CREATE OR REPLACE TRIGGER changed AFTER INSERT ON client FOR EACH ROW EXECUTE FUNCTION holdfast_changed('OAuthClient', 'id', 'client')"
)]
#[case(
    Postgres,
    "CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON client FOR EACH ROW WHEN (false) EXECUTE FUNCTION holdfast_changed('OAuthClient', 'id', 'client')"
)]
#[case(
    Postgres,
    "CREATE OR REPLACE FUNCTION holdfast_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'"
)]
#[case(
    Postgres,
    "CREATE OR REPLACE FUNCTION holdfast_record(changed_table TEXT, kind TEXT, entity TEXT, key TEXT, operation TEXT, before JSONB, after JSONB) RETURNS BIGINT LANGUAGE sql AS 'SELECT 1::bigint'"
)]
#[case(Postgres, "ALTER FUNCTION holdfast_changed SECURITY INVOKER")]
#[case(Postgres, "ALTER FUNCTION holdfast_record SET search_path = pg_temp")]
#[case(Postgres, "GRANT EXECUTE ON FUNCTION holdfast_record TO PUBLIC")]
#[case(Postgres, "DROP FUNCTION holdfast_changed CASCADE")]
#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_were_taken_away_are_put_back(#[case] engine: Engine, #[case] statement: &str) {
    let house = House::on(engine).await;
    let desired = client("portal");
    house.apply(&desired).await;
    house.told().await;
    let all = triggers(&house).await;
    assert_eq!(house.store.guard_triggers().await.unwrap(), Vec::<String>::new(), "a whole schema is left alone");
    house.database.sql(statement).await;
    let restored = house.store.guard_triggers().await.unwrap();
    assert_ne!(restored, Vec::<String>::new(), "it is told");
    house.database.sql(statement).await;
    house.store.migrate().await.unwrap();
    assert_eq!(triggers(&house).await, all);
    assert_eq!(house.store.guard_triggers().await.unwrap(), Vec::<String>::new());
    house.database.sql("UPDATE client SET display_name = 'X'").await;
    house.apply(&desired).await;
    assert!(house.told().await[0].2.contains("changed by sql"), "what is seen again has a name");
}

/// What is put back is what the migrations made, to the letter: no trigger and no function of theirs is left out.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_back_is_what_the_migrations_made() {
    let house = House::on(Postgres).await;
    let made = async || {
        let triggers = "SELECT pg_get_triggerdef(oid) || ' ' || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal";
        let functions =
            "SELECT pg_get_functiondef(oid) || ' ' || has_function_privilege('public', oid, 'EXECUTE')::text
            FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prokind = 'f'";
        house.database.texts(&format!("{triggers} UNION ALL {functions} ORDER BY 1")).await
    };
    let before = made().await;
    assert!(before.len() > 20, "{before:?}");
    for function in ["changed", "key_changed", "truncated", "record"] {
        house.database.sql(&format!("DROP FUNCTION holdfast_{function} CASCADE")).await;
    }
    assert_eq!(made().await, Vec::<String>::new());
    let restored = house.store.guard_triggers().await.unwrap();
    assert_eq!((restored.len(), made().await), (before.len(), before));
}

/// Drift that the database refuses to have put right stands, is told once, and is put right when it no longer refuses.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_fails_is_told_once_and_tried_again(#[case] engine: Engine) {
    let house = House::on(engine).await;
    let desired = client("portal");
    house.apply(&desired).await;
    house.told().await;
    house.database.sql("UPDATE client SET display_name = 'X'").await;
    let (refuse, let_be) = match engine {
        Sqlite => (
            "CREATE TRIGGER refusing BEFORE UPDATE ON client BEGIN SELECT RAISE(ABORT, 'not here'); END",
            "DROP TRIGGER refusing",
        ),
        Postgres => (
            "ALTER TABLE client ADD CONSTRAINT refusing CHECK (display_name <> 'Portal')",
            "ALTER TABLE client DROP CONSTRAINT refusing",
        ),
    };
    house.database.sql(refuse).await;
    for _ in 0..3 {
        let Err(Error::Uncorrected { drift, .. }) = house.provisioner.apply(&desired).await else { panic!() };
        let OpenDrift { fields, actor, .. } = *drift;
        assert_eq!((fields[0].path.as_str(), &actor.as_str()[..3]), ("displayName", "sql"));
    }
    assert_eq!(reasons(&house.told().await), [Reason::DriftDetected, Reason::DriftCorrectionFailed]);
    house.database.sql(let_be).await;
    let done = house.apply(&desired).await;
    assert_eq!((done.change, done.drift), (ChangeKind::Corrected, None));
    assert_eq!(reasons(&house.told().await), [Reason::DriftCorrected]);
    assert_eq!(house.spec(Kind::OAuthClient, "portal").await, Some(desired.spec));
}

/// K1, OV-2: a restored database takes every object up again without a word, also as another system.
#[rstest]
#[case(Sqlite, "SELECT 1")]
#[case(Postgres, "SELECT 1")]
#[case(Postgres, "UPDATE installation SET system_identifier = 'another'")]
#[case(Postgres, "UPDATE change SET xid = xid + 1000000000000")]
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_says_nothing_and_changes_nothing(#[case] engine: Engine, #[case] restored: &str) {
    let house = House::on(engine).await;
    let objects = [client("portal"), resource_server("billing", "https://b.example.com/mcp")];
    let mut ids = Vec::new();
    for object in &objects {
        ids.push(house.apply(object).await.entity_id);
        house.apply(&with(object, "displayName", json!("Newer"))).await;
        house.apply(object).await;
    }
    house.told().await;
    let backup = house.restored().await;
    behind_the_triggers(&backup, restored).await;
    let incarnation = "SELECT count(*) FROM change WHERE incarnation = (SELECT incarnation FROM installation)";
    let own = backup.database.number(incarnation).await;
    assert!(own > 0);
    backup.store.migrate().await.unwrap();
    let redrawn = backup.database.number(incarnation).await == 0;
    assert_eq!(redrawn, !restored.starts_with("SELECT"), "redrawn where it is another one");
    for (object, id) in objects.iter().zip(&ids) {
        let done = backup.apply(object).await;
        assert_eq!((done.change, &done.entity_id, done.drift), (ChangeKind::Unchanged, id, None));
    }
    assert_eq!(backup.told().await, vec![], "nobody is accused of what was in the backup");
    backup.database.sql("UPDATE client SET display_name = 'X'").await;
    backup.apply(&objects[0]).await;
    assert_eq!(
        reasons(&backup.told().await),
        [Reason::DriftDetected, Reason::DriftCorrected],
        "and drift is still found"
    );
}

/// An object that is newer than the backup keeps the id that its status names.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn an_object_newer_than_the_backup_keeps_its_id(#[case] engine: Engine) {
    let house = House::on(engine).await;
    let backup = house.restored().await;
    let mut desired = resource_server("billing", "https://b.example.com/mcp");
    let id = house.apply(&desired).await.entity_id;
    desired.known_id = Some(id.clone());
    assert_eq!(backup.apply(&desired).await.entity_id, id);
    let mut other = resource_server("other", "https://o.example.com/mcp");
    other.known_id = Some(id.clone());
    assert_ne!(
        backup.apply_or_refuse(&other).await.as_deref(),
        Some(id.as_str()),
        "what somebody has is not given twice"
    );
    let mut made_up = resource_server("third", "https://t.example.com/mcp");
    made_up.known_id = Some("rs_mine".to_owned());
    assert_ne!(backup.apply(&made_up).await.entity_id, "rs_mine", "only what was generated once");
}
