//! Brings a generated credential and its Secret together, one step at a time; `provision` says what each step is.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::domain::Desired;
use crate::provision::{ChangeKind, Done, Held, SecretStep};

use super::context::{Context, Settled};
use super::error::{Error, is_forbidden, kube_error, status};
use super::outcome::Published;
use super::secret::{Asker, Wanted, Written, content, differs, foreign, held, write};

/// One rotation takes three: write, read back, settled. More means that somebody writes against us.
const STEPS: usize = 6;

/// Looks at the Secret and does what is due.
pub(super) async fn publish(
    context: &Context,
    asker: &Asker,
    wanted: Option<&Wanted>,
    desired: &Desired,
    done: &Done,
) -> Result<Published, Error> {
    let Some(wanted) = wanted else { return Ok(Published::Unwanted) };
    if desired.paused {
        return Ok(Published::Untouched);
    }
    if is_settled(context, asker, wanted, done) {
        return Ok(Published::Settled(done.secret.clone()));
    }
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &asker.key.namespace);
    let mut raced = None;
    for _ in 0..STEPS {
        let live = match api.get_opt(&wanted.name).await {
            Ok(live) => live,
            Err(error) if is_forbidden(&error) => return Ok(Published::Unusable(told(&wanted.name, &error))),
            Err(error) => return Err(kube_error("read a Secret")(error)),
        };
        if let Some(note) = live.as_ref().and_then(|secret| foreign(secret, asker)) {
            return Ok(Published::Conflict(note));
        }
        let Some(held) = held(live.as_ref(), &wanted.keys.client_secret) else {
            let key = &wanted.keys.client_secret;
            return Ok(Published::Unusable(format!("Secret {}: the value of {key} is not text", wanted.name)));
        };
        let value = match context.provisioner.settle_secret(desired, &done.entity_id, held.clone()).await? {
            SecretStep::Write(value) => value,
            SecretStep::Settled(state) => {
                let Held::Value(value) = held else { return Ok(Published::Settled(state)) };
                let whole = content(wanted, asker, &context.settings.issuer, &done.entity_id, &value);
                if live.as_ref().is_some_and(|live| !differs(live, &whole, asker)) {
                    remember(context, asker, live.as_ref());
                    return Ok(Published::Settled(state));
                }
                value
            }
        };
        let whole = content(wanted, asker, &context.settings.issuer, &done.entity_id, &value);
        match write(&api, live.as_ref(), whole).await? {
            Written::Done => raced = None,
            Written::Raced(error) => raced = Some(error),
            Written::Conflict(note) => return Ok(Published::Conflict(note)),
            Written::Unusable(note) => return Ok(Published::Unusable(note)),
        }
    }
    if let Some(error) = raced {
        // nothing was written yet: later, when it is calmer
        return Err(kube_error("write a Secret")(error));
    }
    Ok(Published::Conflict(format!("Secret {} does not keep what is written into it", wanted.name)))
}

fn told(name: &str, error: &kube::Error) -> String {
    let message = status(error).map(|status| status.message.as_str()).unwrap_or_default();
    format!("Secret {name} may not be read: {message}")
}

/// Nothing is due and the Secret is the one that was read when it was last settled: no need to read it again.
fn is_settled(context: &Context, asker: &Asker, wanted: &Wanted, done: &Done) -> bool {
    let now = context.clock.now();
    let nothing_due = done.change == ChangeKind::Unchanged
        && done.secret.current.is_some()
        && !done.secret.pending
        && done.secret.next_rotation.is_none_or(|next| now < next);
    let Some(seen) = context.settled().get(&asker.key).cloned() else { return false };
    nothing_due
        && seen.generation == asker.generation
        && context.caches.secret_version(&asker.key.namespace, &wanted.name) == Some(seen.resource_version)
}

fn remember(context: &Context, asker: &Asker, live: Option<&Secret>) {
    let version = live.and_then(|secret| secret.metadata.resource_version.clone());
    let mut settled = context.settled();
    match version {
        Some(resource_version) => {
            settled.insert(asker.key.clone(), Settled { resource_version, generation: asker.generation });
        }
        None => {
            settled.remove(&asker.key);
        }
    }
}
