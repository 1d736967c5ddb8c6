//! The configuration: defaults, the sample, and one line that names the key for everything that is wrong.

use std::io::Write;
use std::path::Path;

use holdfast::config::{self, Config, Environment, MasterKeyPlace, Settings};
use rstest::rstest;
use serde_json::Value;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

const HOME: (&str, &str) = ("HOME", "/home/me");

fn with_file(yaml: &str, pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(yaml.as_bytes()).unwrap();
    let path = file.path().display().to_string();
    config::load(Some(file.path()), &environment(pairs)).map_err(|e| line(&e).replace(&path, "FILE"))
}

/// As the command line prints it: the chain of sources on one line.
fn line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn without_a_file_the_defaults_stand() {
    let settings = config::load(None, &environment(&[HOME])).unwrap();
    assert_eq!(settings.issuer, "http://localhost:9000");
    assert_eq!(settings.database_url.expose(), "sqlite:///home/me/.local/share/holdfast/holdfast.db");
    assert_eq!(settings.master_key, MasterKeyPlace::File("/home/me/.local/share/holdfast/master.key".into()));
    assert!(!settings.config.server.is_exposed());
    let xdg = config::load(None, &environment(&[HOME, ("XDG_DATA_HOME", "/data")])).unwrap();
    assert_eq!(xdg.data_dir.as_deref(), Some(Path::new("/data/holdfast")));
}

#[test]
fn the_sample_holds_every_key_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/holdfast.yaml");
    let settings = config::load(Some(&path), &environment(&[HOME])).unwrap();
    assert_eq!(settings.config, Config::default());
    let text = std::fs::read_to_string(&path).unwrap();
    let sample: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(keys("", &sample), keys("", &serde_json::to_value(Config::default()).unwrap()));
}

fn keys(prefix: &str, value: &Value) -> Vec<String> {
    let Value::Object(members) = value else { return vec![prefix.to_owned()] };
    members.iter().flat_map(|(name, member)| keys(&format!("{prefix}.{name}"), member)).collect()
}

#[test]
fn a_variable_overrides_the_file_and_a_service_s_variables_are_not_ours() {
    let pairs = [
        HOME,
        ("HOLDFAST_SERVER__PUBLIC__LISTEN", "[::1]:9100"),
        ("HOLDFAST_SERVER__SHUTDOWN_WAIT", "3s"),
        ("HOLDFAST_OPERATOR__NAMESPACES", "[a, b]"),
        ("HOLDFAST_OPERATOR__ENABLED", "true"),
        ("HOLDFAST_PORT_9000_TCP_ADDR", "10.0.0.1"),
        ("HOLDFAST_CONFIG", "/etc/holdfast.yaml"),
        ("HOLDFAST_TEST_BIN", "/bin"),
    ];
    let settings = with_file("server: {public: {listen: '127.0.0.1:9000'}}\n", &pairs).unwrap();
    assert_eq!(settings.config.server.public.listen.to_string(), "[::1]:9100");
    assert_eq!(settings.config.server.shutdown_wait.as_secs(), 3);
    assert_eq!(settings.config.operator.namespaces, ["a", "b"]);
    assert!(settings.config.operator.enabled);
}

#[test]
fn variables_in_the_file_are_replaced() {
    let yaml =
        "database: {url: 'postgres://u:${PASSWORD}@h/d'}\ntokens: {max_waiting: '${N}'}\nissuer: 'https://a/$${b'\n";
    let error = with_file(yaml, &[HOME, ("PASSWORD", "s3"), ("N", "7")]).unwrap_err();
    assert!(error.starts_with("issuer: "), "{error}");
    let settings = with_file(&yaml.replace("$${b", "b"), &[HOME, ("PASSWORD", "s3"), ("N", "7")]).unwrap();
    assert_eq!(settings.database_url.expose(), "postgres://u:s3@h/d");
    assert_eq!(settings.config.tokens.max_waiting, 7);
    assert!(!format!("{settings:?}").contains("s3"));
}

/// M-07, M-10 and everything else that a configuration must not say.
#[rstest]
#[case("server: {public: {listn: x}}", "unknown key server.public.listn in the file FILE; known here: listen")]
#[case("colour: red", "unknown key colour in the file FILE; known here: installation, issuer")]
#[case("logging: {level: loud}", "logging.level in the file FILE: loud is not one of error, warn, info, debug, trace")]
#[case("server: {public: {listen: localhost}}", "server.public.listen in the file FILE: ")]
#[case("server: {shutdown_wait: soon}", "server.shutdown_wait in the file FILE: ")]
#[case("server: 5", "server in the file FILE: expected ")]
#[case("- a", "the top level in the file FILE: expected sections")]
#[case("server: {", "failed to parse the configuration file FILE: ")]
#[case("issuer: '${NOWHERE}'", "issuer uses ${NOWHERE}, which is not set")]
#[case("operator: {namespaces: [a, '${NOWHERE}']}", "operator.namespaces.1 uses ${NOWHERE}, which is not set")]
#[case("issuer: '${no'", "issuer holds a `${`")]
#[case("issuer: auth.example.com", "issuer: expected a URL such as https://auth.example.com")]
#[case("issuer: 'http://a.example'", "issuer: expected https; http only on localhost, 127.0.0.1 or [::1]")]
#[case("issuer: 'http://localhost.a.example'", "issuer: expected https; http only on localhost, 127.0.0.1 or [::1]")]
#[case("issuer: 'https://a.example/'", "issuer: expected no slash at the end")]
#[case("issuer: 'https://A.example'", "issuer: write it as https://a.example")]
#[case("issuer: 'https://a.example?x=1'", "issuer: expected a URL without user, query and fragment")]
#[case("database: {url: 'mysql://h/d'}", "database.url: expected sqlite:///path/file.db or postgres://host/name")]
#[case("database: {url: 'sqlite://'}", "database.url: names no database")]
#[case("database: {wait: 2h}", "database.wait: expected at most 1h")]
#[case("login: {hashing: 0}", "login.hashing: expected 1 to 64")]
#[case("login: {min_password_length: 7}", "login.min_password_length: expected 8 to 128")]
#[case("login: {failure_window: 30s}", "login.failure_window: expected 1m to 24h")]
#[case("sessions: {idle_timeout: 5s}", "sessions.idle_timeout: expected 1m to 2160h")]
#[case(
    "sessions: {fingerprint: face}",
    "sessions.fingerprint in the file FILE: face is not one of browser, browser_and_network"
)]
#[case("tokens: {max_waiting: 0}", "tokens.max_waiting: expected 1 to 65536")]
#[case("tokens: {default_lifetime_seconds: 59}", "tokens.default_lifetime_seconds: expected 60 to 3600")]
#[case("tokens: {default_lifetime_seconds: 3601}", "tokens.default_lifetime_seconds: expected 60 to 3600")]
#[case("tokens: {refresh_grace: 301s}", "tokens.refresh_grace: expected at most 5m")]
#[case("operator: {drift: {scan_interval: 5s}}", "operator.drift.scan_interval: expected 10s to 24h")]
#[case("operator: {brake: {per_namespace: -1}}", "operator.brake.per_namespace in the file FILE: expected u32")]
#[case("operator: {resource_hosts: {'https://a': b}}", "operator.resource_hosts: expected a host as it stands in")]
#[case("operator: {resource_hosts: {a.example: B}}", "operator.resource_hosts: expected 1 to 63 of")]
#[case("metrics: {path: metrics}", "metrics.path: expected a path such as /metrics")]
#[case("installation: Big One", "installation: expected 1 to 63 of a-z, 0-9 and -")]
#[case("keys: {master_key_secret: k}", "keys.master_key_secret: needs a cluster")]
#[case("policy_dir: p\noperator: {enabled: true}", "policy_dir: a policy directory and operator.enabled exclude")]
#[case("server: {public: {listen: '0.0.0.0:9000'}}", "issuer: required, because a listener is not on loopback")]
#[case("server: {admin: {listen: '127.0.0.1:9000'}}", "server: two listeners have the address 127.0.0.1:9000")]
fn what_is_wrong_is_said_in_one_line_that_names_the_key(#[case] yaml: &str, #[case] expected: &str) {
    let error = with_file(yaml, &[HOME]).unwrap_err();
    assert!(error.starts_with(expected) && !error.contains('\n'), "{error}");
}

#[rstest]
#[case(&[("HOLDFAST_SERVER__LISTN", "x")], "unknown key server.listn in the variable HOLDFAST_SERVER__LISTN; known here: public")]
#[case(&[("HOLDFAST_TOKENS__MAX_WAITING", "many")], "tokens.max_waiting in the variable HOLDFAST_TOKENS__MAX_WAITING: expected")]
#[case(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")], "issuer: required in a pod")]
fn what_is_wrong_in_a_variable_names_the_variable(#[case] pairs: &[(&str, &str)], #[case] expected: &str) {
    let pairs: Vec<_> = pairs.iter().copied().chain([HOME]).collect();
    let error = line(&config::load(None, &environment(&pairs)).unwrap_err());
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn without_a_home_the_default_places_are_asked_for() {
    let error = line(&config::load(None, &environment(&[])).unwrap_err());
    assert!(error.starts_with("database.url: required, because"), "{error}");
}

#[test]
fn a_value_that_may_be_secret_is_not_repeated() {
    let error = with_file("database: {url: [s3cret]}", &[HOME]).unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
}
