//! `holdfast version`.

use super::output::Table;

/// Version, commit, build time and compiler; `unknown` where the build could not tell.
pub fn run() -> Table {
    Table::one(vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("commit", env!("HOLDFAST_COMMIT").to_owned()),
        ("built", env!("HOLDFAST_BUILT").to_owned()),
        ("rustc", env!("HOLDFAST_RUSTC").to_owned()),
    ])
}
