//! One term of leadership: watches, looks, the outbox; all end together.

use std::sync::Arc;

use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cache::Caches;
use super::context::{Context, Start};
use super::queue::Queue;
use super::{brake, orphans, queue, report, scan, wake, watch};

/// Reconciles until `stop`, or until another leader is found to have taken over.
pub(super) async fn serve(start: Start, stop: CancellationToken) {
    let changes = (start.provisioner.changes(), start.enforcement.changes());
    let (caches, inlets) = Caches::new(&start.client, &start.settings.namespaces);
    let (queue, asked) = Queue::new();
    let context = Arc::new(Context::new(start, caches, queue, stop.clone()));
    let (send, seen) = unbounded_channel();
    // dropped with this future, so that nothing outlives the term
    let mut tasks = JoinSet::new();
    for task in watch::tasks(&context, inlets, &send, &stop) {
        tasks.spawn(task);
    }
    drop(send);
    tasks.spawn(queue::serve(Arc::clone(&context), asked, stop.clone()));
    tasks.spawn(wake::route(Arc::clone(&context), seen, changes, stop.clone()));
    tasks.spawn(scan::scan(Arc::clone(&context), stop.clone()));
    tasks.spawn(orphans::tend(Arc::clone(&context), stop.clone()));
    tasks.spawn(brake::follow(Arc::clone(&context), stop.clone()));
    tasks.spawn(report::tell(context, stop));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(event = "task_failed", error = error.to_string());
        }
    }
}
