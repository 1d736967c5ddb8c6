//! Who is looked at next: news before routine, each in the order in which it came, no object twice at the same time.
//!
//! kube-runtime's Controller takes what is due in no order. Under load that let some objects wait for as long as others
//! came, and a new leader's first look at ten thousand objects stood before the one that somebody had just changed.

use std::collections::{BTreeSet, HashMap, VecDeque};

use tokio::time::Instant;

use crate::domain::OwnerKey;

/// Looks at news, at most, while routine waits for one: it must come to its end, however much happens.
const OVERTAKEN: u8 = 4;

/// Why an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// It is there, something that it refers to changed, or its time has come.
    Routine,
    /// Somebody changed it, its row or its Secret.
    News,
}

/// The objects that wait, that are being looked at, and that fall due.
#[derive(Default)]
pub(super) struct Line {
    news: VecDeque<OwnerKey>,
    routine: VecDeque<OwnerKey>,
    /// Who stands in which of them. Whoever came among the news is passed over where it stood among the routine.
    waiting: HashMap<OwnerKey, Urgency>,
    /// Who is being looked at, and what came meanwhile.
    under_way: HashMap<OwnerKey, Option<Urgency>>,
    due: HashMap<OwnerKey, Instant>,
    by_time: BTreeSet<(Instant, OwnerKey)>,
    overtaken: u8,
}

impl Line {
    /// Lets an object stand in line, once and with its most urgent reason.
    pub(super) fn add(&mut self, key: OwnerKey, urgency: Urgency) {
        if let Some(meanwhile) = self.under_way.get_mut(&key) {
            *meanwhile = (*meanwhile).max(Some(urgency));
            return;
        }
        if self.waiting.get(&key).is_some_and(|known| *known >= urgency) {
            return;
        }
        self.waiting.insert(key.clone(), urgency);
        match urgency {
            Urgency::News => self.news.push_back(key),
            Urgency::Routine => self.routine.push_back(key),
        }
    }

    /// Who is next, if anybody waits. A look is a look: what was due for the object later is forgotten.
    pub(super) fn take(&mut self, now: Instant) -> Option<OwnerKey> {
        self.ripen(now);
        let order = match self.overtaken {
            OVERTAKEN.. => [Urgency::Routine, Urgency::News],
            _ => [Urgency::News, Urgency::Routine],
        };
        let (key, urgency) = order.into_iter().find_map(|urgency| Some((self.pop(urgency)?, urgency)))?;
        self.overtaken = if urgency == Urgency::News { self.overtaken.saturating_add(1) } else { 0 };
        self.waiting.remove(&key);
        self.forget_due(&key);
        self.under_way.insert(key.clone(), None);
        Some(key)
    }

    /// A look has ended; another one is due then, or when something happens.
    pub(super) fn done(&mut self, key: OwnerKey, again: Option<Instant>) {
        let meanwhile = self.under_way.remove(&key).flatten();
        if let Some(at) = again {
            self.due.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
        if let Some(urgency) = meanwhile {
            self.add(key, urgency);
        }
    }

    /// When the next object falls due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn ripen(&mut self, now: Instant) {
        while self.next_due().is_some_and(|at| at <= now)
            && let Some((_, key)) = self.by_time.pop_first()
        {
            self.due.remove(&key);
            self.add(key, Urgency::Routine);
        }
    }

    fn forget_due(&mut self, key: &OwnerKey) {
        if let Some(at) = self.due.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    fn pop(&mut self, urgency: Urgency) -> Option<OwnerKey> {
        let queue = match urgency {
            Urgency::News => &mut self.news,
            Urgency::Routine => &mut self.routine,
        };
        while let Some(key) = queue.pop_front() {
            if self.waiting.get(&key) == Some(&urgency) {
                return Some(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Kind;

    fn key(name: &str) -> OwnerKey {
        OwnerKey::new(Kind::OAuthClient, "web", name)
    }

    fn taken(line: &mut Line, now: Instant) -> String {
        std::iter::from_fn(|| line.take(now)).map(|key| key.name).collect::<Vec<_>>().join(" ")
    }

    fn line(routine: &[&str], news: &[&str]) -> Line {
        let mut line = Line::default();
        routine.iter().for_each(|name| line.add(key(name), Urgency::Routine));
        news.iter().for_each(|name| line.add(key(name), Urgency::News));
        line
    }

    #[test]
    fn first_come_first_served_and_news_before_routine() {
        let now = Instant::now();
        assert_eq!(taken(&mut line(&["r1", "r2"], &["n1", "n2", "n1"]), now), "n1 n2 r1 r2");
        assert_eq!(taken(&mut line(&["a", "b", "c"], &["c"]), now), "c a b", "who has news leaves the routine");
        let news = ["1", "2", "3", "4", "5", "6"];
        assert_eq!(taken(&mut line(&["r1", "r2"], &news), now), "1 2 3 4 r1 5 6 r2", "routine comes to its end, too");
    }

    #[test]
    fn what_comes_during_a_look_is_looked_at_after_it() {
        let (mut line, now) = (line(&[], &["a"]), Instant::now());
        let a = line.take(now).expect("waits");
        line.add(key("a"), Urgency::Routine);
        line.add(key("a"), Urgency::News);
        line.add(key("a"), Urgency::Routine);
        assert_eq!(line.take(now), None, "no object twice at the same time");
        line.add(key("b"), Urgency::News);
        line.done(a, None);
        assert_eq!(line.len(), 2);
        assert_eq!(taken(&mut line, now), "b a");
    }

    #[test]
    fn a_time_that_has_come_is_routine_and_a_look_before_it_replaces_it() {
        let (mut line, now) = (line(&[], &["a", "b"]), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(taken(&mut line, now), "a b");
        line.done(key("a"), Some(later(10)));
        line.done(key("b"), Some(later(20)));
        assert_eq!((line.take(later(9)), line.next_due()), (None, Some(later(10))));
        line.add(key("a"), Urgency::News);
        assert_eq!(line.take(later(9)), Some(key("a")));
        line.done(key("a"), Some(later(30)));
        assert_eq!((taken(&mut line, later(20)).as_str(), line.next_due()), ("b", Some(later(30))));
        line.done(key("b"), None);
        assert_eq!((taken(&mut line, later(40)).as_str(), line.next_due()), ("a", None));
    }
}
