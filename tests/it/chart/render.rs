//! What the chart renders.
use holdfast::config::{self, Environment, MasterKeyPlace, Settings};
use serde_json::json;
use serde_yaml::Value;

use super::{POSTGRESQL, chart, kind, only, read, rendered, root, template};

fn pod(objects: &[Value]) -> &Value {
    &only(objects, "Deployment")["spec"]["template"]["spec"]
}

fn configuration(objects: &[Value]) -> Value {
    serde_yaml::from_str(only(objects, "ConfigMap")["data"]["holdfast.yaml"].as_str().unwrap()).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// K10
#[test]
fn sqlite_runs_one_pod_at_a_time_on_a_claim_that_stays() {
    let objects = rendered(&[]);
    let deployment = only(&objects, "Deployment");
    assert_eq!(deployment["spec"]["strategy"], yaml("{type: Recreate}"));
    assert_eq!(deployment["spec"]["replicas"], 1);
    let claim = only(&objects, "PersistentVolumeClaim");
    assert_eq!(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let volume = yaml("{name: data, persistentVolumeClaim: {claimName: holdfast-data}}");
    assert!(pod(&objects)["volumes"].as_sequence().unwrap().contains(&volume));
    assert_eq!(configuration(&objects)["database"]["url"], "sqlite:///var/lib/holdfast/holdfast.db");
    assert!(kind(&objects, "PodDisruptionBudget").is_empty());
}

/// K10
#[test]
fn postgresql_rolls_many_pods_whose_url_is_never_in_the_chart() {
    let objects = rendered(POSTGRESQL);
    let deployment = only(&objects, "Deployment");
    assert_eq!(deployment["spec"]["strategy"]["type"], "RollingUpdate");
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert_eq!(deployment["spec"]["replicas"], 3);
    let url = yaml("{name: HOLDFAST_DATABASE__URL, valueFrom: {secretKeyRef: {name: database, key: url}}}");
    assert!(pod(&objects)["containers"][0]["env"].as_sequence().unwrap().contains(&url));
    assert!(configuration(&objects)["database"].get("url").is_none());
    assert!(kind(&objects, "PersistentVolumeClaim").is_empty());
    assert_eq!(only(&objects, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
}

/// K10
#[test]
fn a_pod_drains_longer_than_it_is_told_to_and_takes_no_service_variables() {
    let objects = rendered(&["server.shutdownWaitSeconds=45"]);
    assert_eq!(configuration(&objects)["server"]["shutdown_wait"], "45s");
    assert_eq!(pod(&objects)["terminationGracePeriodSeconds"], 65);
    assert_eq!(pod(&objects)["enableServiceLinks"], false);
}

/// K10
#[test]
fn a_start_may_wait_for_the_database_before_a_probe_ends_it() {
    let objects = rendered(&["database.waitSeconds=600"]);
    let probe = &pod(&objects)["containers"][0]["startupProbe"];
    let patience = probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
    assert!(patience > 600, "{patience}");
    assert_eq!(probe["httpGet"], yaml("{path: /livez, port: admin}"));
    assert_eq!(pod(&objects)["containers"][0]["readinessProbe"]["httpGet"], yaml("{path: /ready, port: admin}"));
}

/// K10
#[test]
fn a_changed_configuration_restarts_the_pod_and_nothing_else_does() {
    let checksum = |settings: &[&str]| {
        only(&rendered(settings), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            .clone()
    };
    assert_ne!(checksum(&[]), checksum(&["logging.level=debug"]));
    assert_eq!(checksum(&[]), checksum(&["prometheusRule.enabled=true"]));
}

/// K10
#[test]
fn other_sections_of_the_configuration_pass_through_beside_what_the_chart_decides() {
    let objects = rendered(&["config.tokens.max_waiting=512", "operator.namespaces={billing}", "installation=blue"]);
    let configuration = configuration(&objects);
    assert_eq!(configuration["tokens"]["max_waiting"], 512);
    assert_eq!(configuration["installation"], "blue");
    assert_eq!(configuration["issuer"], "https://auth.example.com");
    assert_eq!(configuration["keys"]["master_key_secret"], "holdfast-master-key");
    assert_eq!(configuration["server"]["metrics"]["listen"], "0.0.0.0:9002");
    let operator = yaml(
        "{enabled: true, namespace: auth, namespaces: [billing], trusted_namespaces: [auth], lease_name: holdfast, drift: {mode: Enforce, scan_interval: 300s}, brake: {per_namespace: 10, overall: 50, confirm: null}, resource_hosts: {}}",
    );
    assert_eq!(configuration["operator"], operator);
}

/// K10: what users set of the authorization server reaches the program.
#[test]
fn every_section_is_set_by_values() {
    let settings = loaded(&[
        "config.dpop.nonce=required",
        "config.device.poll_interval=10s",
        "config.exchange.max_depth=2",
        "config.par.required=true",
        "config.dcr.mode=admin_only",
        "config.cimd.other_domains=deny",
        "config.login.min_password_length=16",
        "config.sessions.idle_timeout=1h",
        "config.keys.rotation.period=240h",
        "config.keys.store=vault",
        "config.keys.vault.address=https://vault.vault:8200",
        "config.keys.vault.kubernetes.role=holdfast",
        "config.rate_limits.login_per_minute=30",
        "config.tokens.refresh_grace=10s",
        "server.trustedProxies={10.0.0.0/8}",
        "metrics.populationIntervalSeconds=60",
        "operator.brake.perNamespace=3",
        "operator.brake.confirm=brake-1",
        "operator.drift.scanIntervalSeconds=60",
        r"operator.resourceHosts.mcp\.example\.com=billing",
    ]);
    let configuration = serde_json::to_value(&settings.config).unwrap();
    for (place, value) in [
        ("/dpop/nonce", json!("required")),
        ("/operator/brake", json!({"per_namespace": 3, "overall": 50, "confirm": "brake-1"})),
        ("/operator/drift/scan_interval", json!("1m")),
        ("/operator/resource_hosts", json!({"mcp.example.com": "billing"})),
        ("/device/poll_interval", json!("10s")),
        ("/exchange/max_depth", json!(2)),
        ("/par/required", json!(true)),
        ("/dcr/mode", json!("admin_only")),
        ("/cimd/other_domains", json!("deny")),
        ("/login/min_password_length", json!(16)),
        ("/sessions/idle_timeout", json!("1h")),
        ("/keys/rotation/period", json!("240h")),
        ("/keys/store", json!("vault")),
        ("/keys/vault/kubernetes/role", json!("holdfast")),
        ("/rate_limits/login_per_minute", json!(30)),
        ("/tokens/refresh_grace", json!("10s")),
        ("/server/trusted_proxies", json!(["10.0.0.0/8"])),
        ("/metrics/population_interval", json!("1m")),
    ] {
        assert_eq!(configuration.pointer(place), Some(&value), "{place}");
    }
}

/// K10, S15: keys in files come from a volume of the user's.
#[test]
fn files_of_the_users_are_in_the_pod() {
    let objects = rendered(&[
        "config.keys.store=file",
        "config.keys.file.folder=/keys",
        "extraVolumes[0].name=keys",
        "extraVolumes[0].secret.secretName=signing-keys",
        "extraVolumeMounts[0].name=keys",
        "extraVolumeMounts[0].mountPath=/keys",
    ]);
    let volumes = pod(&objects)["volumes"].as_sequence().unwrap();
    assert!(volumes.contains(&yaml("{name: keys, secret: {secretName: signing-keys}}")));
    let mounts = pod(&objects)["containers"][0]["volumeMounts"].as_sequence().unwrap();
    assert!(mounts.contains(&yaml("{name: keys, mountPath: /keys}")));
    assert_eq!(configuration(&objects)["keys"]["file"]["folder"], "/keys");
}

/// The configuration as the program in the pod reads it, with the variables that the pod gives it.
fn loaded(settings: &[&str]) -> Settings {
    let objects = rendered(settings);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), only(&objects, "ConfigMap")["data"]["holdfast.yaml"].as_str().unwrap()).unwrap();
    let variables = pod(&objects)["containers"][0]["env"].as_sequence().unwrap().clone();
    let value =
        |variable: &Value| variable["value"].as_str().unwrap_or("postgres://holdfast@database/holdfast").to_owned();
    let given = variables.iter().map(|variable| (variable["name"].as_str().unwrap().to_owned(), value(variable)));
    let environment: Environment =
        given.chain([("KUBERNETES_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned())]).collect();
    config::load(Some(file.path()), &environment).unwrap_or_else(|error| panic!("{error:?}"))
}

/// K10
#[test]
fn the_program_accepts_the_configuration_and_finds_in_it_what_the_values_say() {
    let settings = loaded(&["config.rate_limits.failed_authentications_per_minute=7", "logging.format=text"]);
    assert_eq!(settings.issuer, "https://auth.example.com");
    assert_eq!(settings.database_url.expose(), "sqlite:///var/lib/holdfast/holdfast.db");
    assert_eq!(settings.master_key, MasterKeyPlace::Secret("holdfast-master-key".to_owned()));
    assert_eq!(settings.config.rate_limits.failed_authentications_per_minute, 7);
    assert!(settings.config.operator.enabled && settings.config.server.is_exposed());
    let settings = loaded(&[POSTGRESQL, &["metrics.enabled=false", "server.bindAddress=[::]"]].concat());
    assert_eq!(settings.database_url.expose(), "postgres://holdfast@database/holdfast");
    assert_eq!(settings.config.server.public.listen.to_string(), "[::]:9000");
    assert!(settings.config.server.metrics.listen.is_none() && !settings.config.metrics.enabled);
}

/// K10
#[test]
fn nothing_secret_and_nothing_random_is_rendered() {
    let settings: [&[&str]; 2] = [&[], POSTGRESQL];
    for settings in settings {
        assert!(kind(&rendered(settings), "Secret").is_empty());
        assert_eq!(template("auth", settings).unwrap(), template("auth", settings).unwrap());
    }
}

/// K10: a null or an empty value shows as a difference in GitOps for ever.
#[test]
fn nothing_null_is_rendered() {
    fn walk(path: &str, value: &Value) {
        match value {
            Value::Null => panic!("{path} is null"),
            Value::Mapping(map) => map.iter().for_each(|(key, inner)| walk(&format!("{path}.{key:?}"), inner)),
            Value::Sequence(list) => list.iter().for_each(|inner| walk(path, inner)),
            _ => {}
        }
    }
    let toggles = ["serviceMonitor.enabled=true", "prometheusRule.enabled=true"];
    for settings in [&toggles[..], &[&toggles[..], POSTGRESQL].concat()] {
        for object in rendered(settings) {
            walk(object["kind"].as_str().unwrap(), &object);
        }
    }
}

/// K10
#[test]
fn the_network_policy_opens_the_public_port_to_all_metrics_to_prometheus_and_admin_to_nobody() {
    let expected = "
      - {ports: [{port: public}]}
      - {ports: [{port: metrics}], from: [{podSelector: {matchLabels: {app.kubernetes.io/name: prometheus}}}]}";
    assert_eq!(only(&rendered(&[]), "NetworkPolicy")["spec"]["ingress"], yaml(expected));
    let open = [
        "networkPolicy.admin.from[0].podSelector.matchLabels.app=console",
        "networkPolicy.metrics.namespaceSelector.matchLabels.team=sre",
    ];
    let expected = "
      - {ports: [{port: public}]}
      - {ports: [{port: admin}], from: [{podSelector: {matchLabels: {app: console}}}]}
      - {ports: [{port: metrics}], from: [{podSelector: {matchLabels: {app.kubernetes.io/name: prometheus}}, namespaceSelector: {matchLabels: {team: sre}}}]}";
    assert_eq!(only(&rendered(&open), "NetworkPolicy")["spec"]["ingress"], yaml(expected));
    assert!(kind(&rendered(&["networkPolicy.enabled=false"]), "NetworkPolicy").is_empty());
}

/// K10
#[test]
fn the_service_monitor_selects_the_metrics_service_alone() {
    let objects = rendered(&["serviceMonitor.enabled=true", "serviceMonitor.labels.release=prometheus"]);
    let monitor = only(&objects, "ServiceMonitor");
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_mapping().unwrap();
    let selects =
        |service: &&&Value| wanted.iter().all(|(key, value)| service["metadata"]["labels"].get(key) == Some(value));
    let services = kind(&objects, "Service");
    let selected: Vec<_> = services.iter().filter(selects).collect();
    assert_eq!(selected.len(), 1);
    assert_eq!(selected[0]["spec"]["ports"][0], yaml("{name: metrics, port: 9002, targetPort: metrics}"));
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], "metrics");
    assert!(kind(&rendered(&[]), "ServiceMonitor").is_empty());
}

/// K10
#[test]
fn the_image_has_the_charts_version_unless_told_otherwise() {
    let version = yaml(&read(chart().join("Chart.yaml")))["appVersion"].as_str().unwrap().to_owned();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let image = |settings: &[&str]| pod(&rendered(settings))["containers"][0]["image"].as_str().unwrap().to_owned();
    assert_eq!(image(&[]), format!("holdfast:{version}"));
    assert_eq!(image(&["image.repository=localhost/holdfast", "image.tag=test"]), "localhost/holdfast:test");
}

/// Helm reads every number as a float and writes 60.0 as 60.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().unwrap().into(),
        Value::Sequence(list) => Value::Sequence(list.iter().map(plain).collect()),
        Value::Mapping(map) => Value::Mapping(map.iter().map(|(key, inner)| (key.clone(), plain(inner))).collect()),
        other => other.clone(),
    }
}

/// K10: helm cannot read outside the chart's folder.
#[test]
fn the_charts_definitions_are_the_generated_ones_and_stay_when_the_release_goes() {
    let files = |folder: &str| {
        let mut files: Vec<_> =
            std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (path.file_name().unwrap().to_owned(), read(path))).collect::<Vec<_>>()
    };
    let generated = files("crds");
    assert_eq!(generated.len(), 3);
    assert_eq!(files("charts/holdfast/files/crds"), generated, "run charts/sync-crds");
    let objects = rendered(&[]);
    let definitions = kind(&objects, "CustomResourceDefinition");
    assert_eq!(definitions.len(), 3);
    for (definition, (_, text)) in definitions.into_iter().zip(generated) {
        assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        assert!(
            plain(&definition["spec"]) == plain(&yaml(&text)["spec"]),
            "{:?} differs",
            definition["metadata"]["name"]
        );
    }
    assert!(kind(&rendered(&["crds.install=false"]), "CustomResourceDefinition").is_empty());
}
