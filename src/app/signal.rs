//! SIGTERM and SIGINT end the process in good order; SIGHUP has the keys read again.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// Listens from its making on: a signal that comes while the parts are still being started is not lost on them.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    reload: Arc<Notify>,
}

impl Signals {
    /// `reload` is notified of every SIGHUP.
    pub fn new(reload: Arc<Notify>) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            reload,
        })
    }

    /// Waits for SIGTERM or SIGINT and says which it was. Outlives SIGHUP, which closing a terminal sends too.
    pub async fn end(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => self.reload.notify_one(),
            }
        }
    }
}
