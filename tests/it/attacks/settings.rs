//! Configurations that hold a secret and are wrong, and those that would stop the program in the middle.

use std::process::Output;

use rstest::rstest;

use crate::support::server::Home;

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), b"\n", output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// OV-10: whatever is wrong with the URL of a database, nobody reads its password.
#[rstest]
#[case("postgres://me:s3cret@127.0.0.1:1/d")]
#[case("postgres://me:s3cret@127.0.0.1:port/d")]
#[case("postgres://me:s3cret@127.0.0.1:99999/d")]
#[case("postgres://me:s3cret%zz@127.0.0.1:1/d")]
#[case("postgres://me:s3cret%ff@127.0.0.1:1/d")]
#[case("postgres://me:/s3cret@127.0.0.1:1/d")]
#[case("postgres://me:x#s3cret@127.0.0.1:1/d")]
#[case("postgres://me:x?s3cret@127.0.0.1:1/d")]
#[case("postgres://127.0.0.1:1/d?user=me&password=s3cret")]
#[case("postgres://127.0.0.1:1/d?sslmode=s3cret")]
#[case("postgres://me:s3cret@127.0.0.1:1/d?sslmode=bogus")]
#[case("postgres://me:s3cret@127.0.0.1:1/d?sslrootcert=/nowhere&sslmode=verify-full")]
#[case("postgres://me:s3cret@no.such.host.invalid/d")]
#[case("postgres://me:s3cret@[::1/d")]
#[case("postgres://me:s3cret@/d?host=/nowhere")]
#[case("mysql://me:s3cret@127.0.0.1/d")]
#[case("s3cret")]
#[case("sqlite://x?key=s3cret")]
fn a_database_url_is_never_repeated(#[case] url: &str) {
    let mut home = Home::new();
    home.set("HOLDFAST_DATABASE__WAIT", "0s");
    home.set("PASSWORD_OF_FILE", url);
    std::fs::write(home.path().join("c.yaml"), "database: {url: '${PASSWORD_OF_FILE}'}\n").unwrap();
    std::fs::write(home.path().join("broken.yaml"), format!("database:\n  url: \"{url}\n  wait: [\n")).unwrap();
    std::fs::write(home.path().join("typed.yaml"), format!("database:\n  url:\n    {url:?}: 1\n")).unwrap();
    for arguments in [
        &["config", "check", "--config", "c.yaml"][..],
        &["migrate", "--config", "c.yaml"],
        &["serve", "--config", "c.yaml"],
        &["admin", "apikey", "list", "--config", "c.yaml"],
        &["config", "check", "--config", "broken.yaml"],
        &["config", "check", "--config", "typed.yaml"],
    ] {
        let (code, text) = told(&home.command(arguments).output().unwrap());
        assert!(!text.contains("s3cret"), "{arguments:?}: {text}");
        let check = arguments.contains(&"check");
        assert!((check && code == Some(0)) || matches!(code, Some(1 | 2)), "{arguments:?} {code:?}: {text}");
        assert!(check || code == Some(0) || text.trim().lines().last().unwrap().starts_with("holdfast: "), "{text}");
    }
}

/// Exit code 2 and one line, where a router that cannot be built would end the program in a panic.
#[rstest]
#[case("metrics: {path: /livez}")]
#[case("metrics: {path: /ready}")]
#[case("metrics: {path: /health}")]
#[case("metrics: {path: /admin/resources}")]
#[case("metrics: {path: /admin/clients/x}")]
#[case("issuer: 'http://localhost:9000/:x'")]
#[case("issuer: 'http://localhost:9000/*x'")]
#[case("issuer: 'http://localhost:9000/.well-known/oauth-protected-resource'")]
#[case("issuer: 'http://localhost:9000/.well-known/oauth-authorization-server'")]
#[case("issuer: 'http://localhost:9000//x'")]
#[case("issuer: 'http://localhost:9000/%7Bx%7D'")]
fn a_path_that_cannot_be_served_is_refused(#[case] yaml: &str) {
    let mut home = Home::new();
    home.environment.retain(|(name, _)| name != "HOLDFAST_ISSUER");
    home.set("HOLDFAST_CONFIG", "c.yaml");
    std::fs::write(home.path().join("c.yaml"), yaml).unwrap();
    let (code, text) = told(&home.command(&["config", "check"]).output().unwrap());
    assert!(!text.contains("panicked"), "{text}");
    if code == Some(0) {
        // then it can be served
        let mut server = home.launch();
        std::thread::sleep(std::time::Duration::from_secs(3));
        let log = server.log();
        assert!(server.is_running() && !log.contains("panicked"), "{log}");
    } else {
        assert_eq!((code, text.trim().lines().count()), (Some(2), 1), "{text}");
    }
}
