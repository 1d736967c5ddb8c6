//! The alert rules: what they may name, that the plain file agrees with the chart, and promtool's tests.
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use holdfast::metrics::{CATALOG, Metrics};
use serde_yaml::Value;

use super::{only, read, rendered, root, run, tool};

fn rules(settings: &[&str]) -> Vec<Value> {
    let objects = rendered(&[&["prometheusRule.enabled=true"], settings].concat());
    let groups = only(&objects, "PrometheusRule")["spec"]["groups"].as_sequence().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap().clone()).collect()
}

fn text<'a>(rule: &'a Value, key: &str) -> &'a str {
    rule[key].as_str().unwrap()
}

fn promtool(arguments: &[&str]) {
    let mut promtool = Command::new("promtool");
    if let Err(errors) = run(promtool.args(arguments).current_dir(root())) {
        panic!("promtool {arguments:?}: {errors}");
    }
}

/// O3, K2
#[test]
fn each_alert_fires_and_stays_silent_where_promtool_says_it_must() {
    promtool(&["check", "rules", "config/monitoring/holdfast.rules.yaml"]);
    promtool(&["check", "config", "config/monitoring/prometheus.yaml"]);
    for file in tests() {
        promtool(&["test", "rules", file.to_str().unwrap()]);
    }
}

fn tests() -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(root().join("tests/alerts")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

/// O3
#[test]
fn every_rule_has_a_test_in_which_it_fires_and_one_in_which_it_is_silent() {
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for file in tests() {
        let file: Value = serde_yaml::from_str(&read(file)).unwrap();
        for test in file["tests"].as_sequence().unwrap() {
            for case in test["alert_rule_test"].as_sequence().unwrap() {
                let name = text(case, "alertname").to_owned();
                let expected = case["exp_alerts"].as_sequence().unwrap();
                if expected.is_empty() {
                    silent.insert(name.clone());
                }
                let severity = |alert: &Value| (name.clone(), text(&alert["exp_labels"], "severity").to_owned());
                fires.extend(expected.iter().map(severity));
            }
        }
    }
    let all: BTreeSet<_> = rules(&[])
        .iter()
        .map(|rule| (text(rule, "alert").to_owned(), text(&rule["labels"], "severity").to_owned()))
        .collect();
    assert_eq!(fires, all);
    assert_eq!(silent, all.into_iter().map(|(name, _)| name).collect());
}

/// O3
#[test]
fn the_plain_rules_file_is_what_the_chart_renders() {
    let fresh = tempfile::NamedTempFile::new().unwrap();
    let mut render = Command::new(root().join("config/monitoring/render"));
    run(render.arg(fresh.path()).env("HELM", tool("helm").get_program())).unwrap();
    assert_eq!(
        read(root().join("config/monitoring/holdfast.rules.yaml")),
        read(fresh.path()),
        "run config/monitoring/render"
    );
}

/// O3
#[test]
fn every_rule_has_a_runbook() {
    let runbooks = read(root().join("docs/runbooks.md"));
    for rule in rules(&[]) {
        let name = text(&rule, "alert");
        assert!(runbooks.contains(&format!("\n## {name}\n")), "{name}");
        assert!(
            text(&rule["annotations"], "runbook_url").ends_with(&format!("docs/runbooks.md#{}", name.to_lowercase())),
            "{name}"
        );
    }
}

/// O3: each with toggle, threshold, duration, severity, labels and runbook.
#[test]
fn every_part_of_an_alert_is_a_value() {
    let with = |settings: &[&str]| -> BTreeMap<(String, String), Value> {
        let key = |rule: &Value| (text(rule, "alert").to_owned(), text(&rule["labels"], "severity").to_owned());
        rules(settings).into_iter().map(|rule| (key(&rule), rule)).collect()
    };
    let key = |name: &str, severity: &str| (name.to_owned(), severity.to_owned());
    assert!(!with(&["prometheusRule.alerts.NoLeader.enabled=false"]).contains_key(&key("NoLeader", "critical")));
    let one_level = with(&["prometheusRule.alerts.TokenFailureRatio.warning.enabled=false"]);
    assert!(!one_level.contains_key(&key("TokenFailureRatio", "warning")));
    assert!(one_level.contains_key(&key("TokenFailureRatio", "critical")));
    let changed = with(&[
        "prometheusRule.alertLabels.team=identity",
        "prometheusRule.alerts.AuthDeniedSpike.warning.threshold=25",
        "prometheusRule.alerts.AuthDeniedSpike.warning.for=7m",
        "prometheusRule.alerts.AuthDeniedSpike.warning.severity=page",
        "prometheusRule.alerts.AuthDeniedSpike.labels.area=tokens",
        "prometheusRule.alerts.AuthDeniedSpike.runbook_url=https://wiki.example.com/denied",
    ]);
    let rule = &changed[&key("AuthDeniedSpike", "page")];
    assert!(text(rule, "expr").ends_with("> 25"));
    assert_eq!(text(rule, "for"), "7m");
    assert_eq!(text(&rule["labels"], "team"), "identity");
    assert_eq!(text(&rule["labels"], "area"), "tokens");
    assert_eq!(text(&rule["annotations"], "runbook_url"), "https://wiki.example.com/denied");
}

/// O3: two releases in one Prometheus.
#[test]
fn a_rule_sees_its_own_release_alone_and_says_which() {
    for rule in rules(&[]) {
        let expression = text(&rule, "expr");
        let series = selections(expression).len();
        assert_eq!(
            expression.matches(r#"{namespace="auth",service="holdfast-metrics""#).count(),
            series,
            "{expression}"
        );
        assert_eq!(text(&rule["labels"], "release"), "auth/holdfast");
    }
}

/// Label, operator and value.
type Matcher<'a> = (&'a str, &'a str, &'a str);

/// What an expression selects: each series with its matchers.
fn selections(expression: &str) -> Vec<(String, Vec<Matcher<'_>>)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("holdfast_").filter(|(at, _)| !expression[..*at].ends_with(['"', '-'])) {
        let (name, rest) = expression[at..].split_at(expression[at..].find(|c| !word(c)).unwrap());
        let inside = rest.strip_prefix('{').unwrap().split_once('}').unwrap().0;
        let matchers = inside.split(',').map(|matcher| {
            let (label, rest) = matcher.split_at(matcher.find(|c| !word(c)).unwrap());
            let (operator, value) = rest.split_at(rest.find('"').unwrap());
            (label, operator, value.trim_matches('"'))
        });
        found.push((name.to_owned(), matchers.collect()));
    }
    found
}

/// O3, K2: a misspelt metric, label or label value would make an alert that never fires.
#[test]
fn a_rule_names_metrics_labels_and_values_that_exist() {
    let served = Metrics::new().unwrap().render().unwrap();
    for rule in rules(&[]) {
        for (series, matchers) in selections(text(&rule, "expr")) {
            let histogram = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| series.strip_suffix(suffix));
            let metric = CATALOG
                .iter()
                .find(|(name, kind, ..)| *name == series || (*kind == "histogram" && histogram == Some(*name)));
            let (_, _, labels, _) = metric.unwrap_or_else(|| panic!("{series} is not in the catalogue"));
            for (label, operator, value) in
                matchers.iter().filter(|matcher| !["namespace", "service"].contains(&matcher.0))
            {
                assert!(labels.contains(label), "{series} has no label {label}");
                let exists = || {
                    served
                        .lines()
                        .any(|line| line.starts_with(&series) && line.contains(&format!("{label}=\"{value}\"")))
                };
                assert!(operator.ends_with('~') || exists(), "{series} is never {label}={value}");
            }
            assert!(served.lines().any(|line| line.starts_with(&series)), "{series} is not there at zero");
        }
    }
}

/// O3
#[test]
fn a_rule_groups_by_labels_that_its_metrics_have() {
    for rule in rules(&[]) {
        let expression = text(&rule, "expr");
        let labels: Vec<&str> = selections(expression)
            .iter()
            .flat_map(|(series, _)| CATALOG.iter().filter(move |(name, ..)| series.starts_with(name)))
            .flat_map(|(_, _, labels, _)| labels.iter().copied())
            .chain(["instance", "le"])
            .collect();
        for group in expression.split("by (").skip(1).flat_map(|rest| rest.split_once(')').unwrap().0.split(", ")) {
            assert!(labels.contains(&group), "{group}: {expression}");
        }
    }
}
