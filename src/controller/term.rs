//! One term of leadership: watches, controllers, the outbox; all end together.

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

use super::cache::Caches;
use super::context::{Context, Start};
use super::{report, wake, watch};

/// Reconciles until `stop`, or until another leader is found to have taken over.
pub(super) async fn serve(start: Start, stop: CancellationToken) {
    let changes = start.provisioner.changes();
    let (caches, inlets) = Caches::new(&start.client, &start.settings.namespaces);
    let context = Arc::new(Context::new(start, caches, stop.clone()));
    let (send, seen) = unbounded_channel();
    let mut tasks: Vec<_> =
        watch::tasks(&context, inlets, &send, &stop).into_iter().map(|task| tokio::spawn(task)).collect();
    drop(send);
    tasks.push(tokio::spawn(wake::route(Arc::clone(&context), seen, changes, stop.clone())));
    tasks.push(tokio::spawn(report::tell(context, stop)));
    for ended in join_all(tasks).await {
        if let Err(error) = ended {
            tracing::error!(event = "task_failed", error = error.to_string());
        }
    }
}
