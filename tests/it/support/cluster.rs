//! The real API server that `make test` starts: a client, the custom resource definitions, a namespace for each test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, ResourceExt};
use tokio::sync::OnceCell;

/// The path of the kubeconfig, for programs that read it themselves.
pub fn kubeconfig() -> String {
    std::env::var("HOLDFAST_TEST_KUBECONFIG").expect("HOLDFAST_TEST_KUBECONFIG is not set: run through `make test`")
}

/// A client of the test's own: its connections live and die with the test's runtime.
pub async fn client() -> Client {
    client_of(&kubeconfig()).await
}

/// A client by the kubeconfig at `path`.
pub async fn client_of(path: &str) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let file = Kubeconfig::read_from(path).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Installs `crds/*.yaml` by server-side apply, once per process, and waits until they are served.
pub async fn install_crds(client: &Client) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_init(|| apply_crds(client)).await;
}

/// Installs them in a cluster that only one test uses.
pub async fn apply_crds(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let crd: CustomResourceDefinition = serde_yaml::from_str(&text).unwrap();
        let name = crd.name_any();
        api.patch(&name, &PatchParams::apply("holdfast-tests").force(), &Patch::Apply(&crd)).await.unwrap();
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(30), established).await.unwrap().unwrap();
    }
}

/// A fresh namespace, never shared: tests do not see each other.
pub async fn namespace(client: &Client) -> String {
    labelled_namespace(client, &[]).await
}

/// A fresh namespace with labels.
pub async fn labelled_namespace(client: &Client, labels: &[(&str, &str)]) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut namespace = Namespace::default();
    let started = uuid::Uuid::new_v4().simple().to_string();
    namespace.metadata.name = Some(format!("t{number}-{}", &started[..10]));
    namespace.metadata.labels = Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
    let api: Api<Namespace> = Api::all(client.clone());
    api.create(&PostParams::default(), &namespace).await.unwrap().name_any()
}

/// A cluster of one test's own, for what would disturb all others; stopped when dropped.
pub struct Private {
    dir: tempfile::TempDir,
    pub kubeconfig: String,
}

/// Starts one, which takes 3 s and 420 MB.
pub fn private() -> Private {
    let dir = tempfile::tempdir().unwrap();
    let output = script().arg("up").arg(dir.path().join("cluster")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Private { dir, kubeconfig: String::from_utf8(output.stdout).unwrap().trim().to_owned() }
}

fn script() -> std::process::Command {
    std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/cluster"))
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = script().arg("down").arg(self.dir.path().join("cluster")).output();
    }
}
