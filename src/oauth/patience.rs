//! Waiting for the database: clients take an error for a reason to log their users out, so a pause is sat out.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::Error;
use crate::store;

pub(super) struct Patience {
    waiting: Semaphore,
    /// A request waits no longer than this.
    longest: Duration,
    /// What takes longer than this counts as waiting.
    prompt: Duration,
    /// Between two attempts.
    pause: Duration,
}

impl Patience {
    /// At most so many requests wait at once; the next one is told to come back.
    pub fn new(max_waiting: usize) -> Self {
        Self {
            waiting: Semaphore::new(max_waiting.min(Semaphore::MAX_PERMITS)),
            longest: Duration::from_secs(10),
            prompt: Duration::from_millis(500),
            pause: Duration::from_millis(200),
        }
    }

    /// Tries until the database answers.
    ///
    /// # Errors
    /// `Unavailable` after ten seconds or when too many wait already; any other error at once.
    pub async fn hold<T, E, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, E>>,
        E: Into<Error>,
    {
        let began = Instant::now();
        let mut permit: Option<SemaphorePermit<'_>> = None;
        loop {
            let mut running = std::pin::pin!(attempt());
            let ended = match timeout_at(began + self.prompt, &mut running).await {
                Ok(ended) => ended,
                Err(_) => {
                    self.queue(&mut permit, None)?;
                    match timeout_at(began + self.longest, running).await {
                        Ok(ended) => ended,
                        Err(_) => return Err(Error::Unavailable(None)),
                    }
                }
            };
            match ended.map_err(E::into) {
                Err(Error::Unavailable(Some(error))) => {
                    if began.elapsed() + self.pause >= self.longest {
                        return Err(error.into());
                    }
                    self.queue(&mut permit, Some(error))?;
                    sleep(self.pause).await;
                }
                other => return other,
            }
        }
    }

    fn queue<'a>(&'a self, permit: &mut Option<SemaphorePermit<'a>>, why: Option<store::Error>) -> Result<(), Error> {
        if permit.is_none() {
            *permit = Some(self.waiting.try_acquire().map_err(|_| Error::Unavailable(why))?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Ten times as hasty.
    fn hasty(max_waiting: usize) -> Patience {
        let calm = Patience::new(max_waiting);
        Patience { longest: calm.longest / 10, prompt: calm.prompt / 10, pause: calm.pause / 10, ..calm }
    }

    fn away() -> store::Error {
        store::Error::Unavailable("away".into())
    }

    #[tokio::test]
    async fn a_pause_of_the_database_is_sat_out() {
        let tries = AtomicU32::new(0);
        let attempt = || async { if tries.fetch_add(1, Ordering::Relaxed) < 3 { Err(away()) } else { Ok(7) } };
        assert_eq!(hasty(1).hold(attempt).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn in_the_end_it_is_unavailable_even_when_the_database_hangs() {
        for hangs in [true, false] {
            let began = Instant::now();
            let attempt = || async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Err::<(), _>(away())
            };
            assert!(matches!(hasty(1).hold(attempt).await, Err(Error::Unavailable(_))));
            assert!(began.elapsed() > Duration::from_millis(500) && began.elapsed() < Duration::from_secs(5));
        }
    }

    #[tokio::test]
    async fn one_too_many_does_not_wait() {
        let patience = hasty(1);
        let began = Instant::now();
        let first = async { patience.hold(|| async { Err::<(), _>(away()) }).await };
        let second = async {
            sleep(patience.prompt).await;
            let answer = patience.hold(|| async { Err::<(), _>(away()) }).await;
            assert!(matches!(answer, Err(Error::Unavailable(_))));
            assert!(began.elapsed() < Duration::from_millis(500));
        };
        tokio::join!(first, second).0.unwrap_err();
    }
}
