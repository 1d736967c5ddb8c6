//! Rows that were there before any object: exported, applied by kubectl, adopted without a change.

use std::io::Write;
use std::process::{Command, Stdio};

use holdfast::app::system::SystemClock;
use holdfast::domain::{Actor, Clock, Credential, CredentialState, Kind, OwnerKey, SecretText, Spec};
use holdfast::manifest::export::{Row, Wanted, export};
use holdfast::manifest::{Policy, Trusted};
use holdfast::store::Offer;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::harness::{Operator, World, condition};
use crate::support::cluster;

fn server() -> Spec {
    let spec = json!({
        "resourceURI": "https://adopted.example.com/mcp", "displayName": "Billing", "lifecycle": "Live",
        "tokenSource": {"type": "Mint"},
        "scopes": [{"name": "invoices.read", "description": "Read: all", "risk": "High", "upstream": ""}],
        "tools": [{"name": "list", "access": "Scoped", "scopes": ["invoices.read"], "match": "All"}],
        "roles": [], "defaultRole": null, "roleBindings": [],
        "accessToken": {"format": "JWT", "signingAlgorithm": "EdDSA", "lifetimeSeconds": 600, "senderConstraint": "None"},
        "allowedNamespaces": {"from": "Same"}, "dynamicClients": "CIMD", "consent": "Required",
        "exchange": {"mode": "Listed", "clients": ["portal"]}, "runtimeClients": ["portal"], "runtimeServiceAccounts": [],
        "connect": {"allowedReturnURLs": []}, "fronting": [],
    });
    Spec::ResourceServer(serde_json::from_value(spec).unwrap())
}

fn client(resources: Value) -> Spec {
    let spec = json!({
        "displayName": "Portal", "state": "Active", "grantTypes": ["authorization_code", "client_credentials"],
        "redirectURIs": ["https://portal.example.com/cb"], "authenticationMethod": "ClientSecretBasic", "jwks": null,
        "jwksURI": null, "workloadIdentity": null, "agent": null, "resources": resources, "consent": "Required",
        "tokens": {"refreshLifetimeSeconds": 7200, "refreshIdleSeconds": 3600, "senderConstraint": "None"},
    });
    Spec::Client(serde_json::from_value(spec).unwrap())
}

async fn put(operator: &Operator, id: &str, spec: &Spec, secret: Option<&str>) {
    let mut tx = operator.store.write(&Actor::recorded("test")).await.unwrap();
    tx.put(id, spec, None, SystemClock.now()).await.unwrap();
    if let Some(secret) = secret {
        let (hash, state) = (SecretText::new(secret).hash(), CredentialState::Current);
        let (issued_at, id_of) = (Timestamp::from_second(1_780_000_000).unwrap(), format!("sec_{id}"));
        let credential = Credential { id: id_of, hash, state, issued_at, retire_at: None, last_used_at: None };
        tx.put_credential(id, &credential).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn exported(operator: &Operator, namespace: &str, only: Option<&str>) -> String {
    let mut tx = operator.store.read().await.unwrap();
    let mut rows: Vec<Row> = Vec::new();
    for kind in Kind::ALL {
        rows.extend(tx.entities(kind).await.unwrap().into_iter().map(|entity| (entity, None)));
    }
    let wanted = Wanted { namespace: namespace.to_owned(), id: only.map(str::to_owned), ..Wanted::default() };
    let policy = Policy { trusted: Trusted::All, ..Policy::default() };
    export(&rows, &wanted, &policy).iter().map(|document| document.text()).collect()
}

/// The real kubectl, with the text as it is exported.
fn apply(text: &str) {
    let bin = std::env::var("HOLDFAST_TEST_BIN").expect("HOLDFAST_TEST_BIN is not set: run through `make test`");
    let mut child = Command::new(format!("{bin}/kubectl"))
        .args(["--kubeconfig", &cluster::kubeconfig(), "apply", "--server-side", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
}

async fn row(operator: &Operator, kind: Kind, id: &str) -> (Spec, Vec<(String, CredentialState)>) {
    let entity = operator.store.read().await.unwrap().entity(kind, id).await.unwrap().unwrap();
    (entity.spec, entity.credentials.into_iter().map(|credential| (credential.id, credential.state)).collect())
}

/// K8: an export, applied, takes over what is there; a namespace that nobody trusts needs an offer
#[tokio::test]
async fn an_export_is_adopted_by_kubectl_apply() {
    let world = World::with(2).await;
    let operator = world.operator().await;
    let secret = "the secret that somebody has in use already";
    let attached = json!([{"name": "billing", "resourceServerID": "rs_1", "scopes": ["invoices.read"]}]);
    put(&operator, "rs_1", &server(), None).await;
    put(&operator, "portal", &client(attached.clone()), Some(secret)).await;
    apply(&exported(&operator, world.namespace(), None).await);
    let name = "adopted-example-com-mcp";
    let object = world.ready("ResourceServer", name).await;
    assert_eq!(object.data["status"]["resourceServerID"], "rs_1");
    let object = world.ready("OAuthClient", "portal").await;
    assert_eq!(
        (&object.data["status"]["clientID"], condition(&object, "Drifted").status.as_str()),
        (&json!("portal"), "False")
    );
    world.event(name, "Adopted").await;
    world.event("portal", "Adopted").await;
    for object in [name, "portal"] {
        let reasons: Vec<String> = world.events(object).await.into_iter().map(|(_, reason, ..)| reason).collect();
        let strange: Vec<_> = reasons
            .iter()
            .filter(|reason| {
                !["Adopted", "SecretRotated", "AdoptionRefused", "RefsResolved", "RefNotFound"]
                    .contains(&reason.as_str())
            })
            .collect();
        assert!(strange.is_empty(), "{object}: {reasons:?}");
    }
    assert_eq!(row(&operator, Kind::ResourceServer, "rs_1").await, (server(), vec![]));
    let (spec, secrets) = row(&operator, Kind::OAuthClient, "portal").await;
    assert_eq!(spec, client(attached), "no column is another");
    assert!(
        secrets.contains(&("sec_portal".to_owned(), CredentialState::Retiring)) && secrets.len() == 2,
        "{secrets:?}"
    );
    assert_ne!(world.secret("portal-oauth", "client_secret").await, secret);

    // a namespace that is not trusted
    let other = &world.namespaces[1];
    put(&operator, "second", &client(json!([])), None).await;
    apply(&exported(&operator, other, Some("second")).await);
    world.until_in(other, "OAuthClient", "second", ("Accepted", "False", "AdoptionRefused")).await;
    let owner = OwnerKey::new(Kind::OAuthClient, other, "second");
    let offer = Offer { owner, entity_id: "second".into(), by: Actor::recorded("test"), at: SystemClock.now() };
    let mut tx = operator.store.write(&Actor::recorded("test")).await.unwrap();
    tx.put_offer(&offer).await.unwrap();
    tx.commit().await.unwrap();
    world.until_in(other, "OAuthClient", "second", ("Ready", "True", "Ready")).await;
    assert_eq!(row(&operator, Kind::OAuthClient, "second").await.0, client(json!([])));
    assert_eq!(operator.store.read().await.unwrap().offers().await.unwrap(), []);
    operator.stop().await;
}
