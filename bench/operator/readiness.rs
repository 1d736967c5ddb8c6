//! When each object became Ready in each generation, as a watch saw it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::Result;

type Seen = HashMap<(String, i64), Instant>;

/// Follows a kind in one namespace.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Seen>>);

/// The generation for which an object is Ready.
pub fn ready_for(object: &DynamicObject) -> Option<i64> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    let ready = |c: &&Value| c["type"] == "Ready" && c["status"] == "True";
    conditions.iter().find(ready)?["observedGeneration"].as_i64()
}

impl Readiness {
    pub fn follow(api: Api<DynamicObject>) -> Self {
        let own = Self::default();
        let told = own.clone();
        tokio::spawn(async move {
            let mut objects = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
            while let Ok(Some(object)) = objects.try_next().await {
                if let Some(generation) = ready_for(&object) {
                    told.seen().entry((object.name_any(), generation)).or_insert_with(Instant::now);
                }
            }
        });
        own
    }

    /// Waits until all of these are Ready; how long each took since it was asked for.
    pub async fn of(&self, asked: &HashMap<(String, i64), Instant>) -> Result<Vec<Duration>> {
        let deadline = Instant::now() + Duration::from_secs(600);
        loop {
            let times: Vec<Duration> = {
                let seen = self.seen();
                asked.iter().filter_map(|(key, at)| Some(seen.get(key)?.saturating_duration_since(*at))).collect()
            };
            if times.len() == asked.len() {
                return Ok(times);
            }
            if Instant::now() > deadline {
                return Err(format!("{} of {} became Ready", times.len(), asked.len()).into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
