//! What can go wrong with the API server or below; every one of these is tried again.

use kube::core::Status;
use kube::runtime::watcher;

use crate::domain::chain;
use crate::provision;

/// An error of the infrastructure, never of an object: that would be a condition.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or could not be reached.
    #[error("failed to {doing}")]
    Kubernetes { doing: &'static str, source: Box<kube::Error> },
    #[error("failed to provision")]
    Provision(#[from] provision::Error),
    /// An object without a name, namespace or uid: not from an API server.
    #[error("failed to identify an object without {0}")]
    Anonymous(&'static str),
    /// The watch shows an object that the API server has no more, or that has another spec by now.
    #[error("failed to act on an object that is not as the watch shows it")]
    Behind,
    #[error("failed to write the status as JSON")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Another leader took over: nothing may be written any more.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Provision(error) if error.is_fenced())
    }

    /// The message with those of its causes, for one log line.
    pub fn chain(&self) -> String {
        match self {
            Self::Kubernetes { source, .. } => format!("{self}: {}", Answer::of(source)),
            other => chain(other),
        }
    }
}

/// What became of a request, in one line: kube's own message repeats the whole Status in debug form.
#[derive(Debug, thiserror::Error)]
pub(super) enum Answer {
    #[error("{message} ({code})")]
    Status { message: String, code: u16 },
    #[error("the API server could not be reached")]
    None,
}

impl Answer {
    pub(super) fn of(error: &kube::Error) -> Self {
        status(error).map_or(Self::None, |status| Self::Status { message: status.message.clone(), code: status.code })
    }
}

/// Names what was being done when the API server failed.
pub(super) fn kube_error(doing: &'static str) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Kubernetes { doing, source: Box::new(source) }
}

/// What the API server answered, if it did.
pub(super) fn status(error: &kube::Error) -> Option<&Status> {
    match error {
        kube::Error::Api(status) => Some(status),
        _ => None,
    }
}

fn has_code(error: &kube::Error, code: u16) -> bool {
    status(error).is_some_and(|status| status.code == code)
}

pub(super) fn is_conflict(error: &kube::Error) -> bool {
    has_code(error, 409)
}

pub(super) fn is_forbidden(error: &kube::Error) -> bool {
    has_code(error, 403)
}

pub(super) fn is_not_found(error: &kube::Error) -> bool {
    has_code(error, 404)
}

/// What an older definition answers to a value that it does not know.
pub(super) fn is_unknown_form(error: &kube::Error) -> bool {
    has_code(error, 500) || has_code(error, 422)
}

pub(super) fn is_invalid(error: &kube::Error) -> bool {
    has_code(error, 422)
}

/// What broke a watch, in one line.
pub(super) fn watch_message(error: &watcher::Error) -> String {
    let cause = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => cause,
        watcher::Error::WatchError(status) => return format!("{} ({})", status.message, status.code),
        watcher::Error::NoResourceVersion => return "the list has no resourceVersion".to_owned(),
    };
    Answer::of(cause).to_string()
}
