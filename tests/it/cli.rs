//! The program as it is called: answers, exit codes, one line for what is wrong.

mod adopt;
mod database;
mod export;
mod invitations;
mod lint;
mod people;
mod plan;
mod usage;

use std::path::Path;
use std::process::{Command, Output};

/// The program with nothing of this process's environment but a home of its own.
pub fn holdfast(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.env_clear().env("HOME", home).current_dir(home);
    command
}

/// Exit code, standard output, standard error.
pub fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

pub fn run(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    told(&holdfast(home).args(arguments).output().unwrap())
}
