//! People: their logins, their sessions, and what administrators do with both.

mod accounts;
mod browser;
mod lockout;
pub mod login;
mod sessions;

use std::net::IpAddr;
use std::sync::Arc;

use holdfast::domain::user::{AccountRole, Email};
use holdfast::domain::{Account, Actor, SecretText};
use holdfast::identity::{Entered, Error, Identity, Knock, NewAccount, Parts, Rules};
use holdfast::metrics::Metrics;
use holdfast::store::Store;

use crate::store::engine::{Engine, Fresh};
use crate::support::time::{Chance, Clock};

pub const PASSWORD: &str = "correct horse battery";

/// The room without any port, and a second one on the same database as a second server would have it.
struct Room {
    identity: Identity,
    store: Store,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    fresh: Fresh,
}

impl Room {
    async fn open(engine: Engine, rules: Rules) -> Self {
        let (store, fresh) = engine.store().await;
        let (clock, metrics) = (Arc::new(Clock::default()), Metrics::new().unwrap());
        let identity = room(&store, &clock, Some(&metrics), rules);
        Self { identity, store, clock, metrics, fresh }
    }

    /// A second server.
    async fn second(&self, rules: Rules) -> Identity {
        room(&self.fresh.open().await, &self.clock, Some(&self.metrics), rules)
    }

    /// Somebody with an account.
    async fn person(&self, email: &str) -> Account {
        let (email, role) = (Email::parse(email).unwrap(), AccountRole::User);
        let new = NewAccount { email, name: "Ada Lovelace".to_owned(), role, password: SecretText::new(PASSWORD) };
        self.identity.create(new, &actor()).await.unwrap()
    }

    fn metric(&self, line: &str) -> bool {
        self.metrics.render().unwrap().contains(line)
    }
}

fn room(store: &Store, clock: &Arc<Clock>, metrics: Option<&Arc<Metrics>>, rules: Rules) -> Identity {
    let observer = metrics.map(|metrics| Arc::clone(metrics) as Arc<dyn holdfast::domain::Observer>);
    let (store, clock) = (store.clone(), Arc::clone(clock) as Arc<dyn holdfast::domain::Clock>);
    Identity::new(Parts { store, clock, entropy: Arc::new(Chance), observer, rules }).unwrap()
}

fn actor() -> Actor {
    Actor::recorded("test")
}

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0";

/// Somebody tries to sign in from an address.
async fn knock(identity: &Identity, email: &str, password: &str, from: &str) -> Result<Entered, Error> {
    let (password, source): (SecretText, IpAddr) = (SecretText::new(password), from.parse().unwrap());
    identity.sign_in(&Knock { email, password: &password, source, user_agent: AGENT, cookie: None }).await
}
