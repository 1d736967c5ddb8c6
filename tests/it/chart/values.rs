//! What the values may say, and what refuses them.
use std::collections::BTreeSet;

use holdfast::config::Config;
use rstest::rstest;
use serde_json::Value;

use super::{chart, read, run, template, tool};

/// K10
#[rstest]
#[case::unknown(&["replica=1"], "additional properties 'replica' not allowed")]
#[case::unknown_inside(&["database.sqlite.path=/x"], "additional properties 'path' not allowed")]
#[case::unknown_alert(&["prometheusRule.alerts.Nonsense.enabled=true"], "additional properties 'Nonsense' not allowed")]
#[case::sqlite_has_one_writer(&["replicas=2"], "at '/replicas': maximum: got 2, want 1")]
#[case::postgresql_needs_its_url(&["database.type=postgresql"], "at '/database/postgresql/existingSecret'")]
#[case::another_database(&["database.type=mysql"], "at '/database/type'")]
#[case::latest(&["image.tag=latest"], "at '/image/tag'")]
#[case::issuer_that_is_no_url(&["issuer=auth.example.com"], "at '/issuer'")]
#[case::issuer_with_a_query(&["issuer=https://auth.example.com?x=1"], "at '/issuer'")]
#[case::issuer_without_encryption(&["issuer=http://auth.example.com"], "at '/issuer'")]
#[case::issuer_that_looks_local(&["issuer=http://localhost.example.com"], "at '/issuer'")]
#[case::no_issuer(&["issuer="], "issuer is required")]
#[case::issuer_with_a_slash_at_its_end(&["issuer=https://auth.example.com/"], "at '/issuer'")]
#[case::what_the_chart_decides(&["config.keys.master_key_file=/x"], "at '/config/keys': additional properties 'master_key_file' not allowed")]
#[case::unknown_in_a_section(&["config.dpop.nonces=required"], "at '/config/dpop': additional properties 'nonces' not allowed")]
#[case::member_of_a_section(&["config.dcr.mode=closed"], "at '/config/dcr/mode'")]
#[case::drift_mode(&["operator.drift.mode=enforce"], "at '/operator/drift/mode'")]
#[case::namespace(&["operator.namespaces={Billing}"], "at '/operator/namespaces/0'")]
#[case::duration(&["prometheusRule.alerts.NoLeader.critical.for=soon"], "/prometheusRule/alerts/NoLeader/critical/for")]
#[case::monitor_without_metrics(&["metrics.enabled=false", "serviceMonitor.enabled=true"], "serviceMonitor.enabled needs metrics.enabled")]
#[case::account_without_a_name(&["serviceAccount.create=false"], "serviceAccount.name is required")]
fn a_wrong_value_is_refused_by_name(#[case] settings: &[&str], #[case] message: &str) {
    let refusal = template("auth", settings).unwrap_err();
    assert!(refusal.contains(message), "{refusal}");
}

/// K10
#[test]
fn every_object_of_the_schema_refuses_unknown_keys() {
    fn walk(path: &str, schema: &Value) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        assert_eq!(schema["additionalProperties"], false, "{path}");
        properties.iter().for_each(|(name, inner)| walk(&format!("{path}/{name}"), inner));
    }
    let schema: Value = serde_json::from_str(&read(chart().join("values.schema.json"))).unwrap();
    walk("", &schema);
    walk("/alertLevel", &schema["definitions"]["alertLevel"]);
}

/// K10: every key of a section that is the user's, as the program has it, and none that it has not.
#[test]
fn the_sections_of_the_configuration_have_their_keys_in_the_schema() {
    fn compare(path: &str, schema: &Value, configuration: &Value) {
        let (Some(properties), Some(keys)) = (schema["properties"].as_object(), configuration.as_object()) else {
            return;
        };
        let chart_s = |key: &&String| path == "/keys" && key.starts_with("master_key_");
        let keys: BTreeSet<&String> = keys.keys().filter(|key| !chart_s(key)).collect();
        assert_eq!(properties.keys().collect::<BTreeSet<_>>(), keys, "{path}");
        properties.iter().for_each(|(name, inner)| compare(&format!("{path}/{name}"), inner, &configuration[name]));
    }
    let schema: Value = serde_json::from_str(&read(chart().join("values.schema.json"))).unwrap();
    let configuration = serde_json::to_value(Config::default()).unwrap();
    let sections = schema["properties"]["config"]["properties"].as_object().unwrap();
    sections.iter().for_each(|(name, section)| compare(&format!("/{name}"), section, &configuration[name]));
    let own = ["installation", "issuer", "server", "database", "operator", "logging", "metrics", "policy_dir"];
    let left: Vec<&String> =
        configuration.as_object().unwrap().keys().filter(|name| !sections.contains_key(*name)).collect();
    assert!(left.iter().all(|name| own.contains(&name.as_str())), "{left:?}");
}

/// K10
#[test]
fn every_value_is_described() {
    fn walk(path: &str, schema: &Value) {
        match schema.get("properties").and_then(Value::as_object) {
            Some(properties) => properties.iter().for_each(|(name, inner)| walk(&format!("{path}/{name}"), inner)),
            None => {
                assert!(schema.get("description").is_some() || schema["$ref"] == "#/definitions/alertLevel", "{path}")
            }
        }
    }
    walk("", &serde_json::from_str(&read(chart().join("values.schema.json"))).unwrap());
}

/// K10
#[test]
fn the_chart_lints_strictly() {
    let mut helm = tool("helm");
    run(helm.args(["lint", "--strict", "--set", super::ISSUER]).arg(chart())).unwrap();
}
