//! The `holdfast` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // one TLS provider for every client; before any of them is made
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("holdfast: a TLS provider was installed before the program began");
        return ExitCode::FAILURE;
    }
    holdfast::cli::run()
}
