//! The chart on a real API server, in a namespace of each test's own.
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rstest::rstest;
use serde_yaml::Value;

use super::{ISSUER, POSTGRESQL, chart, documents, only, read, run, template, tool};
use crate::support::cluster::kubeconfig;

fn on_cluster(name: &str) -> Command {
    let mut command = tool(name);
    command.env("KUBECONFIG", kubeconfig());
    command
}

fn kubectl(arguments: &[&str]) -> Result<String, String> {
    run(on_cluster("kubectl").args(arguments))
}

/// kubectl with something on its standard input; says also what it warned of.
fn piped(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut kubectl = on_cluster("kubectl");
    kubectl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = kubectl.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn apply(arguments: &[&str], yaml: &str) -> Result<String, String> {
    piped(&[&["apply", "--server-side", "--force-conflicts", "-f", "-"], arguments].concat(), yaml)
}

/// Where pods that are not restricted are refused.
fn namespace() -> String {
    let name = format!("chart-{}", uuid::Uuid::new_v4().simple());
    kubectl(&["create", "namespace", &name]).unwrap();
    kubectl(&["label", "namespace", &name, "pod-security.kubernetes.io/enforce=restricted"]).unwrap();
    name
}

fn helm(namespace: &str, arguments: &[&str]) -> Result<String, String> {
    run(on_cluster("helm").args(arguments).args(["--namespace", namespace]))
}

/// Without the definitions: other tests share them.
fn install(namespace: &str, settings: &[&str]) -> String {
    let chart = chart();
    let mut arguments =
        vec!["install", "holdfast", chart.to_str().unwrap(), "--set", ISSUER, "--set", "crds.install=false"];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    helm(namespace, &arguments).unwrap()
}

/// K10
#[rstest]
#[case::sqlite(&[])]
#[case::postgresql(POSTGRESQL)]
#[case::some_namespaces(&["operator.namespaces={default,kube-public}"])]
#[case::everything_open(&["networkPolicy.admin.from[0].namespaceSelector.matchLabels.a=b", "database.sqlite.persistence.enabled=false"])]
fn a_real_api_server_accepts_every_object_strictly(#[case] settings: &[&str]) {
    let namespace = namespace();
    let accepted = apply(&["--dry-run=server", "--validate=strict"], &template(&namespace, settings).unwrap()).unwrap();
    assert!(!accepted.contains("Warning"), "{accepted}");
}

/// K10
#[rstest]
#[case::sqlite(&[])]
#[case::postgresql(POSTGRESQL)]
fn a_namespace_for_restricted_pods_admits_the_pod(#[case] settings: &[&str]) {
    let namespace = namespace();
    install(&namespace, settings);
    let template =
        &only(&documents(&template(&namespace, settings).unwrap()), "Deployment")["spec"]["template"].clone();
    let mut pod: Value = serde_yaml::from_str("{apiVersion: v1, kind: Pod, metadata: {name: pod}}").unwrap();
    pod["metadata"]["namespace"] = namespace.into();
    pod["spec"] = template["spec"].clone();
    apply(&["--dry-run=server"], &serde_yaml::to_string(&pod).unwrap()).unwrap();
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    let refusal = apply(&["--dry-run=server"], &serde_yaml::to_string(&pod).unwrap()).unwrap_err();
    assert!(refusal.contains("violates PodSecurity"), "{refusal}");
}

/// Asks the API server's authorizer for the operator's ServiceAccount; a right is "verb group/resource[/subresource]",
/// with a name and a namespace where it has them: "update coordination.k8s.io/leases holdfast @OWN".
struct Rights {
    namespace: String,
}

impl Rights {
    fn review(&self, right: &str) -> serde_json::Value {
        let right = right.replace("OWN", &self.namespace);
        let words: Vec<_> = right.split(' ').collect();
        let mut path = words[1].split('/');
        let attributes = serde_json::json!({
            "verb": words[0],
            "group": path.next(),
            "resource": path.next(),
            "subresource": path.next(),
            "name": words[2..].iter().find(|word| !word.starts_with('@')),
            "namespace": words[2..].iter().find_map(|word| word.strip_prefix('@')),
        });
        serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": format!("system:serviceaccount:{}:holdfast", self.namespace), "resourceAttributes": attributes},
        })
    }

    fn are(&self, granted: &[&str], refused: &[&str]) {
        let reviews: Vec<_> = granted.iter().chain(refused).map(|right| self.review(right).to_string()).collect();
        let answers =
            piped(&["create", "-f", "-", "-o", "jsonpath={.status.allowed}{'\\n'}"], &reviews.join("\n")).unwrap();
        let allowed: Vec<_> = answers.lines().map(|line| line == "true").collect();
        assert_eq!(allowed.len(), granted.len() + refused.len(), "{answers}");
        let missing: Vec<_> = granted.iter().zip(&allowed).filter(|(_, allowed)| !**allowed).collect();
        let extra: Vec<_> = refused.iter().zip(&allowed[granted.len()..]).filter(|(_, allowed)| **allowed).collect();
        assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, too much {extra:?}");
    }
}

const EVERYWHERE_GRANTED: &[&str] = &[
    "get apiextensions.k8s.io/customresourcedefinitions oauthclients.holdfast.dev",
    "get /namespaces kube-system",
    "create coordination.k8s.io/leases @OWN",
    "get coordination.k8s.io/leases holdfast @OWN",
    "update coordination.k8s.io/leases holdfast @OWN",
    "create authentication.k8s.io/tokenreviews",
    "create /secrets @OWN",
    "get /secrets holdfast-master-key @OWN",
    "create events.k8s.io/events @OWN",
    "get events.k8s.io/events @OWN",
];
const EVERYWHERE_REFUSED: &[&str] = &[
    "list apiextensions.k8s.io/customresourcedefinitions",
    "get apiextensions.k8s.io/customresourcedefinitions widgets.example.com",
    "patch apiextensions.k8s.io/customresourcedefinitions oauthclients.holdfast.dev",
    "update coordination.k8s.io/leases another @OWN",
    "update coordination.k8s.io/leases holdfast @kube-system",
    "delete coordination.k8s.io/leases holdfast @OWN",
    "patch coordination.k8s.io/leases holdfast @OWN",
    "list coordination.k8s.io/leases @OWN",
    "create authorization.k8s.io/subjectaccessreviews",
    "delete /secrets @default",
    "update /secrets @default",
    "delete /secrets holdfast-master-key @OWN",
    "create holdfast.dev/oauthclients @default",
    "update holdfast.dev/oauthclients @default",
    "delete holdfast.dev/oauthclients @default",
    "create /namespaces",
    "patch /namespaces default",
    "create /pods @OWN",
    "create /pods/exec @OWN",
    "get /configmaps @OWN",
    "impersonate /users",
    "escalate rbac.authorization.k8s.io/clusterroles",
    "create /serviceaccounts/token @OWN",
];
const WATCHED: &[&str] = &[
    "get holdfast.dev/oauthclients",
    "list holdfast.dev/oauthclients",
    "watch holdfast.dev/resourceservers",
    "patch holdfast.dev/oauthproviders",
    "patch holdfast.dev/oauthclients/status",
    "get /secrets",
    "list /secrets",
    "watch /secrets",
    "create /secrets",
    "patch /secrets",
    "create events.k8s.io/events",
];

/// K10
#[test]
fn the_operator_may_do_what_it_needs_everywhere_and_nothing_else() {
    let namespace = namespace();
    install(&namespace, &[]);
    let rights = Rights { namespace };
    rights.are(EVERYWHERE_GRANTED, EVERYWHERE_REFUSED);
    rights.are(WATCHED, &[]);
    rights.are(&["get /namespaces", "list /namespaces", "watch /namespaces"], &[]);
}

/// K10
#[test]
fn an_operator_of_some_namespaces_has_no_rights_in_others() {
    let (namespace, watched) = (namespace(), namespace());
    install(&namespace, &[&format!("operator.namespaces={{{watched}}}")]);
    let rights = Rights { namespace: namespace.clone() };
    rights.are(EVERYWHERE_GRANTED, EVERYWHERE_REFUSED);
    let at = |namespace: &str| -> Vec<String> { WATCHED.iter().map(|right| format!("{right} @{namespace}")).collect() };
    rights.are(&borrowed(&at(&watched)), &borrowed(&at("default")));
    rights.are(&[], WATCHED);
    rights.are(&[], &["get /secrets another @OWN", "list /secrets @OWN", "patch /secrets @OWN", "list /namespaces"]);
    let user = format!("--as=system:serviceaccount:{namespace}:holdfast");
    kubectl(&["get", "namespace", &watched, &user]).unwrap();
    assert!(kubectl(&["get", "namespace", "default", &user]).is_err());
}

fn borrowed(rights: &[String]) -> Vec<&str> {
    rights.iter().map(String::as_str).collect()
}

/// K10
#[test]
fn a_release_tells_how_to_go_on_and_leaves_the_data_when_it_goes() {
    let namespace = namespace();
    let notes = install(&namespace, &[]);
    for told in ["/oauth/token", "apikey create", "holdfast-master-key", "\"finalizers\":null", "holdfast-data"] {
        assert!(notes.contains(told), "{told}: {notes}");
    }
    helm(&namespace, &["uninstall", "holdfast"]).unwrap();
    kubectl(&["get", "persistentvolumeclaim", "holdfast-data", "-n", &namespace]).unwrap();
    assert!(kubectl(&["get", "deployment", "holdfast", "-n", &namespace]).is_err());
    let again = install(&namespace, &[]);
    assert!(again.contains("STATUS: deployed"), "{again}");
}

/// A copy of the chart whose definitions have a group and names of their own, because every test shares the real ones.
struct Copy {
    folder: tempfile::TempDir,
    group: String,
}

const RENAMED: &[(&str, &str)] = &[
    ("oauthclient", "copiedclient"),
    ("oauthprovider", "copiedprovider"),
    ("resourceserver", "copiedserver"),
    ("    - oac\n", "    - copiedoac\n"),
    ("    - oap\n", "    - copiedoap\n"),
    ("    - rsrv\n", "    - copiedrsrv\n"),
    ("    - holdfast\n", "    - copied\n"),
];

impl Copy {
    fn new(namespace: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("cp").arg("-R").arg(chart()).arg(folder.path().join("holdfast"))).unwrap();
        let copy = Self { folder, group: format!("{namespace}.example.com") };
        let definitions = std::fs::read_dir(copy.path("files/crds")).unwrap().map(|entry| entry.unwrap().path());
        for file in definitions.chain([copy.path("templates/admissionpolicy.yaml")]) {
            RENAMED.iter().for_each(|(from, to)| copy.edit(&file, from, to));
            copy.edit(&file, "holdfast.dev", &copy.group);
        }
        copy
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("holdfast").join(inside)
    }

    fn edit(&self, file: &Path, from: &str, to: &str) {
        std::fs::write(file, read(file).replace(from, to)).unwrap();
    }

    fn delete_definitions(&self) {
        for plural in ["copiedclients", "copiedproviders", "copiedservers"] {
            kubectl(&["delete", "customresourcedefinition", &format!("{plural}.{}", self.group), "--wait=false"])
                .unwrap();
        }
    }

    fn helm(&self, verb: &str, namespace: &str, settings: &[&str]) {
        let chart = self.path("");
        let mut arguments = vec![verb, "holdfast", chart.to_str().unwrap(), "--set", ISSUER];
        settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
        helm(namespace, &arguments).unwrap();
    }
}

/// K10: helm's own crds/ folder is never upgraded.
#[test]
fn definitions_are_upgraded_with_the_release_and_stay_when_it_goes() {
    let namespace = namespace();
    let copy = Copy::new(&namespace);
    copy.helm("install", &namespace, &[]);
    let name = format!("copiedclients.{}", copy.group);
    let short = ["get", "customresourcedefinition", &name, "-o", "jsonpath={.spec.names.shortNames}"];
    assert_eq!(kubectl(&short).unwrap(), r#"["copiedoac"]"#);
    assert!(release_size(&namespace) < 512 * 1024, "helm keeps a release in one Secret, which ends at 1 MiB");

    let definition = copy.path("files/crds/holdfast.dev_oauthclients.yaml");
    copy.edit(&definition, "    - copiedoac\n", "    - copiedoac\n    - copiedclnt\n");
    copy.helm("upgrade", &namespace, &[]);
    assert_eq!(kubectl(&short).unwrap(), r#"["copiedoac","copiedclnt"]"#);

    helm(&namespace, &["uninstall", "holdfast"]).unwrap();
    assert_eq!(kubectl(&short).unwrap(), r#"["copiedoac","copiedclnt"]"#);
    copy.delete_definitions();
}

fn release_size(namespace: &str) -> usize {
    let secret = ["get", "secret", "sh.helm.release.v1.holdfast.v1", "-n", namespace, "-o", "jsonpath={.data.release}"];
    kubectl(&secret).unwrap().len()
}

const IMPLICIT: &str = "
kind: OAuthClient
metadata: {name: implicit}
spec: {grantTypes: [client_credentials], consent: Implicit, authentication: {method: ClientSecretBasic, secret: {name: implicit}}}";
const FORCED: &str = "
kind: OAuthClient
metadata: {name: forced}
spec: {grantTypes: [client_credentials], adoptionPolicy: Force, authentication: {method: ClientSecretBasic, secret: {name: forced}}}";
const LOGIN: &str = "
kind: Provider
metadata: {name: login}
spec: {type: OIDC, purposes: [Login], oidc: {issuerURL: https://idp.example.com}, clientID: a, clientSecretRef: {name: idp, key: secret}}";
const ANY: &str = "
kind: ResourceServer
metadata: {name: any}
spec: {resourceURI: https://any.example.com, exchange: {mode: Any}}";
const PLAIN: &str = "
kind: OAuthClient
metadata: {name: plain}
spec: {grantTypes: [client_credentials], authentication: {method: ClientSecretBasic, secret: {name: plain}}}";

/// K10
#[test]
fn the_admission_policy_keeps_power_over_the_installation_in_trusted_namespaces() {
    let (trusted, other) = (namespace(), namespace());
    let copy = Copy::new(&trusted);
    copy.helm("install", &trusted, &[]);
    let send = |verb: &str, namespace: &str, object: &str| {
        piped(&[verb, "-n", namespace, "-f", "-"], &format!("apiVersion: {}/v1alpha1{object}", copy.group))
    };
    send("create", &other, ANY).unwrap();
    copy.helm("upgrade", &trusted, &["admissionPolicy.enabled=true"]);
    let refused =
        |object: &str, message: &str| send("create", &other, object).is_err_and(|answer| answer.contains(message));
    // The API server takes a moment to notice a policy; until then it accepts.
    let noticed = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let noticed = refused(LOGIN, "spec.purposes: Login");
        let _ = noticed || send("delete", &other, LOGIN).is_ok();
        noticed
    });
    assert!(noticed);
    assert!(refused(IMPLICIT, "spec.consent: Implicit"));
    assert!(refused(FORCED, "spec.adoptionPolicy: Force"));
    send("create", &other, PLAIN).unwrap();
    send("replace", &other, &ANY.replace("{name: any}", "{name: any, finalizers: [example.com/a]}")).unwrap();
    send("replace", &other, &ANY.replace("{name: any}", "{name: any, finalizers: []}")).unwrap();
    let changed = send("replace", &other, &ANY.replace("{mode: Any}", "{mode: Any}, displayName: any"));
    assert!(changed.unwrap_err().contains("spec.exchange.mode: Any"));
    [IMPLICIT, FORCED, LOGIN, ANY].iter().for_each(|object| _ = send("create", &trusted, object).unwrap());
    helm(&trusted, &["uninstall", "holdfast"]).unwrap();
    copy.delete_definitions();
}
