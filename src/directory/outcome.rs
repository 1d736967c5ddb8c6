//! What became of one object, in the words of its conditions. Pure.

use jiff::Timestamp;

use crate::domain::client::ClientState;
use crate::domain::drift::OpenDrift;
use crate::domain::resource_server::Lifecycle;
use crate::domain::{DriftMode, ObjectStatus, OwnerKey, Spec, chain};
use crate::manifest::{Invalid, Unresolved};
use crate::metrics::ReconcileOutcome;
use crate::provision::{self, ChangeKind, Done, Refused, SecretState};

/// The end of one reconcile.
#[derive(Debug)]
pub enum Outcome {
    /// The document is wrong; what was last applied stays in force.
    Unusable(String),
    Invalid(Invalid),
    Refused(Refused),
    /// The database did not answer, or this process may not write; tried again soon.
    Failed {
        message: String,
        fenced: bool,
        /// Drift that the database refuses to have put right.
        uncorrected: Option<Box<OpenDrift>>,
    },
    Applied(Box<Force>),
}

/// An object that is in force.
#[derive(Debug)]
pub struct Force {
    pub done: Done,
    pub spec: Spec,
    pub mode: DriftMode,
    pub unresolved: Vec<Unresolved>,
    /// What keeps a resource server from going live that is meant to be.
    pub blocked: Vec<String>,
    /// The published secret, or why it could not be published.
    pub secret: Option<Result<SecretState, String>>,
}

impl Outcome {
    pub fn failed(error: &provision::Error) -> Self {
        let uncorrected = match error {
            provision::Error::Uncorrected { drift, .. } => Some(drift.clone()),
            _ => None,
        };
        Self::Failed { message: chain(error), fenced: error.is_fenced(), uncorrected }
    }

    /// The metric's label.
    pub fn label(&self) -> ReconcileOutcome {
        match self {
            Self::Unusable(_) | Self::Invalid(_) | Self::Refused(_) => ReconcileOutcome::Invalid,
            Self::Failed { fenced: true, .. } => ReconcileOutcome::Fenced,
            Self::Failed { .. } => ReconcileOutcome::Error,
            Self::Applied(force) if force.done.change == ChangeKind::Unchanged => ReconcileOutcome::Unchanged,
            Self::Applied(_) => ReconcileOutcome::Changed,
        }
    }

    /// The value of the log field `outcome`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unusable(_) | Self::Invalid(_) => "invalid",
            Self::Refused(_) => "refused",
            Self::Failed { .. } => "error",
            Self::Applied(force) => match force.done.change {
                ChangeKind::Created => "created",
                ChangeKind::Adopted => "adopted",
                ChangeKind::Updated => "updated",
                ChangeKind::Corrected => "corrected",
                ChangeKind::Unchanged => "unchanged",
            },
        }
    }

    /// The object's status; `before` is what it keeps when nothing new is known.
    pub fn status(&self, owner: &OwnerKey, before: Option<&ObjectStatus>) -> ObjectStatus {
        let (ready, reason, message) = match self {
            Self::Unusable(message) => (false, "InvalidSpec", message.clone()),
            Self::Invalid(invalid) => (false, invalid.cause.as_str(), invalid.to_string()),
            Self::Refused(refused) => (false, refusal(refused), refused.note().to_owned()),
            Self::Failed { message, fenced: true, .. } => (false, "Fenced", message.clone()),
            Self::Failed { message, uncorrected: Some(_), .. } => (false, "DriftCorrectionFailed", message.clone()),
            Self::Failed { message, .. } => (false, "DatabaseUnavailable", message.clone()),
            Self::Applied(force) => force.summary(),
        };
        let done = match self {
            Self::Applied(force) => Some(&force.done),
            _ => None,
        };
        let entity_id = done.map(|done| done.entity_id.clone()).filter(|id| !id.is_empty());
        ObjectStatus {
            owner: owner.clone(),
            ready,
            reason: reason.to_owned(),
            message,
            entity_id: entity_id.or_else(|| before.and_then(|status| status.entity_id.clone())),
            drift: match (self, done) {
                (_, Some(done)) => done.drift.clone(),
                (Self::Failed { uncorrected: Some(drift), .. }, None) => Some((**drift).clone()),
                _ => before.and_then(|status| status.drift.clone()),
            },
        }
    }

    /// What happens to drift, where that is known.
    pub fn mode(&self) -> Option<DriftMode> {
        match self {
            Self::Applied(force) => Some(force.mode),
            _ => None,
        }
    }

    /// When the object is next to be looked at without any other cause.
    pub fn next(&self) -> Option<Timestamp> {
        let Self::Applied(force) = self else { return None };
        let state = match &force.secret {
            Some(Ok(state)) => state,
            _ => &force.done.secret,
        };
        state.retiring.iter().filter_map(|credential| credential.retire_at).chain(state.next_rotation).min()
    }
}

impl Force {
    /// The first thing that fails, in the order of the conditions.
    fn summary(&self) -> (bool, &'static str, String) {
        if let Some(gravest) = self.unresolved.first() {
            let all: Vec<String> = self.unresolved.iter().map(|u| u.error.to_string()).collect();
            return (false, gravest.reason, all.join("; "));
        }
        if let Some(Err(message)) = &self.secret {
            return (false, "SecretConflict", message.clone());
        }
        if !self.blocked.is_empty() {
            return (false, "ActivationBlocked", self.blocked.join("; "));
        }
        match &self.spec {
            Spec::Client(client) if client.state == ClientState::Suspended => (true, "Suspended", String::new()),
            Spec::ResourceServer(server) if server.lifecycle == Lifecycle::Draft => (true, "Draft", String::new()),
            _ => (true, "Ready", String::new()),
        }
    }
}

const fn refusal(refused: &Refused) -> &'static str {
    match refused {
        Refused::Adoption(_) => "AdoptionRefused",
        Refused::Conflict { .. } => "Conflict",
        Refused::NotPermitted(_) => "NotPermitted",
    }
}
