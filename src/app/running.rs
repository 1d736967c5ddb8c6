//! Every task of the process under three tokens, so that it ends from the outside in: doors, listeners, the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::signal::Signals;
use crate::http::Health;

/// How long requests that have begun may take to end, after the listeners closed.
const FINISH: Duration = Duration::from_secs(10);
/// How long anything else may take to end.
const END: Duration = Duration::from_secs(5);

/// Tasks that are ended together.
#[derive(Default)]
struct Group {
    stop: CancellationToken,
    tasks: JoinSet<(&'static str, std::io::Result<()>)>,
}

impl Group {
    fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let task = task(self.stop.clone());
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// The name of a task that ended although nobody told it to.
    async fn ended(&mut self) -> Error {
        match self.tasks.join_next().await {
            Some(Ok((name, Err(source)))) => Error::Ended { name, source: Some(source) },
            Some(Ok((name, Ok(())))) => Error::Ended { name, source: None },
            Some(Err(panic)) => Error::Ended { name: "task", source: Some(std::io::Error::other(panic)) },
            None => std::future::pending().await,
        }
    }

    /// Tells the tasks to end and waits for it; what takes too long is cut off.
    async fn end(&mut self, patience: Duration) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!(event = "cut_off", tasks = self.tasks.len());
            self.tasks.shutdown().await;
        }
    }
}

/// What runs.
pub struct Running {
    signals: Signals,
    health: Health,
    doors: Group,
    listeners: Group,
    rest: Group,
}

impl Running {
    pub fn new(health: Health, reload: Arc<Notify>) -> Result<Self, Error> {
        let signals = Signals::new(reload).map_err(Error::Runtime)?;
        let (doors, listeners, rest) = (Group::default(), Group::default(), Group::default());
        Ok(Self { signals, health, doors, listeners, rest })
    }

    /// The controller or the directory: ends first, so that whoever comes next may begin.
    pub fn door<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.doors.spawn(name, |stop| unfailing(task(stop)));
    }

    pub fn listener<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        self.listeners.spawn(name, task);
    }

    /// What requests need until the last of them is answered.
    pub fn background<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.rest.spawn(name, |stop| unfailing(task(stop)));
    }

    /// Runs until a signal comes or a task ends by itself, then drains.
    pub async fn until_ended(mut self, wait: Duration, started: Instant) -> Result<(), Error> {
        tracing::info!(event = "started", took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        let failure = tokio::select! {
            signal = self.signals.end() => {
                tracing::info!(event = "draining", signal, wait_seconds = wait.as_secs());
                None
            }
            error = self.doors.ended() => Some(error),
            error = self.listeners.ended() => Some(error),
            error = self.rest.ended() => Some(error),
        };
        self.health.drain();
        self.doors.end(END).await;
        if failure.is_none() {
            // the load balancer looks at /ready meanwhile; a second signal says that nobody waits for it
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.signals.end() => {}
            }
        }
        self.listeners.end(FINISH).await;
        self.rest.end(END).await;
        tracing::info!(event = "stopped");
        failure.map_or(Ok(()), Err)
    }
}

/// A task that ends only when it is told to, or by a panic.
async fn unfailing(task: impl Future<Output = ()>) -> std::io::Result<()> {
    task.await;
    Ok(())
}
