//! Items of lists that another field manager put there: `Accepted` names them, and nothing else changes.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::harness::{Operator, World, condition, eventually, resource_server};
use crate::support::cluster;

const PLAIN: &str = "The spec is legal and permitted";

/// Applies as `manager`, which may be a part only.
async fn apply(world: &World, manager: &str, spec: Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "ResourceServer", "metadata": {"name": "mcp"}, "spec": spec,
    });
    let parameters = PatchParams::apply(manager).force();
    world.api("ResourceServer", world.namespace()).patch("mcp", &parameters, &Patch::Apply(object)).await.unwrap()
}

/// The real kubectl, so that field managers are called what they are called.
fn kubectl(world: &World, arguments: &[&str], input: &str) {
    let bin = std::env::var("HOLDFAST_TEST_BIN").expect("HOLDFAST_TEST_BIN is not set: run through `make test`");
    let mut child = Command::new(format!("{bin}/kubectl"))
        .args(["--kubeconfig", &cluster::kubeconfig(), "--namespace", world.namespace()])
        .args(arguments)
        .env("KUBE_EDITOR", "sed -i 's/name: invoices.write/name: everything/'")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "kubectl {arguments:?}");
}

/// Waits until `Accepted` of the present generation says this.
async fn until_said(world: &World, name: &str, message: &str) -> DynamicObject {
    eventually(&format!("{name}: {message}"), async || {
        let object = world.get("ResourceServer", name).await;
        let seen = object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation;
        (seen && condition(&object, "Accepted").message == message).then_some(object)
    })
    .await
}

fn status_writes(operator: &Operator) -> String {
    let metrics = operator.metrics.render().unwrap();
    let start = "holdfast_status_writes_total{kind=\"ResourceServer\"}";
    metrics.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
}

/// Also when an item changes hands without a new generation, and 0 writes at rest and after a restart.
#[tokio::test]
async fn an_item_of_another_manager_is_named_until_it_is_gone() {
    let world = World::new().await;
    let operator = world.operator().await;
    let spec = resource_server("https://strangers.example.com/mcp");
    apply(&world, "argocd", spec.clone()).await;
    world.ready("ResourceServer", "mcp").await;
    until_said(&world, "mcp", PLAIN).await;

    let wipe = json!({"name": "wipe", "access": "Scoped", "scopes": ["everything"]});
    let intrusion = json!({"scopes": [{"name": "everything", "risk": "High"}], "tools": [wipe]});
    apply(&world, "intruder", intrusion.clone()).await;
    let both = format!("{PLAIN}; items of other field managers: scopes[everything] (intruder), tools[wipe] (intruder)");
    let named = until_said(&world, "mcp", &both).await;
    let (accepted, ready) = (condition(&named, "Accepted"), condition(&named, "Ready"));
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("True", "Accepted"));
    assert_eq!((ready.status.as_str(), ready.message.as_str()), ("True", "In force as written"));
    // the author's next apply neither removes nor shows it
    let kept = apply(&world, "argocd", spec.clone()).await;
    assert_eq!(kept.metadata.generation, named.metadata.generation);

    tokio::time::sleep(Duration::from_secs(3)).await;
    let (versions, writes) = (world.versions().await, status_writes(&operator));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((world.versions().await, status_writes(&operator)), (versions.clone(), writes));
    operator.stop().await;
    let operator = world.operator().await;
    eventually("it to be looked at", async || {
        use holdfast::domain::StatusBoard;
        (operator.board.statuses().len() == 1).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.versions().await, versions);
    assert!(status_writes(&operator).ends_with(" 0"), "{}", status_writes(&operator));

    // the author takes it over, and gives it up again
    let mut whole = spec.clone();
    whole["scopes"].as_array_mut().unwrap().push(intrusion["scopes"][0].clone());
    whole["tools"] = intrusion["tools"].clone();
    apply(&world, "argocd", whole).await;
    let own = until_said(&world, "mcp", PLAIN).await;
    assert_eq!(own.metadata.generation, named.metadata.generation);
    apply(&world, "argocd", spec).await;
    let again = until_said(&world, "mcp", &both).await;
    assert_eq!(again.metadata.generation, named.metadata.generation);

    // who holds nothing any more has nothing there
    apply(&world, "intruder", json!({})).await;
    let gone = until_said(&world, "mcp", PLAIN).await;
    assert_eq!(gone.data["spec"]["scopes"].as_array().unwrap().len(), 2);
    assert!(gone.metadata.generation > named.metadata.generation);
    operator.stop().await;
}

/// Whoever writes the list whole hides nothing, under whatever name: only where it is applied is there another.
#[tokio::test]
async fn one_hand_is_no_news_and_a_second_is_where_somebody_applies() {
    let world = World::new().await;
    let operator = world.operator().await;
    let manifest = |name: &str| {
        let spec = resource_server(&format!("https://{name}.hands.example.com/mcp"));
        let metadata = json!({"name": name});
        json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "ResourceServer", "metadata": metadata, "spec": spec})
            .to_string()
    };
    kubectl(&world, &["create", "-f", "-"], &manifest("created"));
    kubectl(&world, &["apply", "-f", "-"], &manifest("applied"));
    kubectl(&world, &["apply", "--server-side", "-f", "-"], &manifest("server-side"));
    for name in ["created", "applied", "server-side"] {
        world.ready("ResourceServer", name).await;
        until_said(&world, name, PLAIN).await;
        kubectl(&world, &["edit", "resourceserver", name], "");
    }
    let edited = format!("{PLAIN}; items of other field managers: scopes[everything] (kubectl-edit)");
    for (name, message) in [("created", PLAIN), ("applied", PLAIN), ("server-side", &edited)] {
        let object = until_said(&world, name, message).await;
        assert_eq!(object.data["spec"]["scopes"][1]["name"], "everything", "{name}");
        assert_eq!(object.metadata.generation, Some(2), "{name}");
    }
    // who created it has still to do with what the author has dropped
    kubectl(&world, &["create", "-f", "-"], &manifest("taken-over"));
    let mut less = resource_server("https://taken-over.hands.example.com/mcp");
    less["scopes"] = json!([{"name": "invoices.read", "risk": "Low"}]);
    world.apply("ResourceServer", "taken-over", less).await;
    let left = format!("{PLAIN}; items of other field managers: scopes[invoices.write] (kubectl-create)");
    until_said(&world, "taken-over", &left).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_refused_object_names_them_too() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://refused.example.com/mcp");
    spec["allowedNamespaces"] = json!({"from": "Selector", "selector": {"matchLabels": {"not a key": "x"}}});
    apply(&world, "argocd", spec).await;
    let plain = world.until("ResourceServer", "mcp", "Accepted", "False", "InvalidSpec").await;
    let cause = condition(&plain, "Accepted").message;
    let patch = json!([{"op": "add", "path": "/spec/scopes/-", "value": {"name": "everything"}}]);
    kubectl(&world, &["patch", "resourceserver", "mcp", "--type", "json", "--patch", &patch.to_string()], "");
    let named = format!("{cause}; items of other field managers: scopes[everything] (kubectl-patch)");
    let object = until_said(&world, "mcp", &named).await;
    assert_eq!(condition(&object, "Accepted").status, "False");
    assert_eq!(condition(&object, "Ready").message, cause);
    operator.stop().await;
}
