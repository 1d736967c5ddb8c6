//! The wiring: which parts there are, how they start, and how they end together.

pub mod logging;
pub mod signal;
pub mod system;

use std::path::PathBuf;

use crate::crd;

/// Why a command of the program failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("failed to generate the custom resource definitions")]
    Crd(#[source] crd::Error),
    #[error("failed to write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl Error {
    /// 2 when usage or configuration is wrong, else 1.
    pub fn exit_code(&self) -> u8 {
        1
    }
}

/// An error with all that caused it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // a transparent error repeats its source
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        source = cause.source();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
