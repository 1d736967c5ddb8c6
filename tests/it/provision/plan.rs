//! The dry run: what it says is what an apply then does, whom it would meet, and that it writes nothing.

use holdfast::domain::Class;
use holdfast::domain::client::GrantType;
use holdfast::provision::{Action, ClientTouch, Planned, field_path};
use holdfast::store::{GrantRow, Issuance, IssueOutcome, RoleAssignment, RoleOrigin};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;

pub async fn plan(house: &House, desired: &Desired) -> Planned {
    house.store.refresh().await.unwrap();
    let mut run = house.provisioner.dry_run().await.unwrap();
    let draft = run.attempt(desired).await.unwrap();
    run.finish(draft).await.unwrap()
}

/// A source of edits that is the same every time.
pub struct Edits(pub u64);

impl Edits {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of_client(&mut self, desired: &Desired) -> Desired {
        let (path, value) = match self.below(6) {
            0 => ("displayName", json!(["Portal", "Gate", "Door"][self.below(3)])),
            1 => ("state", json!(["Active", "Suspended"][self.below(2)])),
            2 => ("grantTypes", json!([["client_credentials"], ["device_code"]][self.below(2)])),
            3 => ("redirectURIs", json!(vec!["https://portal.example.com/cb"; self.below(2)])),
            4 => {
                let scopes: Vec<&str> = ["invoices.read", "invoices.write"][..self.below(3)].to_vec();
                ("resources[billing]", json!({"name": "billing", "resourceServerID": "rs_1", "scopes": scopes}))
            }
            _ => (
                "tokens",
                json!({"refreshLifetimeSeconds": 10 + self.below(3), "refreshIdleSeconds": 5, "senderConstraint": "None"}),
            ),
        };
        with(desired, path, value)
    }

    /// What somebody does behind our back.
    fn of_sql(&mut self) -> Option<&'static str> {
        [
            None,
            None,
            Some("UPDATE client SET display_name = 'Sql'"),
            Some("UPDATE client SET grant_types = '[\"refresh_token\"]'"),
            Some("DELETE FROM client_resource"),
            Some("DELETE FROM client"),
        ][self.below(6)]
    }
}

on_both! {
    /// K7: of many edits, with drift in between, in every mode
    async fn what_a_plan_says_is_what_an_apply_does(house: House) {
        let mut edits = Edits(7);
        let mut desired = client("portal");
        for round in 0..60 {
            desired.drift = [DriftMode::Enforce, DriftMode::Warn, DriftMode::Ignore][edits.below(3)];
            for _ in 0..edits.below(3) {
                desired = edits.of_client(&desired);
            }
            if round > 0 && let Some(sql) = edits.of_sql() {
                house.database.sql(sql).await;
            }
            let changes = house.changes().await;
            let planned = plan(&house, &desired).await;
            assert_eq!(house.changes().await, changes, "a plan writes nothing");
            assert_eq!(planned, plan(&house, &desired).await, "and says the same again");
            let done = house.apply(&desired).await;
            let told = house.told().await;
            let expected = match done.change {
                ChangeKind::Created => Action::Create,
                ChangeKind::Adopted => Action::Adopt,
                // words about drift that stays are no change
                ChangeKind::Updated if planned.action == Action::Unchanged => {
                    assert!(told.iter().all(|(reason, ..)| *reason == Reason::DriftDetected || *reason == Reason::DriftCleared), "{told:?}");
                    Action::Unchanged
                }
                ChangeKind::Updated | ChangeKind::Corrected => Action::Update,
                ChangeKind::Unchanged => Action::Unchanged,
            };
            assert_eq!(planned.action, expected, "round {round}: {planned:#?}\n{done:#?}");
            let updated = told.iter().find(|(reason, ..)| *reason == Reason::Updated).map(|(.., note)| note.clone());
            let fields: Vec<&str> = planned.changes.iter().map(|change| change.field.as_str()).collect();
            if done.change != ChangeKind::Created {
                let said = (!fields.is_empty()).then(|| format!("applied {}", fields.join(", ")));
                assert_eq!(updated, said, "round {round}");
            }
            let corrected: Vec<&str> = told.iter().filter(|(r, ..)| *r == Reason::DriftCorrected).map(|(_, f, _)| f.as_str()).collect();
            let foretold: Vec<&str> = planned.drift.iter().filter(|d| d.becomes == "corrected").map(|d| d.field.as_str()).collect();
            assert_eq!(corrected, foretold, "round {round}");
            let kept = planned.drift.iter().filter(|drift| drift.becomes == "kept").count();
            assert_eq!(done.drift.map_or(0, |drift| drift.fields.len()), kept, "round {round}");
            let Some(row) = house.spec(Kind::OAuthClient, "portal").await else {
                assert_eq!(kept, 1, "only a row that is kept away is not there");
                continue;
            };
            for (path, value) in row.fields() {
                if let Some(change) = planned.changes.iter().find(|change| change.field == field_path(&path)) {
                    assert_eq!(change.after, value, "round {round}: {path}");
                }
            }
            assert_eq!(plan(&house, &desired).await.action, Action::Unchanged, "nothing is left to do");
        }
    }

    /// K7: what somebody changed to what is asked for now is no drift and no change of policy, but it is remembered: that
    /// is what an apply does
    async fn a_plan_of_what_is_there_already_is_an_update(house: House) {
        let first = client("portal");
        house.apply(&first).await;
        house.told().await;
        house.database.sql("UPDATE client SET display_name = 'Gate'").await;
        let desired = with(&first, "displayName", json!("Gate"));
        let planned = plan(&house, &desired).await;
        assert_eq!((planned.action, planned.changes.len(), planned.drift.len()), (Action::Update, 0, 0), "{planned:#?}");
        assert_eq!(house.apply(&desired).await.change, ChangeKind::Updated);
        assert_eq!(plan(&house, &desired).await.action, Action::Unchanged);
        house.database.sql("UPDATE client SET display_name = 'Portal'").await;
        let planned = plan(&house, &desired).await;
        assert_eq!((planned.action, planned.drift.len()), (Action::Update, 1), "it is held to what was remembered");
    }

    /// K7: the typed changes, the class of each, and the secrets
    async fn a_plan_names_fields_classes_and_secrets(house: House) {
        let rotation = Rotation::default();
        let first = Desired { secret: SecretSource::Generated(rotation), ..client("portal") };
        let planned = plan(&house, &first).await;
        assert_eq!((planned.action, planned.id.as_deref()), (Action::Create, Some("portal")));
        assert_eq!(planned.secrets[0].becomes, "generated");
        let names: Vec<&str> = planned.changes.iter().map(|change| change.field.as_str()).collect();
        assert!(names.contains(&"spec.authentication.method") && !names.contains(&"spec.agent"), "{names:?}");
        house.apply(&first).await;
        let edited = with(&with(&first, "displayName", json!("New")), "redirectURIs", json!(["https://a.example.com/"]));
        let planned = plan(&house, &edited).await;
        let seen: Vec<_> = planned.changes.iter().map(|c| (c.field.as_str(), c.class, c.before.clone())).collect();
        assert_eq!(seen, [
            ("spec.displayName", Class::Cosmetic, json!("Portal")),
            ("spec.redirectURIs", Class::Security, json!([])),
        ]);
        // a secret that is revoked, and one that a Secret of the user's replaces
        let held = house.provisioner.settle_secret(&first, "portal", Held::Absent).await.unwrap();
        let SecretStep::Write(text) = held else { panic!("{held:?}") };
        house.provisioner.settle_secret(&first, "portal", Held::Value(text)).await.unwrap();
        house.clock.advance(10);
        let revoke = Rotation { revoke_issued_before: Some(house.clock.at()), ..rotation };
        let planned = plan(&house, &Desired { secret: SecretSource::Generated(revoke), ..first.clone() }).await;
        let told: Vec<&str> = planned.secrets.iter().map(|secret| secret.becomes).collect();
        assert_eq!((planned.action, told), (Action::Update, vec!["revoked", "generated"]));
        let level = Rotation { rotate_issued_before: Some(house.clock.at()), ..rotation };
        let planned = plan(&house, &Desired { secret: SecretSource::Generated(level), ..first.clone() }).await;
        let told: Vec<&str> = planned.secrets.iter().map(|secret| secret.becomes).collect();
        assert_eq!((planned.action, told), (Action::Update, vec!["generated", "retires"]));
        let hash = SecretText::new("s".repeat(40)).hash();
        let planned = plan(&house, &Desired { secret: SecretSource::Referenced { hash, rotation }, ..first }).await;
        let told: Vec<&str> = planned.secrets.iter().map(|secret| secret.becomes).collect();
        assert_eq!(told, ["retires", "taken_in"]);
    }

    /// K7: tools, tokens, refresh families, people and clients that lose something
    async fn a_plan_says_whom_it_meets(house: House) {
        let server = with(&resource_server("billing", "https://b.example.com/mcp"), "tools[list]",
            json!({"name": "list", "access": "Scoped", "scopes": ["invoices.read"], "match": "Any"}));
        let server = with(&server, "tools[pay]", json!({"name": "pay", "access": "Scoped", "scopes": ["invoices.write"], "match": "Any"}));
        let server = with(&server, "roles[writer]", json!({"name": "writer", "scopes": ["invoices.write"]}));
        let server = with(&server, "defaultRole", json!("writer"));
        let id = house.apply(&server).await.entity_id;
        let attached = json!({"name": "billing", "resourceServerID": id, "scopes": ["invoices.read", "invoices.write"]});
        let portal = with(&client("portal"), "resources[billing]", attached);
        house.apply(&portal).await;
        issue(&house, &id, "usr_ada", "invoices.read invoices.write").await;
        issue(&house, &id, "usr_bob", "invoices.read").await;
        issue(&house, &id, "usr_eve", "Invoices.write").await;
        let mut tx = house.store.write(&Actor::recorded("test")).await.unwrap();
        for user in ["usr_ada", "usr_dan"] {
            let (user_id, resource_server_id, role) = (user.to_owned(), id.clone(), "writer".to_owned());
            let assignment = RoleAssignment { user_id, resource_server_id, role, origin: RoleOrigin::Default, assigned_at: house.clock.at() };
            assert!(tx.assign_role(&assignment).await.unwrap());
        }
        tx.commit().await.unwrap();

        let mut fields = server.spec.fields();
        fields.remove("scopes[invoices.write]");
        fields.remove("tools[pay]");
        fields.insert("tools[list]".into(), json!({"name": "list", "access": "Public", "scopes": [], "match": "Any"}));
        fields.insert("roles[writer]".into(), json!({"name": "writer", "scopes": []}));
        fields.insert("defaultRole".into(), json!("reader"));
        let edited = Desired { spec: Spec::from_fields(Kind::ResourceServer, &fields).unwrap(), ..server.clone() };
        let touches = plan(&house, &edited).await.touches;
        assert_eq!((touches.tools.denied, touches.tools.public), (vec!["pay".to_owned()], vec!["list".to_owned()]));
        assert_eq!((touches.tokens, touches.families, touches.users), (1, 1, 2), "ada once, and dan by the role");
        let scopes = vec!["invoices.write".to_owned()];
        assert_eq!(touches.clients, [ClientTouch { id: "portal".into(), loses: "scopes", scopes }]);
        let role = touches.default_role.unwrap();
        assert_eq!((role.before.as_deref(), role.after.as_deref(), role.holders), (Some("writer"), Some("reader"), 2));

        let touches = plan(&house, &with(&portal, "state", json!("Suspended"))).await.touches;
        assert_eq!((touches.tokens, touches.families, touches.users), (3, 3, 3));
        assert_eq!(touches.clients[0].loses, "service");
        let less = with(&portal, "resources[billing]", json!({"name": "billing", "resourceServerID": id, "scopes": ["invoices.write"]}));
        let touches = plan(&house, &less).await.touches;
        assert_eq!((touches.tokens, touches.families, touches.users), (2, 2, 2), "who has invoices.read");
        let mut run = house.provisioner.dry_run().await.unwrap();
        let draft = run.removal(&server.owner.key, DeletionPolicy::Delete).await.unwrap();
        let gone = run.finish(draft).await.unwrap();
        assert_eq!((gone.action, gone.touches.tokens, gone.touches.users), (Action::Delete, 3, 4));
        assert_eq!(gone.touches.tools.denied, ["list", "pay"]);
        house.clock.advance(7200);
        let touches = plan(&house, &edited).await.touches;
        assert_eq!((touches.tokens, touches.families), (0, 0), "what is over is met by nothing");
    }

    async fn what_would_be_refused_says_why(house: House) {
        house.apply(&client("portal")).await;
        let mut other = client("portal");
        other.owner.key.name = "thief".into();
        let planned = plan(&house, &other).await;
        assert_eq!((planned.action, planned.id), (Action::Refused, None));
        assert_eq!(planned.reason.unwrap(), "portal is held by OAuthClient/web/portal");
        let mut run = house.provisioner.dry_run().await.unwrap();
        let mut twins = [client("twin"), client("twin")];
        twins[1].owner.key.name = "second".into();
        let first = run.attempt(&twins[0]).await.unwrap();
        assert_eq!(first.id().as_deref(), Some("twin"));
        let second = run.attempt(&twins[1]).await.unwrap();
        assert_eq!(second.id(), None);
        let refused = run.finish(second).await.unwrap().reason.unwrap();
        assert_eq!(refused, "twin is held by OAuthClient/web/twin");
    }
}

/// A grant of an hour with an unused refresh token and one access token.
async fn issue(house: &House, server: &str, subject: &str, scope: &str) {
    let (now, end) = (house.clock.at(), house.clock.at() + SignedDuration::from_hours(1));
    let mut tx = house.store.write(&Actor::recorded("test")).await.unwrap();
    let grant = GrantRow {
        id: uuid(now),
        kind: GrantType::AuthorizationCode,
        client_id: "portal".into(),
        subject: subject.into(),
        resource_server_id: server.into(),
        scope: scope.into(),
        session_id: None,
        auth_time: None,
        jkt: None,
        parent: None,
        created_at: now,
        expires_at: end,
        revoked_at: None,
    };
    assert!(tx.put_grant(&grant).await.unwrap());
    let hash = SecretText::new(format!("refresh token of {subject}")).hash();
    assert!(tx.put_refresh_token(&hash, grant.id, now, end).await.unwrap());
    let client = tx.entity(Kind::OAuthClient, "portal").await.unwrap().unwrap();
    let resource_server = tx.entity(Kind::ResourceServer, server).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let issuance = Issuance {
        jti: uuid(now),
        handle: None,
        client_id: "portal".into(),
        client_revision: client.revision,
        resource_server_id: server.into(),
        resource_server_revision: resource_server.revision,
        subject: subject.into(),
        scope: scope.into(),
        issued_at: now,
        expires_at: end,
        credential_id: None,
    };
    assert_eq!(house.store.issue(issuance).await.unwrap(), IssueOutcome::Recorded);
}

fn uuid(now: Timestamp) -> Uuid {
    let mut random = [0; 10];
    holdfast::domain::Entropy::fill(&Chance, &mut random).unwrap();
    uuid::Builder::from_unix_timestamp_millis(now.as_millisecond() as u64, &random).into_uuid()
}
