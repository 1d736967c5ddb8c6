//! The log on standard error: JSON for programs, text on a terminal.

mod json;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Format;
use crate::config::logging::Logging;

/// Starts logging; a second start in the same process is ignored.
pub fn start(logging: &Logging) {
    // what libraries say below a warning is noise to who runs this
    let filter = EnvFilter::new(format!("warn,holdfast={}", logging.level.as_str()));
    let json = match logging.format {
        Format::Json => true,
        Format::Text => false,
        Format::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // only a first subscriber is installed; tests that run the program in process may have one
    let _started = if json {
        builder.event_format(json::Json).try_init().is_ok()
    } else {
        builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init().is_ok()
    };
}
