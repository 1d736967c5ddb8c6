//! Every column that holds policy, changed behind Holdfast's back: found once, put right once; and no edit of a spec is.

mod api;

use std::collections::BTreeMap;

use holdfast::domain::credential::Rotation;
use holdfast::domain::desired::SecretSource;
use holdfast::domain::{DeletionPolicy, Desired, DriftMode, Kind, Reason, SecretText, Spec};
use holdfast::provision::{Applied, Removed};
use rstest::rstest;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::provision::{House, desired};
use crate::store::engine::Engine::{self, Postgres, Sqlite};
use crate::store::samples;

/// Table, and which of its rows belong to the objects below.
const TABLES: &[(&str, &str)] = &[
    ("client", "id = 'portal'"),
    ("client_resource", "client_id = 'portal' AND name = 'billing'"),
    ("resource_server", "owner_name = 'mcp'"),
    ("scope", "resource_server_id = (SELECT entity_id FROM managed WHERE owner_name = 'mcp')"),
    ("tool", "resource_server_id = (SELECT entity_id FROM managed WHERE owner_name = 'mcp')"),
    ("role", "resource_server_id = (SELECT entity_id FROM managed WHERE owner_name = 'mcp')"),
    ("role_binding", "resource_server_id = (SELECT entity_id FROM managed WHERE owner_name = 'mcp')"),
    ("provider", "owner_name = 'github'"),
    ("credential", "principal = 'portal'"),
    ("managed", "owner_kind = 'OAuthClient' AND owner_namespace = 'web' AND owner_name = 'portal'"),
];

/// Tables that hold no policy, so that a new table must be put into one of the two lists.
const OTHER_TABLES: &[(&str, &str)] = &[
    ("access_token", "what was issued"),
    ("activity", "what happened"),
    ("access_log", "what enforcement points say of calls"),
    ("account", "people; made on the command line or by the admin API"),
    ("audit", "what happened"),
    ("brake", "which deletions wait"),
    ("brake_deletion", "what was deleted in the last minute"),
    ("brake_gate", "one deletion is weighed at a time"),
    ("brake_hold", "which deletions wait"),
    ("authorization_code", "what was issued"),
    ("authorization_request", "what waits for a user"),
    ("client_document", "what a client says of itself"),
    ("consent", "what users allowed"),
    ("enforcement_point", "who enforces policy, and what they run"),
    ("offer", "which rows an administrator offers to whom"),
    ("tool_manifest", "what servers say of their tools"),
    ("device_authorization", "what waits for a user"),
    ("invitation", "initial access tokens of registration"),
    ("login_failure", "what counts against a lockout"),
    ("login_session", "who is signed in"),
    ("refresh_token", "what was issued"),
    ("orphan", "which rows have no object"),
    ("registration", "what a client says of itself"),
    ("role_assignment", "given at the first authorization; never drift"),
    ("setting", "what is switched at run time"),
    ("signing_key_request", "what the leader is asked to do"),
    ("token_grant", "what users granted"),
    ("used_proof", "what counts once"),
    ("api_key", "who may administer; made on the command line, no resource describes it"),
    ("change", "the log of changes"),
    ("credential_use", "when a secret was last used"),
    ("installation", "whose database this is"),
    ("launch", "what was live once"),
    ("leader_epoch", "fencing"),
    ("report", "the outbox"),
    ("signing_key", "keys, sealed; no resource describes them"),
    ("tx_actor", "the name of the transaction that is open"),
    ("_sqlx_migrations", "which migrations were applied"),
];

/// Columns whose change is no change of policy: column, why.
const NO_POLICY: &[(&str, &str)] = &[
    ("revision", "counts changes; one that does not fit stops issuance until the row is read again"),
    ("created_at", "shown only"),
    ("updated_at", "shown only"),
];

/// Changes that leave a row that can be read: table, column, value, what the Event's field is.
const LEGAL: &[(&str, &str, &str, &str)] = &[
    ("client", "display_name", "'X'", "spec.displayName"),
    ("client", "state", "'Suspended'", "spec.state"),
    ("client", "grant_types", "'[\"device_code\"]'", "spec.grantTypes"),
    ("client", "redirect_uris", "'[\"https://evil.example/cb\"]'", "spec.redirectURIs"),
    ("client", "authentication_method", "'None'", "spec.authentication.method"),
    ("client", "jwks", "'{\"keys\":[1]}'", "spec.authentication.jwks"),
    ("client", "workload_identity", "'{}'", "spec.authentication.workloadIdentity"),
    ("client", "agent", "'{}'", "spec.agent"),
    ("client", "sender_constraint", "'DPoPRequired'", "spec.tokens"),
    ("client_resource", "scopes", "'[\"invoices.write\"]'", "spec.resources[billing]"),
    ("resource_server", "resource_uri", "'https://evil.example/'", "spec.resourceURI"),
    ("resource_server", "lifecycle", "'Draft'", "spec.lifecycle"),
    ("resource_server", "token_source", "'{\"type\":\"Mint\"}'", "spec.tokenSource"),
    ("resource_server", "signing_algorithm", "'RS256'", "spec.accessToken"),
    ("resource_server", "allowed_namespaces", "'{\"from\":\"Same\"}'", "spec.allowedNamespaces"),
    ("resource_server", "exchange", "'{}'", "spec.exchange"),
    ("resource_server", "runtime_clients", "'[\"evil\"]'", "spec.runtime.clientRefs"),
    ("resource_server", "runtime_service_accounts", "'[]'", "spec.runtime.serviceAccountRefs"),
    ("resource_server", "connect", "'{}'", "spec.connect"),
    ("resource_server", "fronting", "'[]'", "spec.fronting[ledger]"),
    ("provider", "purposes", "'[\"Login\"]'", "spec.purposes"),
    ("provider", "settings", "'{\"tokenEndpoint\":\"https://evil.example/\"}'", "spec.settings"),
    ("provider", "client_secret_ref", "'{}'", "spec.clientSecretRef"),
    ("provider", "scopes", "'[]'", "spec.scopes"),
    ("provider", "claim_mappings", "'[]'", "spec.claimMappings"),
    ("provider", "allowed_namespaces", "'{\"from\":\"All\"}'", "spec.allowedNamespaces"),
    ("credential", "state", "'retiring'", ""),
    ("managed", "deletion", "'Retain'", ""),
    ("managed", "last_applied", "replace(last_applied, 'Portal', 'Portent')", ""),
    ("managed", "credentials", "'[]'", ""),
    ("managed", "deleted_at", "1800000000000000", ""),
];

type Told = (Reason, String, String);

struct Column {
    name: String,
    form: String,
    nullable: bool,
}

/// One change behind Holdfast's back.
#[derive(Debug)]
struct Change {
    sql: String,
    /// The field that the Event must have.
    field: Option<&'static str>,
    /// What is renamed is one field less and another one more.
    fields: usize,
}

struct Scene {
    house: House,
    objects: Vec<Desired>,
}

impl Scene {
    async fn set(engine: Engine) -> Self {
        let house = House::on(engine).await;
        let mut objects = Vec::new();
        for (id, spec, key) in samples::all() {
            let mut object = desired(key, (spec.kind() == Kind::OAuthClient).then_some(id), spec);
            if object.spec.kind() != Kind::Provider {
                let hash = SecretText::new(format!("{id:s<40}")).hash();
                object.secret = SecretSource::Referenced { hash, rotation: Rotation::default() };
            }
            object.known_id = Some(house.apply(&object).await.entity_id);
            objects.push(object);
        }
        house.told().await;
        Self { house, objects }
    }

    /// Applies every object again; answers with what was told.
    async fn apply(&self, mode: DriftMode) -> Result<Vec<Told>, String> {
        self.house.clock.advance(1);
        for object in &self.objects {
            match self.house.provisioner.apply(&Desired { drift: mode, ..object.clone() }).await {
                Ok(Applied::Done(_)) => {}
                Ok(Applied::Refused(refused)) => return Err(format!("{} was refused: {refused:?}", object.owner.key)),
                Err(error) => return Err(format!("{}: {error:?}", object.owner.key)),
            }
        }
        Ok(self.house.told().await)
    }

    async fn correct(&self) -> bool {
        for object in &self.objects {
            let id = object.known_id.as_deref().unwrap();
            let entity = self.house.store.read().await.unwrap().entity(object.spec.kind(), id).await.unwrap();
            let secrets = usize::from(object.secret != SecretSource::None);
            let as_desired = entity.is_some_and(|e| {
                e.spec.fields() == object.spec.fields()
                    && e.credentials.len() == secrets
                    && e.owner.as_ref() == Some(&object.owner.key)
            });
            if !as_desired {
                return false;
            }
        }
        true
    }

    /// Makes the change and asserts that it is found once and put right once. False when it was no change.
    async fn enforces(&self, change: &Change) -> Result<bool, String> {
        if self.house.database.sql(&change.sql).await == 0 && !change.sql.starts_with("TRUNCATE") {
            return Ok(false);
        }
        let told = self.apply(DriftMode::Enforce).await?;
        found_once(change, &told)?;
        if !self.correct().await {
            return Err(format!("{change:?} was not put right: {told:?}"));
        }
        self.is_quiet(change, DriftMode::Enforce).await.map(|()| true)
    }

    async fn is_quiet(&self, change: &Change, mode: DriftMode) -> Result<(), String> {
        let before = self.house.changes().await;
        let told = self.apply(mode).await?;
        match (self.house.changes().await - before, told.is_empty()) {
            (0, true) => Ok(()),
            (writes, _) => Err(format!("{change:?} in {mode:?} was followed by {writes} more writes and {told:?}")),
        }
    }

    /// Makes the change and asserts that it is told once; then lets it be put right.
    async fn warns(&self, change: &Change) -> Result<(), String> {
        if self.house.database.sql(&change.sql).await == 0 {
            return Ok(());
        }
        found_once(change, &self.apply(DriftMode::Warn).await?)?;
        self.is_quiet(change, DriftMode::Warn).await?;
        let told = self.apply(DriftMode::Enforce).await?;
        if told.iter().any(|(reason, ..)| *reason == Reason::DriftDetected) {
            return Err(format!("{change:?} was kept and told again when it was put right: {told:?}"));
        }
        if !self.correct().await {
            return Err(format!("{change:?} was not put right after Warn: {told:?}"));
        }
        Ok(())
    }

    async fn columns(&self) -> BTreeMap<String, Vec<Column>> {
        let sql = match self.house.database.engine {
            Sqlite => {
                "SELECT m.name AS t, c.name AS c, lower(c.type) AS f, c.\"notnull\" = 0 AS n
                FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
            }
            Postgres => {
                "SELECT table_name::text AS t, column_name::text AS c, data_type::text AS f, is_nullable = 'YES' AS n
                FROM information_schema.columns WHERE table_schema = 'public'"
            }
        };
        let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
        let mut add = |table: String, name, form, nullable| {
            tables.entry(table).or_default().push(Column { name, form, nullable });
        };
        match self.house.database.engine {
            Sqlite => {
                let mut connection = self.house.database.sqlite().await;
                for row in sqlx::query(sql).fetch_all(&mut connection).await.unwrap() {
                    add(row.get("t"), row.get("c"), row.get("f"), row.get("n"));
                }
            }
            Postgres => {
                let mut connection = PgConnection::connect(&self.house.database.url).await.unwrap();
                for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap() {
                    add(row.get("t"), row.get("c"), row.get("f"), row.get("n"));
                }
            }
        }
        tables
    }

    /// Every change of every column.
    async fn changes(&self) -> Vec<Change> {
        let catalogue = self.columns().await;
        for table in catalogue.keys() {
            let listed = TABLES.iter().chain(OTHER_TABLES).any(|(name, _)| name == table);
            assert!(listed, "{table}: is it policy?");
        }
        let mut changes = Vec::new();
        for (table, ours) in TABLES {
            for column in &catalogue[*table] {
                if NO_POLICY.iter().any(|(name, _)| *name == column.name) {
                    continue;
                }
                for (value, field) in self.values(table, column) {
                    changes.push(self.change(table, ours, (&column.name, &value), field));
                }
            }
        }
        changes
    }

    fn change(&self, table: &str, ours: &str, (column, value): (&str, &str), field: Option<&'static str>) -> Change {
        let (differs, key) = match self.house.database.engine {
            Sqlite => ("IS NOT", "rowid"),
            Postgres => ("IS DISTINCT FROM", "ctid"),
        };
        let sql = format!(
            "UPDATE {table} SET {column} = {value} WHERE {key} = (SELECT min({key}) FROM {table} WHERE {ours}) \
            AND {column} {differs} {value}"
        );
        let renamed = column == "name" && TABLES.iter().any(|(name, _)| *name == table);
        Change { sql, field, fields: if renamed { 2 } else { 1 } }
    }

    fn values(&self, table: &str, column: &Column) -> Vec<(String, Option<&'static str>)> {
        let name = &column.name;
        let sqlite = self.house.database.engine == Sqlite;
        let legal = LEGAL.iter().filter(|(t, c, ..)| *t == table && c == name);
        let mut values: Vec<_> = legal.map(|(_, _, value, field)| ((*value).to_owned(), Some(*field))).collect();
        match column.form.as_str() {
            "text" => values.push((format!("coalesce({name}, '') || 'x'"), None)),
            "bigint" => values.push((format!("coalesce({name}, 0) + 1"), None)),
            "bytea" => values.push(("decode('00', 'hex')".to_owned(), None)),
            "blob" => values.push(("zeroblob(32)".to_owned(), None)),
            other => panic!("{table}.{name}: {other} is a new type"),
        }
        if column.nullable {
            values.push(("NULL".to_owned(), None));
        }
        if sqlite && column.form == "bigint" {
            values.push(("'none'".to_owned(), None));
        }
        values
    }
}

fn found_once(change: &Change, told: &[Told]) -> Result<(), String> {
    let found: Vec<_> = told.iter().filter(|(reason, ..)| *reason == Reason::DriftDetected).collect();
    if found.len() != change.fields {
        return Err(format!("{change:?} was found {} times: {told:?}", found.len()));
    }
    let named = |(_, field, note): &&Told| note.contains("by sql") && change.field.is_none_or(|wanted| wanted == field);
    found.iter().all(named).then_some(()).ok_or_else(|| format!("{change:?} was told as {found:?}"))
}

/// Tries every change, each on a scene that the one before left in order.
async fn all(engine: Engine, changes: &[Change], mode: DriftMode) {
    let mut scene = Scene::set(engine).await;
    let mut problems = Vec::new();
    let mut made = 0;
    for change in changes {
        let tried = match mode {
            DriftMode::Enforce => scene.enforces(change).await,
            DriftMode::Warn | DriftMode::Ignore => scene.warns(change).await.map(|()| true),
        };
        match tried {
            Ok(changed) => made += usize::from(changed),
            Err(problem) => {
                problems.push(format!("{change:?}: {problem}"));
                scene = Scene::set(engine).await;
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(made * 10 > changes.len() * 7, "only {made} of {} changes were any", changes.len());
}

/// K3, D2: whatever column, whatever value.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_column_is_found_once_and_put_right_once(#[case] engine: Engine) {
    let changes = Scene::set(engine).await.changes().await;
    all(engine, &changes, DriftMode::Enforce).await;
}

/// K3: a warning is no alarm clock.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_column_is_told_once_where_it_is_only_warned_of(#[case] engine: Engine) {
    let changes = Scene::set(engine).await.changes().await;
    all(engine, &changes, DriftMode::Warn).await;
}

/// K3: rows that go, rows that come, and what replaces a row without a trace of its deletion.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_goes_or_comes_is_found_once_and_put_right_once(#[case] engine: Engine) {
    let change = |sql: String| Change { sql, field: None, fields: 1 };
    let catalogue = Scene::set(engine).await.columns().await;
    let mut changes = Vec::new();
    for (table, ours) in TABLES {
        let key = if engine == Sqlite { "rowid" } else { "ctid" };
        let row = format!("{key} = (SELECT min({key}) FROM {table} WHERE {ours})");
        changes.push(change(format!("DELETE FROM {table} WHERE {row}")));
        let columns: Vec<&str> = catalogue[*table].iter().map(|c| c.name.as_str()).collect();
        let copy = |changed: &[&str]| {
            let of = |c: &&str| if changed.contains(c) { format!("{c} || '2'") } else { (*c).to_owned() };
            let values: Vec<String> = columns.iter().map(of).collect();
            format!("INTO {table} ({}) SELECT {} FROM {table} WHERE {row}", columns.join(", "), values.join(", "))
        };
        // another client, resource server or provider is nobody's drift
        if !["client", "resource_server", "provider"].contains(table) {
            changes.push(change(format!("INSERT {}", copy(&["id", "name", "owner_name"]))));
        }
        if engine == Sqlite {
            let field = ["description", "display_name", "deletion", "state", "scopes", "members"];
            let field = field.iter().find(|f| columns.contains(f)).unwrap();
            changes.push(change(format!("INSERT OR REPLACE {}", copy(&[field]))));
        }
    }
    all(engine, &changes, DriftMode::Enforce).await;
}

/// K3: row triggers do not see TRUNCATE.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_table_is_filled_again() {
    for (table, _) in TABLES {
        let scene = Scene::set(Postgres).await;
        scene.house.database.sql(&format!("TRUNCATE {table}")).await;
        let told = scene.apply(DriftMode::Enforce).await.unwrap();
        assert!(
            told.iter().any(|(reason, _, note)| *reason == Reason::DriftDetected && note.contains("by sql")),
            "{table}"
        );
        assert!(scene.correct().await, "{table}: {told:?}");
        let change = Change { sql: format!("TRUNCATE {table}"), field: None, fields: 0 };
        scene.is_quiet(&change, DriftMode::Enforce).await.unwrap();
    }
}

/// A small generator of numbers (SplitMix64), so that a seed says everything.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    /// One legitimate edit of an object.
    fn edit(&mut self, object: &mut Desired) {
        let n = self.roll(5);
        let item = match (object.spec.kind(), self.roll(6)) {
            (_, 0) => return object.drift = [DriftMode::Enforce, DriftMode::Warn, DriftMode::Ignore][(n % 3) as usize],
            (_, 1) => return object.paused = n == 0,
            (_, 2) => return self.turn(object),
            (_, 3) => ("displayName".to_owned(), json!(format!("Name {n}"))),
            (Kind::ResourceServer, _) => match n {
                0 => ("lifecycle".to_owned(), json!(["Draft", "Live"][self.roll(2) as usize])),
                1 => (
                    "tools[ping]".to_owned(),
                    json!({"name": "ping", "access": "Public", "scopes": [], "match": "Any"}),
                ),
                _ => {
                    let name = format!("s{n}");
                    let risk = ["Low", "High"][self.roll(2) as usize];
                    (format!("scopes[{name}]"), json!({"name": name, "description": "", "risk": risk, "upstream": ""}))
                }
            },
            (Kind::OAuthClient, _) => match n {
                0 => ("state".to_owned(), json!(["Active", "Suspended"][self.roll(2) as usize])),
                1 => ("redirectURIs".to_owned(), json!([format!("https://{}.example/cb", self.roll(3))])),
                _ => {
                    let name = format!("r{n}");
                    (format!("resources[{name}]"), json!({"name": name, "resourceServerID": "rs_1", "scopes": []}))
                }
            },
            (Kind::Provider, _) => ("scopes".to_owned(), json!([format!("s{n}")])),
        };
        let mut fields = object.spec.fields();
        if item.0.ends_with(']') && fields.contains_key(&item.0) && self.roll(2) == 0 {
            fields.remove(&item.0);
        } else {
            fields.insert(item.0, item.1);
        }
        object.spec = Spec::from_fields(object.spec.kind(), &fields).unwrap();
    }

    /// Another secret, another rotation, another deletion policy.
    fn turn(&mut self, object: &mut Desired) {
        object.deletion = [DeletionPolicy::Delete, DeletionPolicy::Retain][self.roll(2) as usize];
        if let SecretSource::Referenced { hash, rotation } = &mut object.secret {
            *hash = SecretText::new(format!("{}{:040}", object.owner.key, self.roll(3))).hash();
            rotation.overlap_seconds = 3 + self.roll(3) as i64;
        }
    }
}

/// K4, OV-2: whatever the authors of the resources do, it is no drift.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn no_sequence_of_edits_is_drift_and_the_last_one_is_in_force(#[case] engine: Engine) {
    for seed in 1..=8 {
        let mut scene = Scene::set(engine).await;
        let mut dice = Dice(seed);
        for step in 0..60 {
            let which = dice.roll(3) as usize;
            let object = &mut scene.objects[which];
            dice.edit(object);
            scene.house.clock.advance(dice.roll(3) as i64);
            if dice.roll(12) == 0 {
                let (key, policy) = (&scene.objects[which].owner.key, scene.objects[which].deletion);
                scene.house.provisioner.remove(key, policy, "object").await.unwrap();
            }
            let done = scene.house.apply(&scene.objects[which]).await;
            assert_eq!(scene.objects[which].known_id.as_ref(), Some(&done.entity_id), "seed {seed}, step {step}");
            let told = scene.house.told().await;
            let drift = told.iter().find(|(reason, ..)| matches!(reason, Reason::DriftDetected | Reason::DriftCleared));
            assert_eq!(drift, None, "seed {seed}, step {step}");
            assert_eq!(done.drift, None, "seed {seed}, step {step}");
        }
        scene.house.clock.advance(100);
        scene.objects.iter_mut().for_each(|object| object.paused = false);
        scene.apply(DriftMode::Enforce).await.unwrap();
        assert!(scene.correct().await, "seed {seed}");
        let change = Change { sql: format!("nothing, seed {seed}"), field: None, fields: 0 };
        scene.is_quiet(&change, DriftMode::Enforce).await.unwrap();
    }
}

/// mechanics §2: one UPDATE cannot forge both sides.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_was_smuggled_into_the_memory_opens_nothing(#[case] engine: Engine) {
    let scene = Scene::set(engine).await;
    let sql = "UPDATE managed SET credentials = replace(credentials, 'sec_', 'evil_') WHERE owner_name = 'portal'";
    let change = Change { sql: sql.to_owned(), field: None, fields: 1 };
    assert_eq!(scene.enforces(&change).await, Ok(true));
    let entity = scene.house.store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await.unwrap().unwrap();
    assert!(entity.credentials[0].id.starts_with("sec_"));
}

/// mechanics §2: what was changed and changed back was nevertheless.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_there_and_back_is_told(#[case] engine: Engine) {
    let scene = Scene::set(engine).await;
    for state in ["Suspended", "Active"] {
        scene.house.database.sql(&format!("UPDATE client SET state = '{state}'")).await;
    }
    let told = scene.apply(DriftMode::Enforce).await.unwrap();
    let reasons: Vec<Reason> = told.iter().map(|(reason, ..)| *reason).collect();
    assert_eq!(reasons, [Reason::DriftDetected, Reason::DriftCleared]);
    assert!(told[0].2.starts_with("the row was changed by sql") && told[0].2.ends_with("and back"), "{}", told[0].2);
    let change = Change { sql: "there and back".to_owned(), field: None, fields: 0 };
    scene.is_quiet(&change, DriftMode::Enforce).await.unwrap();
}

/// A memory that makes no sense keeps no object from being deleted.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_a_damaged_memory_can_be_deleted(#[case] engine: Engine) {
    let scene = Scene::set(engine).await;
    scene.house.database.sql("UPDATE managed SET last_applied = 'nonsense'").await;
    let key = &scene.objects[1].owner.key;
    let removed = scene.house.provisioner.remove(key, DeletionPolicy::Delete, "object").await.unwrap();
    assert_eq!(removed, Removed::Deleted);
    assert_eq!(scene.house.spec(Kind::OAuthClient, "portal").await, None);
}
