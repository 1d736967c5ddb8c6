//! The `holdfast` program.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A request is many small allocations, freed by other threads than made them: with the system's allocator they were a
/// tenth of its time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // one TLS provider for every client; before any of them is made
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("holdfast: a TLS provider was installed before the program began");
        return ExitCode::FAILURE;
    }
    holdfast::cli::run()
}
