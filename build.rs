//! What `holdfast version` and `holdfast_build_info` say of the build.
//!
//! A development build says `unknown`: reading the commit anew for each one would compile everything again whenever
//! something is committed. `HOLDFAST_COMMIT` in the environment is taken as it is, for builds outside a checkout.

use std::process::Command;

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

fn commit() -> Option<String> {
    let head = output("git", &["rev-parse", "--short=12", "HEAD"])?;
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let changed = output("git", &["status", "--porcelain", "--untracked-files=no"]).is_some();
    Some(if changed { format!("{head}-changed") } else { head })
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=HOLDFAST_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let given = std::env::var("HOLDFAST_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| release.then(commit).flatten());
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().map(|epoch| format!("@{epoch}"));
    let moment = epoch.unwrap_or_else(|| "now".to_owned());
    let built = release.then(|| output("date", &["-u", "-d", &moment, "+%Y-%m-%dT%H:%M:%SZ"])).flatten();
    let rustc = std::env::var("RUSTC").ok().and_then(|rustc| output(&rustc, &["--version"]));
    for (name, value) in [("HOLDFAST_COMMIT", commit), ("HOLDFAST_BUILT", built), ("HOLDFAST_RUSTC", rustc)] {
        println!("cargo::rustc-env={name}={}", value.as_deref().unwrap_or("unknown"));
    }
}
