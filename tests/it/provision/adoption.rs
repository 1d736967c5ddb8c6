//! Adoption by an offer, and from an export without a change.

use holdfast::domain::credential::CredentialState;
use holdfast::domain::{AuditKind, Credential};
use holdfast::manifest::export::{Wanted, export};
use holdfast::manifest::yaml::{self, Document};
use holdfast::manifest::{self, References, Resolved};
use holdfast::provision::Action;

use super::*;

fn anna() -> Actor {
    Actor::api_key("anna")
}

/// A row that nobody owns, with a secret that works.
async fn unowned(house: &House, id: &str, spec: &Spec) {
    let mut tx = house.store.write(&Actor::recorded("test")).await.unwrap();
    tx.put(id, spec, None, house.clock.at()).await.unwrap();
    tx.put_credential(id, &credential(&format!("sec_{id}"), CredentialState::Current)).await.unwrap();
    tx.commit().await.unwrap();
    house.store.refresh().await.unwrap();
}

fn credential(id: &str, state: CredentialState) -> Credential {
    let issued_at = jiff::Timestamp::from_second(1_780_000_000).unwrap();
    let hash = SecretText::new(format!("the secret of {id}, long enough to be one")).hash();
    Credential { id: id.to_owned(), hash, state, issued_at, retire_at: None, last_used_at: None }
}

async fn credentials(house: &House, kind: Kind, id: &str) -> Vec<(String, CredentialState)> {
    let entity = house.store.read().await.unwrap().entity(kind, id).await.unwrap().unwrap();
    entity.credentials.into_iter().map(|credential| (credential.id, credential.state)).collect()
}

async fn audited(house: &House, kind: AuditKind) -> usize {
    house.store.read().await.unwrap().audit_events(Some(kind), 100).await.unwrap().len()
}

on_both! {
    /// K8: an offer opens a row to one owner, once
    async fn what_is_offered_is_adopted_by_whom_it_was_offered_to(house: House) {
        let ours = Desired { secret: SecretSource::Generated(Rotation::default()), ..client("portal") };
        unowned(&house, "portal", &ours.spec).await;
        let mut other = ours.clone();
        other.owner.key.name = "other".into();
        assert!(matches!(house.refused(&ours).await, Refused::Adoption(_)), "the namespace is not trusted");
        let unknown = house.provisioner.offer(&ours.owner.key, "nobody", &anna()).await;
        assert!(matches!(unknown, Err(Error::Unknown(Kind::OAuthClient))));
        let made = house.provisioner.offer(&ours.owner.key, "portal", &anna()).await.unwrap();
        assert_eq!((made.owner.to_string().as_str(), made.by.as_str()), ("OAuthClient/web/portal", "apikey:anna"));
        assert_eq!(house.provisioner.offers().await.unwrap(), [made]);
        assert!(matches!(house.refused(&other).await, Refused::Adoption(_)), "it was offered to somebody else");
        assert!(matches!(house.refused(&Desired { adoption: AdoptionPolicy::Never, ..ours.clone() }).await, Refused::Adoption(_)));
        assert!(house.provisioner.withdraw_offer(&ours.owner.key, &anna()).await.unwrap());
        assert!(!house.provisioner.withdraw_offer(&ours.owner.key, &anna()).await.unwrap());
        assert!(matches!(house.refused(&ours).await, Refused::Adoption(_)), "it was withdrawn");
        house.provisioner.offer(&other.owner.key, "portal", &anna()).await.unwrap();
        house.provisioner.offer(&ours.owner.key, "portal", &anna()).await.unwrap();
        assert_eq!(house.provisioner.offers().await.unwrap().len(), 1, "the later offer of a row counts");
        let done = house.apply(&ours).await;
        assert_eq!((done.change, done.entity_id.as_str()), (ChangeKind::Adopted, "portal"));
        assert_eq!(reasons(&house.told().await), [Reason::Adopted]);
        assert_eq!(house.provisioner.offers().await.unwrap(), [], "it is taken");
        let owned = house.provisioner.offer(&other.owner.key, "portal", &anna()).await;
        assert!(matches!(owned, Err(Error::Owned(holder)) if holder == ours.owner.key), "an owner that lives keeps it");
        assert_eq!((audited(&house, AuditKind::OfferMade).await, audited(&house, AuditKind::OfferWithdrawn).await), (3, 1));
    }

    /// K8, mechanics §15: the successor in a recycled namespace, by an administrator's word
    async fn a_recycled_namespace_is_handed_its_rows(house: House) {
        let before = Desired { secret: SecretSource::Referenced { hash: SecretText::new("s".repeat(40)).hash(), rotation: Rotation::default() }, ..client("portal") };
        house.apply(&before).await;
        house.told().await;
        let secrets = credentials(&house, Kind::OAuthClient, "portal").await;
        let mut after = before.clone();
        after.owner.namespace_uid = "another".into();
        let Refused::Adoption(note) = house.refused(&after).await else { panic!("not refused") };
        assert!(note.contains("belongs to an earlier namespace"), "{note}");
        house.provisioner.offer(&after.owner.key, "portal", &anna()).await.unwrap();
        let done = house.apply(&after).await;
        assert_eq!((done.change, done.entity_id.as_str()), (ChangeKind::Adopted, "portal"));
        assert_eq!(credentials(&house, Kind::OAuthClient, "portal").await, secrets);
        assert_eq!(house.apply(&after).await.change, ChangeKind::Unchanged);
        assert!(matches!(house.refused(&before).await, Refused::Adoption(_)), "the offer was for one time");
        // a tombstone, too
        house.provisioner.remove(&after.owner.key, DeletionPolicy::Delete, "").await.unwrap();
        assert!(matches!(house.refused(&before).await, Refused::Adoption(_)));
        house.provisioner.offer(&before.owner.key, "portal", &anna()).await.unwrap();
        assert_eq!(house.apply(&before).await.change, ChangeKind::Created);
    }

    /// K8, mechanics §10: another cluster, whose namespaces are others
    async fn a_database_moves_to_another_cluster(house: House) {
        house.store.bind("default", "one").await.unwrap();
        house.apply(&client("portal")).await;
        assert_eq!(house.provisioner.move_to("one", &anna()).await.unwrap(), None);
        assert_eq!(house.provisioner.move_to("two", &anna()).await.unwrap(), Some(1));
        assert!(house.store.bind("default", "one").await.is_err());
        house.store.bind("default", "two").await.unwrap();
        let mut there = client("portal");
        there.owner.namespace_uid = "of the other cluster".into();
        assert_eq!(house.apply(&there).await.change, ChangeKind::Adopted);
        assert_eq!(audited(&house, AuditKind::DatabaseAdopted).await, 1);
    }

    /// K8: what refers to something that is not there yet would lose it
    async fn nothing_is_adopted_by_halves(house: House) {
        let whole = Desired { trusted: true, ..client("portal") };
        unowned(&house, "portal", &whole.spec).await;
        let mut fields = whole.spec.fields();
        fields.remove("resources[billing]");
        let spec = Spec::from_fields(Kind::OAuthClient, &fields).unwrap();
        let half = Desired { whole: false, spec, ..whole.clone() };
        let Refused::Adoption(note) = house.refused(&half).await else { panic!("not refused") };
        assert!(note.contains("once everything that the object refers to is there"), "{note}");
        assert_eq!(house.apply(&whole).await.change, ChangeKind::Adopted);
        assert_eq!(house.apply(&half).await.change, ChangeKind::Updated, "what is managed follows its object");
    }

    /// K8: what returns to the row that was kept for it loses nothing either, and is known by that row before it has it
    async fn nothing_returns_by_halves(house: House) {
        let (client, server) = (client("portal"), resource_server("billing", "https://billing.example.com"));
        let uid = server.owner.namespace_uid.as_str();
        house.apply(&client).await;
        let id = house.apply(&server).await.entity_id;
        let kept = async |uid: &str| house.provisioner.kept_id(&server.owner.key, uid).await.unwrap();
        assert_eq!(kept(uid).await, None, "it has it");
        for gone in [&client, &server] {
            house.provisioner.remove(&gone.owner.key, DeletionPolicy::Retain, &gone.owner.object_uid).await.unwrap();
        }
        assert_eq!(kept("a successor's").await, None);
        assert_eq!(kept(uid).await, Some(id.clone()));
        let mut fields = client.spec.fields();
        fields.remove("resources[billing]");
        let spec = Spec::from_fields(Kind::OAuthClient, &fields).unwrap();
        house.refused(&Desired { whole: false, spec, ..client.clone() }).await;
        assert_eq!(house.spec(Kind::OAuthClient, "portal").await.as_ref(), Some(&client.spec));
        assert_eq!(house.apply(&client).await.change, ChangeKind::Adopted);
        assert_eq!(house.apply(&server).await.entity_id, id);
        assert_eq!(kept(uid).await, None, "it has it again");
    }

    /// K5, K8: whatever secrets come with a row, each works on through the overlap
    async fn every_secret_of_an_adopted_client_lives_through_the_overlap(house: House) {
        let rotation = Rotation::default();
        let desired = Desired { trusted: true, secret: SecretSource::Generated(rotation), ..client("portal") };
        unowned(&house, "portal", &desired.spec).await;
        let mut tx = house.store.write(&Actor::recorded("test")).await.unwrap();
        tx.put_credential("portal", &credential("sec_second", CredentialState::Current)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(house.apply(&desired).await.change, ChangeKind::Adopted);
        let SecretStep::Write(text) = house.provisioner.settle_secret(&desired, "portal", Held::Absent).await.unwrap() else { panic!("nothing to write") };
        assert_eq!(credentials(&house, Kind::OAuthClient, "portal").await.len(), 3, "all three authenticate");
        let settled = house.provisioner.settle_secret(&desired, "portal", Held::Value(text)).await.unwrap();
        let SecretStep::Settled(state) = settled else { panic!("{settled:?}") };
        let mut retiring: Vec<&str> = state.retiring.iter().map(|credential| credential.id.as_str()).collect();
        retiring.sort_unstable();
        assert_eq!(retiring, ["sec_portal", "sec_second"]);
        assert!(state.retiring.iter().all(|credential| credential.retire_at == Some(rotation.retire_at(house.clock.at()))));
        house.clock.advance(rotation.overlap_seconds + 1);
        house.apply(&desired).await;
        assert_eq!(credentials(&house, Kind::OAuthClient, "portal").await.len(), 1);
    }

    /// K8: export → apply → Adopted, and nothing but the owner is another
    async fn what_is_exported_is_adopted_without_a_change(house: House) {
        let mut fields = resource_server("billing", "https://b.example.com/mcp").spec.fields();
        fields.insert("exchange".into(), json!({"mode": "Listed", "clients": ["portal"]}));
        fields.insert("connect".into(), json!({"allowedReturnURLs": []}));
        let server = Spec::from_fields(Kind::ResourceServer, &fields).unwrap();
        unowned(&house, "rs_1", &server).await;
        let mut fields = client("portal").spec.fields();
        fields.insert("tokens".into(), json!({"refreshLifetimeSeconds": 7200, "refreshIdleSeconds": 3600, "senderConstraint": "None"}));
        let portal = Spec::from_fields(Kind::OAuthClient, &fields).unwrap();
        unowned(&house, "portal", &portal).await;
        let policy = manifest::Policy { trusted: manifest::Trusted::All, ..manifest::Policy::default() };
        let wanted = Wanted { namespace: "web".into(), ..Wanted::default() };
        let exported = export(&house.provisioner.rows().await.unwrap(), &wanted, &policy);
        let text: String = exported.iter().map(|document| document.text()).collect();
        assert!(!text.contains("sec_") && !text.contains("cannot say") && !text.contains("not legal"), "{text}");
        let objects: Vec<manifest::Object> = yaml::read(&text)
            .into_iter()
            .map(|document| match document.unwrap() {
                Document::Object(object) => object,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(objects.len(), 2, "{text}");
        for object in &objects {
            let found = |key: &manifest::ObjectKey| (key.clone(), Resolved::Found("rs_1".to_owned()));
            let resource_servers = manifest::needs(object).resource_servers.keys().map(found).collect();
            let references = References { namespace_uid: "uid".into(), resource_servers, ..References::default() };
            let desired = manifest::desired(object, &references, &policy).unwrap();
            let (kind, id) = (desired.spec.kind(), if desired.spec.kind() == Kind::OAuthClient { "portal" } else { "rs_1" });
            let (before, secrets) = (house.spec(kind, id).await, credentials(&house, kind, id).await);
            let mut run = house.provisioner.dry_run().await.unwrap();
            let draft = run.attempt(&desired).await.unwrap();
            let planned = run.finish(draft).await.unwrap();
            assert_eq!((planned.action, planned.changes), (Action::Adopt, vec![]));
            let done = house.apply(&desired).await;
            assert_eq!((done.change, done.entity_id.as_str(), done.drift), (ChangeKind::Adopted, id, None));
            assert_eq!(reasons(&house.told().await), [Reason::Adopted]);
            assert_eq!((house.spec(kind, id).await, credentials(&house, kind, id).await), (before, secrets));
            assert_eq!(house.apply(&desired).await.change, ChangeKind::Unchanged);
            house.store.refresh().await.unwrap();
        }
        let again = export(&house.provisioner.rows().await.unwrap(), &wanted, &policy);
        assert_eq!(again.iter().map(|d| &d.owner).collect::<Vec<_>>(), exported.iter().map(|d| &d.owner).collect::<Vec<_>>());
        let unowned = Wanted { unowned: true, ..wanted };
        assert_eq!(export(&house.provisioner.rows().await.unwrap(), &unowned, &policy), vec![]);
    }
}
