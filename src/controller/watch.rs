//! The watches of one term of leadership, which fill the caches and ask for looks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{Predicate, WatchStreamExt, predicates};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::crd::common::{DELETION_POLICY_ANNOTATION, REFERENCED_LABEL};
use crate::domain::{Kind, OwnerKey};
use crate::manifest::{Object, ObjectKey, keep_strangers, strangers};

use super::cache::{Inlet, Inlets, Watched, key};
use super::context::Context;
use super::line::Urgency;
use super::secret::{MANAGED_LABEL, OWNER_ANNOTATION};

/// How long a watch lasts, in seconds. One of which the other end is gone is noticed a few seconds later.
const WATCH: u32 = 60;

/// What a watch has seen that concerns others.
pub(super) enum Seen {
    /// A client or provider whose spec changed: those that refer to it look again.
    Object(OwnerKey),
    /// An object is gone from the API server.
    Gone(Box<Object>),
    /// A Secret came, changed or went; with the object it says it belongs to.
    Secret(ObjectKey, Option<OwnerKey>, Urgency),
    /// The labels of a namespace changed.
    Namespace(String),
}

/// Every watch, each to be run until `stop`.
pub(super) fn tasks(
    context: &Arc<Context>,
    inlets: Inlets,
    seen: &UnboundedSender<Seen>,
    stop: &CancellationToken,
) -> Vec<BoxFuture<'static, ()>> {
    let mut tasks = Vec::new();
    tasks.extend(inlets.resource_servers.into_iter().map(|inlet| watch(inlet, context, seen, stop)));
    tasks.extend(inlets.clients.into_iter().map(|inlet| watch(inlet, context, seen, stop)));
    tasks.extend(inlets.providers.into_iter().map(|inlet| watch(inlet, context, seen, stop)));
    tasks.extend(inlets.namespaces.map(|writer| namespaces(context, writer, seen, stop)));
    for (scope, writer) in inlets.secrets {
        let api: Api<PartialObjectMeta<Secret>> = match scope {
            Some(namespace) => Api::namespaced(context.client.clone(), &namespace),
            None => Api::all(context.client.clone()),
        };
        let managed = secrets(api.clone(), &format!("{}={}", MANAGED_LABEL.0, MANAGED_LABEL.1)).reflect(writer);
        tasks.push(notice(managed.boxed(), seen, stop));
        let referenced = secrets(api, &format!("{REFERENCED_LABEL}=true"));
        tasks.push(notice(referenced, seen, stop));
    }
    tasks
}

/// The watch on one kind in one namespace, or in all.
fn watch<K: Watched>(
    inlet: Inlet<K>,
    context: &Arc<Context>,
    seen: &UnboundedSender<Seen>,
    stop: &CancellationToken,
) -> BoxFuture<'static, ()> {
    let (metrics, queue, seen) = (Arc::clone(&context.metrics), context.queue.clone(), seen.clone());
    let (gone, listed, known) = (seen.clone(), inlet.listed.clone(), inlet.listed);
    let changed = predicates::generation.combine(predicates::finalizers).combine(deletion_annotation).combine(hands);
    let each = watcher(inlet.api, config())
        .default_backoff()
        .modify(|object| keep_strangers(object.meta_mut()))
        .reflect(inlet.writer)
        .inspect(move |event| match event {
            // nobody listens any more when the term is over
            Ok(Event::InitDone) => listed.cancel(),
            Ok(Event::Delete(DeserializeGuard(Ok(object)))) => {
                drop(gone.send(Seen::Gone(Box::new(object.clone().into()))));
            }
            Ok(_) => {}
            Err(error) => {
                metrics.watch_error(K::KIND);
                watch_failed(K::KIND.as_str(), error);
            }
        })
        .applied_objects()
        .predicate_filter(changed, Default::default())
        .for_each(move |object| {
            // an error was told above
            if let Ok(object) = object {
                let key = key(&object);
                if K::KIND != Kind::ResourceServer {
                    drop(seen.send(Seen::Object(key.clone())));
                }
                // what is there at the beginning of a term is no news
                if known.is_cancelled() { queue.news(key) } else { queue.routine(key) }
            }
            futures::future::ready(())
        });
    until(stop, each.boxed())
}

/// The annotation is read like a part of the spec, and changes no generation.
fn deletion_annotation<K: Resource>(object: &K) -> Option<u64> {
    let value = object.annotations().get(DELETION_POLICY_ANNOTATION);
    Some(u64::from(value.is_some_and(|value| value == "Retain")))
}

/// An item that changes hands changes no generation either.
fn hands<K: Resource>(object: &K) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    strangers(object.meta()).hash(&mut hasher);
    Some(hasher.finish())
}

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH)
}

type Metadata<K> = BoxStream<'static, watcher::Result<Event<PartialObjectMeta<K>>>>;

fn secrets(api: Api<PartialObjectMeta<Secret>>, label: &str) -> Metadata<Secret> {
    watcher(api, config().labels(label)).default_backoff().modify(|secret| secret.managed_fields_mut().clear()).boxed()
}

fn notice(secrets: Metadata<Secret>, seen: &UnboundedSender<Seen>, stop: &CancellationToken) -> BoxFuture<'static, ()> {
    let (seen, listed) = (seen.clone(), CancellationToken::new());
    let known = listed.clone();
    let secrets = secrets.inspect_ok(move |event| {
        if matches!(event, Event::InitDone) {
            listed.cancel();
        }
    });
    let each = secrets.touched_objects().for_each(move |secret| {
        match secret {
            Ok(secret) => {
                let owner = secret.annotations().get(OWNER_ANNOTATION).and_then(|owner| owner.parse().ok());
                let key = ObjectKey::new(secret.namespace().unwrap_or_default(), secret.name_any());
                // what is there at the beginning of a term is no news
                let urgency = if known.is_cancelled() { Urgency::News } else { Urgency::Routine };
                drop(seen.send(Seen::Secret(key, owner, urgency)));
            }
            Err(error) => watch_failed("Secret", &error),
        }
        futures::future::ready(())
    });
    until(stop, each.boxed())
}

fn namespaces(
    context: &Arc<Context>,
    writer: Writer<PartialObjectMeta<Namespace>>,
    seen: &UnboundedSender<Seen>,
    stop: &CancellationToken,
) -> BoxFuture<'static, ()> {
    let (seen, api) = (seen.clone(), Api::<PartialObjectMeta<Namespace>>::all(context.client.clone()));
    let each = watcher(api, config())
        .default_backoff()
        .modify(|namespace| namespace.managed_fields_mut().clear())
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::labels, Default::default())
        .for_each(move |namespace| {
            match namespace {
                Ok(namespace) => drop(seen.send(Seen::Namespace(namespace.name_any()))),
                Err(error) => watch_failed("Namespace", &error),
            }
            futures::future::ready(())
        });
    until(stop, each.boxed())
}

fn until(stop: &CancellationToken, task: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    let stop = stop.clone();
    async move {
        let _ = stop.run_until_cancelled(task).await;
    }
    .boxed()
}

fn watch_failed(what: &'static str, error: &watcher::Error) {
    tracing::warn!(event = "watch_failed", what, error = super::error::watch_message(error));
}
