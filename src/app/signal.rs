//! SIGTERM and SIGINT end the process in good order; SIGHUP does not end it.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from its making on: a signal that comes while the parts are still being started is not lost on them.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT and says which it was. Outlives SIGHUP, which closing a terminal sends too: keys and
    /// policy are followed without being asked.
    pub async fn end(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => tracing::info!(event = "hangup_ignored"),
            }
        }
    }
}
