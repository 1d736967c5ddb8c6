//! SIGTERM and SIGINT end the process in good order; SIGHUP does not end it.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM or SIGINT and says which it was.
pub async fn end() -> std::io::Result<&'static str> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    })
}

/// Outlives SIGHUP, which closing a terminal sends too. Keys and policy are followed without being asked.
pub async fn outlive_hangup() -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    while hangup.recv().await.is_some() {
        tracing::info!(event = "hangup_ignored");
    }
    Ok(())
}
