//! What else than policy is remembered by processes and changed by others: a change is told, and read again by who
//! remembers it.

use tokio::sync::watch;

/// A matter that has change rows under its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Signing keys, and requests for new ones.
    SigningKeys,
}

impl Topic {
    const ALL: [Self; 1] = [Self::SigningKeys];

    /// `entity_kind` of its change rows.
    const fn as_str(self) -> &'static str {
        match self {
            Self::SigningKeys => "SigningKey",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == text)
    }
}

/// How often each matter was heard of.
#[derive(Default)]
pub(super) struct Topics([watch::Sender<u64>; Topic::ALL.len()]);

impl Topics {
    pub fn changed(&self, topic: Topic) {
        self.0[topic as usize].send_modify(|heard| *heard += 1);
    }

    /// Something may have been missed.
    pub fn all_changed(&self) {
        Topic::ALL.into_iter().for_each(|topic| self.changed(topic));
    }

    pub fn subscribe(&self, topic: Topic) -> watch::Receiver<u64> {
        self.0[topic as usize].subscribe()
    }
}
