//! What one reconcile found out: everything that status, Events, the log line and the metric are made from.

use jiff::{SignedDuration, Timestamp};

use crate::crd::resource_server::Lifecycle;
use crate::domain::desired::SecretSource;
use crate::domain::drift::OpenDrift;
use crate::domain::enforcement::Standing;
use crate::domain::{Credential, Desired, Reason, Spec};
use crate::manifest::{
    Invalid, Object, Policy, References, Stranger, Unresolved, resource_server, strangers, unresolved,
};
use crate::provision::{Applied, Done, Refused, SecretState};

/// The end of one walk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    /// Items of lists that are not the author's.
    pub strangers: Vec<Stranger>,
    pub unresolved: Vec<Unresolved>,
    /// Whether a resource server is meant to be live, and what keeps it from it; `None` for the other kinds.
    pub launch: Option<Launch>,
    /// What the object asks for; `None` when it is invalid.
    pub desired: Option<Box<Desired>>,
    pub verdict: Verdict,
    pub secret: Published,
    /// How a resource server stands with its enforcement points; `None` when that is not known now.
    pub standing: Option<Standing>,
}

/// What became of the policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Applied(Box<Done>),
    Refused(Refused),
    /// The spec says something that cannot be; the last good revision stays in force.
    Invalid(Invalid),
    /// The database could not be reached; tried again soon.
    Unavailable,
    /// The database refuses to have this drift put right; tried again.
    Uncorrected(Box<OpenDrift>),
}

/// Whether tokens are to be issued for a resource server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Launch {
    Draft,
    /// Meant to be live; what blocks it, empty = it is.
    Live(Vec<String>),
}

/// Where the generated Secret stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Published {
    /// The object has no generated Secret.
    Unwanted,
    /// It was not looked at, because the policy is not in force or reconciliation is paused.
    Untouched,
    Settled(SecretState),
    /// The Secret is somebody else's, or a field of it is.
    Conflict(String),
    /// The Secret cannot be read or written.
    Unusable(String),
}

impl Outcome {
    /// Before anything was applied.
    pub(super) fn of(object: &Object, references: &References, policy: &Policy, verdict: Verdict) -> Self {
        let launch = match object {
            Object::ResourceServer(object) if object.spec.lifecycle == Lifecycle::Draft => Some(Launch::Draft),
            Object::ResourceServer(object) => {
                Some(Launch::Live(resource_server::activation_failures(object, references, policy)))
            }
            Object::OAuthClient(_) | Object::Provider(_) => None,
        };
        let (strangers, unresolved) = (strangers(object.metadata()), unresolved(object, references));
        Self { strangers, unresolved, launch, desired: None, verdict, secret: Published::Untouched, standing: None }
    }

    pub(super) fn done(&self) -> Option<&Done> {
        match &self.verdict {
            Verdict::Applied(done) => Some(done),
            _ => None,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.desired.as_ref().is_some_and(|desired| desired.paused)
    }

    pub(super) fn spec(&self) -> Option<&Spec> {
        self.desired.as_ref().map(|desired| &desired.spec)
    }

    /// The secret as it now is: after publishing, else as the database has it.
    pub(super) fn secret_state(&self) -> Option<&SecretState> {
        match &self.secret {
            Published::Settled(state) => Some(state),
            _ => self.done().map(|done| &done.secret),
        }
    }

    /// A replaced secret that was used in the last tenth of its overlap: whoever uses it is about to be locked out.
    pub(super) fn overdue(&self, now: Timestamp) -> Option<&Credential> {
        let rotation = match &self.desired.as_ref()?.secret {
            SecretSource::Generated(rotation) | SecretSource::Referenced { rotation, .. } => rotation,
            SecretSource::None | SecretSource::Unresolved => return None,
        };
        let tenth = SignedDuration::from_secs(rotation.overlap_seconds / 10);
        self.secret_state()?.retiring.iter().find(|credential| {
            let late = credential.retire_at.is_some_and(|end| {
                let since = end - tenth;
                credential.last_used_at.is_some_and(|used| since <= used)
            });
            late && credential.is_live(now)
        })
    }
}

impl From<Applied> for Verdict {
    fn from(applied: Applied) -> Self {
        match applied {
            Applied::Done(done) => Self::Applied(done),
            Applied::Refused(refused) => Self::Refused(refused),
        }
    }
}

/// The Event that goes with a condition's reason, where there is one.
pub(super) fn event_reason(condition_reason: &str) -> Option<Reason> {
    match condition_reason {
        "Conflict" => Some(Reason::OwnershipConflict),
        "Resolved" => Some(Reason::RefsResolved),
        other => Reason::parse(other),
    }
}
