//! Argon2id (RFC 9106) for passwords: 19 MiB, two passes, one lane; so many at once, so many waiting, and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use super::Error;
use crate::domain::{Entropy, SecretText};

/// 128 bits (RFC 9106 §3.1).
const SALT: usize = 16;

/// The bounded pool. Clones share it.
#[derive(Clone)]
pub(super) struct Hasher {
    inner: Arc<Inner>,
}

struct Inner {
    hands: Semaphore,
    /// Waiting and at work.
    inside: AtomicUsize,
    most: usize,
    entropy: Arc<dyn Entropy>,
    /// The hash of a password that nobody knows: who is unknown costs what who is known costs.
    dummy: String,
}

/// One of those that are inside; leaves also when nobody waits for the answer any more.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hasher {
    pub fn new(at_once: usize, waiting: usize, entropy: Arc<dyn Entropy>) -> Result<Self, Error> {
        let unknown = SecretText::generate(&*entropy)?;
        let dummy = hash(unknown.expose(), &*entropy)?;
        let hands = Semaphore::new(at_once.max(1));
        let most = at_once.max(1) + waiting;
        Ok(Self { inner: Arc::new(Inner { hands, inside: AtomicUsize::new(0), most, entropy, dummy }) })
    }

    /// A PHC string with a salt of its own.
    pub async fn hash(&self, password: &SecretText) -> Result<String, Error> {
        let (password, entropy) = (password.clone(), Arc::clone(&self.inner.entropy));
        self.run(move || hash(password.expose(), &*entropy)).await?
    }

    /// Whether the password has that hash; `None` takes as long and is never right.
    pub async fn verify(&self, password: &SecretText, hash: Option<&str>) -> Result<bool, Error> {
        let (password, known) = (password.clone(), hash.is_some());
        let hash = hash.unwrap_or(&self.inner.dummy).to_owned();
        let fits = self.run(move || fits(password.expose(), &hash)).await?;
        Ok(fits && known)
    }

    /// Whether that many more would be refused; for who would rather not begin.
    pub fn is_full(&self) -> bool {
        self.inner.inside.load(Ordering::Acquire) >= self.inner.most
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let inside = self.inner.inside.fetch_add(1, Ordering::AcqRel);
        let guard = Inside(&self.inner.inside);
        if inside >= self.inner.most {
            return Err(Error::Busy);
        }
        // the permit goes along: the work is not cut off when its caller goes away
        let pool = Arc::clone(&self.inner);
        let permit = self.inner.hands.acquire().await.map_err(|_| Error::Busy)?;
        permit.forget();
        let worked = tokio::task::spawn_blocking(move || {
            let _hand = Hand(&pool.hands);
            work()
        });
        let worked = worked.await.map_err(|_| Error::Hash);
        drop(guard);
        worked
    }
}

/// A permit that is given back at the end of the work, not at the end of the wait for it.
struct Hand<'a>(&'a Semaphore);

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

fn hash(password: &str, entropy: &dyn Entropy) -> Result<String, Error> {
    let mut salt = [0u8; SALT];
    entropy.fill(&mut salt)?;
    // the defaults are Argon2id, version 0x13, m = 19456 KiB, t = 2, p = 1 (OWASP); a test holds them to it
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| Error::Hash)?;
    Ok(hash.to_string())
}

fn fits(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::app::system::SystemEntropy;

    fn hasher(at_once: usize, waiting: usize) -> Hasher {
        Hasher::new(at_once, waiting, Arc::new(SystemEntropy)).unwrap()
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_alone_and_says_how_it_was_made() {
        let hasher = hasher(2, 2);
        let password = SecretText::new("correct horse battery");
        let (one, two) = (hasher.hash(&password).await.unwrap(), hasher.hash(&password).await.unwrap());
        assert_ne!(one, two, "each has its own salt");
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert!(hasher.verify(&password, Some(&one)).await.unwrap());
        assert!(!hasher.verify(&SecretText::new("another"), Some(&one)).await.unwrap());
        assert!(!hasher.verify(&password, None).await.unwrap());
        assert!(!hasher.verify(&password, Some("$argon2id$nonsense")).await.unwrap());
    }

    /// whoever floods the pool is told so at once, and it works again afterwards.
    #[tokio::test]
    async fn a_full_pool_refuses_at_once_and_recovers() {
        let hasher = hasher(1, 2);
        let password = SecretText::new("correct horse battery");
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (hasher, password) = (hasher.clone(), password.clone());
            all.spawn(async move {
                let begun = Instant::now();
                (hasher.verify(&password, None).await, begun.elapsed())
            });
        }
        let ended = all.join_all().await;
        let refused: Vec<_> = ended.iter().filter(|(end, _)| matches!(end, Err(Error::Busy))).collect();
        assert_eq!(refused.len(), 7);
        assert!(refused.iter().all(|(_, took)| *took < Duration::from_secs(1)));
        assert!(!hasher.is_full());
        assert!(!hasher.verify(&password, None).await.unwrap());
    }

    #[tokio::test]
    async fn who_goes_away_gives_a_place_back() {
        let hasher = hasher(1, 0);
        let password = SecretText::new("correct horse battery");
        let gone = hasher.verify(&password, None);
        let _gone = tokio::time::timeout(Duration::from_millis(1), gone).await;
        while hasher.is_full() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!hasher.verify(&password, None).await.unwrap());
    }
}
