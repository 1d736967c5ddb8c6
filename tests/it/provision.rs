//! The provisioner on real databases: what it writes, what it says, and what it leaves alone.

mod brake;
mod orphans;
mod unseen;

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast::domain::brake::Limits;
use holdfast::domain::credential::Rotation;
use holdfast::domain::desired::SecretSource;
use holdfast::domain::{
    Actor, AdoptionPolicy, DeletionPolicy, Desired, DriftMode, Epoch, Kind, Owner, OwnerKey, Reason, SecretText, Spec,
};
use holdfast::provision::{Applied, ChangeKind, Done, Error, Held, Parts, Provisioner, Refused, Removed, SecretStep};
use holdfast::store::Store;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::store::engine::{Engine, Feed, Fresh, eventually};
use crate::support::time::{Chance, Clock};

pub struct House {
    pub database: Fresh,
    pub store: Store,
    pub clock: Arc<Clock>,
    pub provisioner: Provisioner,
    leadership: watch::Sender<Option<Epoch>>,
}

impl House {
    pub async fn on(engine: Engine) -> Self {
        Self::braked(engine, Limits::NONE).await
    }

    pub async fn braked(engine: Engine, brake: Limits) -> Self {
        let (store, database) = engine.store().await;
        let clock = Arc::new(Clock::default());
        let (leadership, follower) = watch::channel(Some(store.take_over().await.unwrap()));
        let provisioner = Provisioner::new(Parts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(Chance),
            observer: Arc::new(holdfast::domain::observer::Unobserved),
            leadership: follower,
            actor: Actor::controller(),
            brake,
        });
        Self { database, store, clock, provisioner, leadership }
    }

    /// Of whoever leads.
    pub fn epoch(&self) -> Epoch {
        self.leadership.borrow().unwrap()
    }

    /// Another process on the same database, which has taken over.
    pub async fn successor(&self, brake: Limits) -> Provisioner {
        let store = self.database.open().await;
        let (_, follower) = watch::channel(Some(store.take_over().await.unwrap()));
        Provisioner::new(Parts {
            store,
            clock: self.clock.clone(),
            entropy: Arc::new(Chance),
            observer: Arc::new(holdfast::domain::observer::Unobserved),
            leadership: follower,
            actor: Actor::controller(),
            brake,
        })
    }

    /// This house's database as a backup brings it back, on a server of its own.
    pub async fn restored(&self) -> Self {
        let (store, database) = self.database.restored().await;
        let (leadership, follower) = watch::channel(Some(store.take_over().await.unwrap()));
        let provisioner = Provisioner::new(Parts {
            store: store.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(Chance),
            observer: Arc::new(holdfast::domain::observer::Unobserved),
            leadership: follower,
            actor: Actor::controller(),
            brake: Limits::NONE,
        });
        Self { database, store, clock: self.clock.clone(), provisioner, leadership }
    }

    /// The id of its row, unless it may have none.
    async fn apply_or_refuse(&self, desired: &Desired) -> Option<String> {
        match self.provisioner.apply(desired).await.unwrap() {
            Applied::Done(done) => Some(done.entity_id),
            Applied::Refused(_) => None,
        }
    }

    pub async fn apply(&self, desired: &Desired) -> Done {
        match self.provisioner.apply(desired).await.unwrap() {
            Applied::Done(done) => *done,
            Applied::Refused(refused) => panic!("{refused:?}"),
        }
    }

    async fn refused(&self, desired: &Desired) -> Refused {
        match self.provisioner.apply(desired).await.unwrap() {
            Applied::Done(done) => panic!("{done:?}"),
            Applied::Refused(refused) => refused,
        }
    }

    /// Reads what was said since the last time.
    pub async fn told(&self) -> Vec<(Reason, String, String)> {
        let reports = self.provisioner.reports(100).await.unwrap();
        let ids: Vec<i64> = reports.iter().map(|r| r.id).collect();
        self.provisioner.reported(&ids).await.unwrap();
        reports.into_iter().map(|r| (r.reason, r.field_path, r.note)).collect()
    }

    pub async fn spec(&self, kind: Kind, id: &str) -> Option<Spec> {
        self.store.read().await.unwrap().entity(kind, id).await.unwrap().map(|e| e.spec)
    }

    pub async fn changes(&self) -> i64 {
        self.store.read().await.unwrap().last_sequence().await.unwrap()
    }
}

fn client(name: &str) -> Desired {
    let spec = json!({
        "displayName": "Portal", "state": "Active", "grantTypes": ["client_credentials"], "redirectURIs": [],
        "authenticationMethod": "ClientSecretBasic", "jwks": null, "jwksURI": null, "workloadIdentity": null,
        "agent": null, "consent": "Required",
        "resources": [{"name": "billing", "resourceServerID": "rs_1", "scopes": ["invoices.read"]}],
        "tokens": {"refreshLifetimeSeconds": 10, "refreshIdleSeconds": 5, "senderConstraint": "None"}
    });
    desired(
        OwnerKey::new(Kind::OAuthClient, "web", name),
        Some(name),
        Spec::Client(serde_json::from_value(spec).unwrap()),
    )
}

fn resource_server(namespace: &str, uri: &str) -> Desired {
    let spec = json!({
        "resourceURI": uri, "displayName": "Billing", "lifecycle": "Live", "tokenSource": {"type": "Mint"},
        "scopes": [{"name": "invoices.read", "description": "Read", "risk": "Low", "upstream": ""},
                   {"name": "invoices.write", "description": "Write", "risk": "High", "upstream": ""}],
        "tools": [], "roles": [{"name": "reader", "scopes": ["invoices.read"]}], "defaultRole": null, "roleBindings": [],
        "accessToken": {"format": "JWT", "signingAlgorithm": "ES256", "lifetimeSeconds": 900, "senderConstraint": "None"},
        "allowedNamespaces": {"from": "Same"}, "dynamicClients": "Denied", "consent": "Required",
        "exchange": {"mode": "Listed"}, "runtimeClients": [], "runtimeServiceAccounts": [], "connect": {}, "fronting": []
    });
    let key = OwnerKey::new(Kind::ResourceServer, namespace, "billing");
    desired(key, None, Spec::ResourceServer(serde_json::from_value(spec).unwrap()))
}

pub fn desired(key: OwnerKey, wanted_id: Option<&str>, spec: Spec) -> Desired {
    let namespace_uid = format!("uid-of-{}", key.namespace);
    Desired {
        owner: Owner { key, namespace_uid, object_uid: "object".into() },
        wanted_id: wanted_id.map(str::to_owned),
        known_id: None,
        spec,
        drift: DriftMode::Enforce,
        ignore_fields: BTreeSet::new(),
        deletion: DeletionPolicy::Delete,
        adoption: AdoptionPolicy::IfUnowned,
        trusted: false,
        host_granted: false,
        paused: false,
        whole: true,
        secret: SecretSource::None,
    }
}

pub fn with(desired: &Desired, path: &str, value: Value) -> Desired {
    let mut fields = desired.spec.fields();
    fields.insert(path.to_owned(), value);
    Desired { spec: Spec::from_fields(desired.spec.kind(), &fields).unwrap(), ..desired.clone() }
}

fn reasons(told: &[(Reason, String, String)]) -> Vec<Reason> {
    told.iter().map(|(reason, ..)| *reason).collect()
}

/// Declares one test for each engine.
macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($house:ident: House) $body:block)*) => {$(
        mod $name {
            use super::*;
            async fn body($house: House) $body
            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() { body(House::on(Engine::Sqlite).await).await }
            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() { body(House::on(Engine::Postgres).await).await }
        }
    )*};
}

mod adoption;
mod calls;
mod plan;

on_both! {
    /// K1, OV-2
    async fn a_second_apply_writes_nothing(house: House) {
        for desired in [client("portal"), resource_server("billing", "https://b.example.com/mcp")] {
            assert_eq!(house.apply(&desired).await.change, ChangeKind::Created);
            house.told().await;
            let before = house.changes().await;
            assert_eq!(house.apply(&desired).await.change, ChangeKind::Unchanged);
            assert_eq!((house.changes().await, house.told().await), (before, vec![]));
        }
    }

    /// K4
    async fn an_edit_of_the_spec_is_applied_and_never_called_drift(house: House) {
        let first = client("portal");
        house.apply(&first).await;
        house.told().await;
        let edited = with(&first, "displayName", json!("New"));
        assert_eq!(house.apply(&edited).await.change, ChangeKind::Updated);
        assert_eq!(reasons(&house.told().await), [Reason::Updated]);
        assert_eq!(house.spec(Kind::OAuthClient, "portal").await, Some(edited.spec));
    }

    /// K3, D5
    async fn a_change_by_sql_is_named_and_corrected(house: House) {
        let desired = client("portal");
        house.apply(&desired).await;
        house.told().await;
        house.database.sql("UPDATE client SET grant_types = '[\"client_credentials\",\"device_code\"]'").await;
        let done = house.apply(&desired).await;
        assert_eq!((done.change, done.drift), (ChangeKind::Corrected, None));
        let correction = done.correction.unwrap();
        assert_eq!(correction.fields, ["grantTypes"]);
        assert!(correction.actor.as_str().starts_with("sql"), "{}", correction.actor);
        let told = house.told().await;
        assert_eq!(reasons(&told), [Reason::DriftDetected, Reason::DriftCorrected]);
        assert_eq!(told[0].1, "spec.grantTypes");
        assert!(told[0].2.contains("changed by sql") && told[0].2.contains("device_code"), "{}", told[0].2);
        assert_eq!(house.spec(Kind::OAuthClient, "portal").await, Some(desired.spec));
    }

    async fn a_child_row_that_was_changed_or_deleted_is_put_back(house: House) {
        let desired = resource_server("billing", "https://b.example.com/mcp");
        let id = house.apply(&desired).await.entity_id;
        house.told().await;
        house.database.sql("UPDATE scope SET risk = 'Low' WHERE name = 'invoices.write'").await;
        house.database.sql("DELETE FROM role").await;
        house.apply(&desired).await;
        let fields: Vec<String> = house.told().await.into_iter().map(|(_, field, _)| field).take(2).collect();
        assert_eq!(fields, ["spec.roles[reader]", "spec.scopes[invoices.write]"]);
        assert_eq!(house.spec(Kind::ResourceServer, &id).await.unwrap().fields(), desired.spec.fields());
    }

    async fn a_row_that_makes_no_sense_is_written_again(house: House) {
        let desired = client("portal");
        house.apply(&desired).await;
        house.told().await;
        house.database.sql("UPDATE client SET grant_types = 'nonsense'").await;
        assert_eq!(house.apply(&desired).await.change, ChangeKind::Corrected);
        assert!(house.told().await[0].2.starts_with("the row was made unreadable by sql"));
        assert_eq!(house.spec(Kind::OAuthClient, "portal").await, Some(desired.spec));
    }

    /// K3: by the feed, not by a scan
    async fn word_of_a_change_comes_with_its_owner(house: House) {
        let _feed = Feed::start(&house.store).await;
        let desired = client("portal");
        house.apply(&desired).await;
        eventually(|| house.provisioner.entity_id(&desired.owner.key).is_some()).await;
        let mut changes = house.provisioner.changes();
        house.database.sql("UPDATE client SET display_name = 'X'").await;
        let owner = async {
            loop {
                let changed = changes.recv().await.unwrap();
                if changed.owner.is_some() {
                    return changed.owner;
                }
            }
        };
        let owner = tokio::time::timeout(std::time::Duration::from_secs(1), owner).await.unwrap();
        assert_eq!(owner, Some(desired.owner.key));
    }

    async fn warn_reports_once_keeps_and_tells_when_it_is_over(house: House) {
        let desired = Desired { drift: DriftMode::Warn, ..client("portal") };
        house.apply(&desired).await;
        house.told().await;
        house.database.sql("UPDATE client SET display_name = 'X'").await;
        let done = house.apply(&desired).await;
        assert_eq!(done.drift.unwrap().fields[0].path, "displayName");
        assert_eq!(reasons(&house.told().await), [Reason::DriftDetected]);
        assert_eq!(house.apply(&desired).await.change, ChangeKind::Unchanged);
        house.database.sql("UPDATE client SET display_name = 'Y'").await;
        house.apply(&desired).await;
        assert_eq!(reasons(&house.told().await), [Reason::DriftDetected], "another value is news");
        house.database.sql("UPDATE client SET display_name = 'Portal'").await;
        assert_eq!(house.apply(&desired).await.drift, None);
        assert_eq!(reasons(&house.told().await), [Reason::DriftCleared]);
    }

    async fn a_deleted_row_comes_back_with_its_id_and_its_secret(house: House) {
        let secret = SecretText::new("s".repeat(40));
        let source = SecretSource::Referenced { hash: secret.hash(), rotation: Rotation::default() };
        let desired = Desired { secret: source, ..client("portal") };
        let first = house.apply(&desired).await;
        house.told().await;
        house.database.sql("DELETE FROM client").await;
        house.database.sql("DELETE FROM credential").await;
        let done = house.apply(&desired).await;
        assert_eq!((done.change, &done.entity_id), (ChangeKind::Corrected, &first.entity_id));
        assert_eq!(done.secret.current.map(|c| (c.id, c.hash == secret.hash())), first.secret.current.map(|c| (c.id, true)));
        assert!(house.told().await[0].2.starts_with("the row was deleted by sql"));
    }

    /// SecretMismatch
    async fn a_stolen_or_smuggled_hash_is_found_and_never_shown(house: House) {
        let secret = SecretText::new("s".repeat(40));
        let source = SecretSource::Referenced { hash: secret.hash(), rotation: Rotation::default() };
        let desired = Desired { secret: source, ..client("portal") };
        house.apply(&desired).await;
        house.told().await;
        house.database.sql("INSERT INTO credential (id, principal, hash, state, issued_at) \
            SELECT 'sec_evil', principal, hash, 'retiring', 1 FROM credential").await;
        let done = house.apply(&desired).await;
        assert_eq!(done.change, ChangeKind::Corrected);
        let entity = house.store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await.unwrap().unwrap();
        assert_eq!(entity.credentials.len(), 1);
        let told = house.told().await;
        assert!(told[0].2.starts_with("the stored secret hashes were changed by sql"), "{}", told[0].2);
        assert_eq!(house.apply(&desired).await.change, ChangeKind::Unchanged);
    }

    async fn only_the_ids_come_back_after_a_deletion(house: House) {
        let desired = resource_server("billing", "https://b.example.com/mcp");
        let first = house.apply(&desired).await.entity_id;
        let key = &desired.owner.key;
        let remove = async || house.provisioner.remove(key, DeletionPolicy::Delete, "object").await.unwrap();
        assert_eq!(remove().await, Removed::Deleted);
        assert_eq!(remove().await, Removed::Nothing, "it may be called again");
        assert_eq!(house.spec(Kind::ResourceServer, &first).await, None);
        let again = house.apply(&desired).await;
        assert_eq!((again.entity_id, again.change), (first, ChangeKind::Created));
        house.provisioner.remove(key, DeletionPolicy::Delete, "object").await.unwrap();
        let mut recycled = desired.clone();
        recycled.owner.namespace_uid = "another".into();
        assert!(matches!(house.refused(&recycled).await, Refused::Adoption(_)));
    }

    async fn a_retained_row_stays_and_returns_to_its_owner(house: House) {
        let desired = client("portal");
        house.apply(&desired).await;
        let removed = house.provisioner.remove(&desired.owner.key, DeletionPolicy::Retain, "object").await.unwrap();
        assert_eq!(removed, Removed::Retained);
        assert!(house.spec(Kind::OAuthClient, "portal").await.is_some());
        let mut other = client("portal");
        other.owner.key.namespace = "elsewhere".into();
        assert!(matches!(house.refused(&other).await, Refused::Adoption(_)));
        assert_eq!(house.apply(&desired).await.change, ChangeKind::Adopted);
    }

    /// mechanics §16: who let go of a row does not take it from who has it now
    async fn a_retained_row_that_was_adopted_does_not_return(house: House) {
        let first = client("portal");
        house.apply(&first).await;
        house.provisioner.remove(&first.owner.key, DeletionPolicy::Retain, "object").await.unwrap();
        let mut second = Desired { trusted: true, ..client("portal") };
        second.owner.key.namespace = "elsewhere".into();
        assert_eq!(house.apply(&second).await.change, ChangeKind::Adopted);
        let entity = house.store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await.unwrap().unwrap();
        assert_eq!(entity.owner.as_ref(), Some(&second.owner.key), "the row says so, too");
        let Refused::Conflict { holder, .. } = house.refused(&first).await else { panic!() };
        assert_eq!(holder, Some(second.owner.key.clone()));
        assert_eq!(house.apply(&second).await.change, ChangeKind::Unchanged);
    }

    /// OwnershipLost
    async fn a_deleted_memory_is_found_by_the_id_that_status_names(house: House) {
        let desired = client("portal");
        house.apply(&desired).await;
        house.told().await;
        house.database.sql("DELETE FROM managed").await;
        house.database.sql("UPDATE client SET display_name = 'X'").await;
        assert!(matches!(house.refused(&desired).await, Refused::Adoption(_)), "status names nothing: not ours");
        let known = Desired { known_id: Some("portal".into()), ..desired };
        assert_eq!(house.apply(&known).await.change, ChangeKind::Corrected);
        let told = house.told().await;
        assert!(told[0].2.starts_with("the memory of what was applied was deleted by sql"), "{}", told[0].2);
        assert_eq!(house.apply(&known).await.change, ChangeKind::Unchanged);
    }

    /// mechanics §16
    async fn a_row_that_nobody_owns_is_adopted_from_a_trusted_namespace_only(house: House) {
        let mut tx = house.store.write(&Actor::api_key("ops")).await.unwrap();
        let desired = client("portal");
        tx.put("portal", &desired.spec, None, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(house.refused(&desired).await, Refused::Adoption(_)));
        let never = Desired { trusted: true, adoption: AdoptionPolicy::Never, ..desired.clone() };
        assert!(matches!(house.refused(&never).await, Refused::Adoption(_)));
        let trusted = Desired { trusted: true, ..desired.clone() };
        assert_eq!(house.apply(&trusted).await.change, ChangeKind::Adopted);
        let mut second = client("portal");
        second.owner.key.name = "other".into();
        let Refused::Conflict { holder, .. } = house.refused(&second).await else { panic!() };
        assert_eq!(holder, Some(desired.owner.key));
    }

    async fn a_host_belongs_to_the_namespace_that_came_first(house: House) {
        house.apply(&resource_server("billing", "https://b.example.com/mcp")).await;
        house.store.refresh().await.unwrap();
        let other = resource_server("elsewhere", "https://b.example.com/other");
        assert!(matches!(house.refused(&other).await, Refused::NotPermitted(_)));
        let same_uri = resource_server("elsewhere", "https://b.example.com/mcp");
        assert!(matches!(house.refused(&same_uri).await, Refused::Conflict { .. }));
    }

    /// K5
    async fn a_generated_secret_is_published_rotated_and_retired(house: House) {
        let rotation = Rotation { period_seconds: Some(3600), overlap_seconds: 60, ..Rotation::default() };
        let desired = Desired { secret: SecretSource::Generated(rotation), ..client("portal") };
        let id = house.apply(&desired).await.entity_id;
        house.told().await;
        let settle = async |held| house.provisioner.settle_secret(&desired, &id, held).await.unwrap();
        let SecretStep::Write(first) = settle(Held::Absent).await else { panic!() };
        let SecretStep::Write(retried) = settle(Held::Absent).await else { panic!() };
        assert_eq!(first.expose(), retried.expose(), "a failed write is tried again with the same value");
        let SecretStep::Settled(state) = settle(Held::Value(first.clone())).await else { panic!() };
        assert_eq!(state.current.unwrap().hash, first.hash());
        assert_eq!(reasons(&house.told().await), [Reason::SecretGenerated]);

        house.clock.advance(3600);
        let SecretStep::Write(second) = settle(Held::Value(first.clone())).await else { panic!() };
        let SecretStep::Settled(state) = settle(Held::Value(second.clone())).await else { panic!() };
        assert_eq!((state.current.unwrap().hash, state.retiring[0].hash), (second.hash(), first.hash()));
        house.clock.advance(60);
        assert_eq!(house.apply(&desired).await.secret.retiring, []);
        assert_eq!(reasons(&house.told().await), [Reason::SecretRotated, Reason::SecretRetired]);
    }

    async fn revoke_issued_before_ends_secrets_at_once_and_only_once(house: House) {
        let plain = Rotation::default();
        let desired = Desired { secret: SecretSource::Generated(plain), ..client("portal") };
        let id = house.apply(&desired).await.entity_id;
        let publish = async |desired: &Desired| {
            let mut held = Held::Absent;
            loop {
                match house.provisioner.settle_secret(desired, &id, held).await.unwrap() {
                    SecretStep::Write(text) => held = Held::Value(text),
                    SecretStep::Settled(state) => return state,
                }
            }
        };
        let first = publish(&desired).await.current.unwrap();
        house.clock.advance(10);
        let level = Some(house.clock.at() + jiff::SignedDuration::from_hours(1));
        let leaked = Desired { secret: SecretSource::Generated(Rotation { revoke_issued_before: level, ..plain }), ..desired };
        assert_eq!(house.apply(&leaked).await.secret.current, None, "no overlap for a leak");
        house.clock.advance(10);
        let second = publish(&leaked).await.current.unwrap();
        assert_ne!(first.hash, second.hash);
        house.clock.advance(7200);
        assert_eq!(house.apply(&leaked).await.secret.current, Some(second), "a future value never ends what replaced it");
    }

    /// K11
    async fn who_does_not_lead_writes_nothing(house: House) {
        house.leadership.send(None).unwrap();
        assert!(house.provisioner.apply(&client("portal")).await.unwrap_err().is_fenced());
        house.leadership.send(Some(Epoch(0))).unwrap();
        assert!(house.provisioner.apply(&client("portal")).await.unwrap_err().is_fenced());
        assert_eq!(house.spec(Kind::OAuthClient, "portal").await, None);
    }

    async fn an_edit_of_an_owned_row_needs_force_and_is_drift(house: House) {
        let desired = client("portal");
        house.apply(&desired).await;
        house.told().await;
        let actor = Actor::api_key("ops");
        let edit = async |patch: Value, force| {
            house.provisioner.edit(Kind::OAuthClient, "portal", &patch, force, &actor).await
        };
        assert!(matches!(edit(json!({"displayName": "X"}), false).await, Err(Error::Owned(_))));
        let Err(Error::BadPatch { field, .. }) = edit(json!({"displayname": "X"}), true).await else { panic!() };
        assert_eq!(field, "displayname");
        edit(json!({"displayName": "X"}), true).await.unwrap();
        house.apply(&desired).await;
        assert!(house.told().await[0].2.contains("apikey:ops"));
    }

    async fn a_paused_object_reports_drift_and_writes_no_policy(house: House) {
        let desired = client("portal");
        house.apply(&desired).await;
        house.told().await;
        house.database.sql("UPDATE client SET display_name = 'X'").await;
        let paused = Desired { paused: true, ..desired };
        assert!(house.apply(&paused).await.drift.is_some());
        assert_eq!(reasons(&house.told().await), [Reason::DriftDetected]);
        let Some(Spec::Client(client)) = house.spec(Kind::OAuthClient, "portal").await else { panic!() };
        assert_eq!(client.display_name, "X");
    }
}
