//! Clients that others wrote, unchanged, against the running server: the SDKs of MCP and its conformance tool.

mod conformance;
mod mcp;
mod sdk;

use std::path::PathBuf;

/// Where tests/peers/prepare installed them.
fn installed() -> PathBuf {
    let folder = std::env::var_os("HOLDFAST_TEST_PEERS");
    PathBuf::from(folder.expect("HOLDFAST_TEST_PEERS is not set: run through `make test`"))
}
