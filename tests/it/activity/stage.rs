//! A resource server that is live, with a client and a provider, and its log.

use holdfast::domain::{ActivityFilter, ActivityRecord, ActivityType, Desired, Epoch, Kind, OwnerKey, Spec};
use serde_json::{Value, json};

use crate::provision::{House, desired};
use crate::store::engine::Engine;
use crate::store::samples;

pub struct Stage {
    pub house: House,
    pub server: Desired,
    pub client: Desired,
    pub provider: Desired,
    /// Of the resource server.
    pub id: String,
    seen: i64,
}

/// The policy with one member of its JSON replaced.
pub fn edited(of: &Desired, member: &str, value: Value) -> Desired {
    let mut tagged = serde_json::to_value(&of.spec).unwrap();
    tagged["spec"][member] = value;
    Desired { spec: serde_json::from_value(tagged).unwrap(), ..of.clone() }
}

pub fn member(of: &Desired, member: &str) -> Value {
    serde_json::to_value(&of.spec).unwrap()["spec"][member].clone()
}

impl Stage {
    /// Nothing was applied yet.
    pub async fn empty(engine: Engine) -> Self {
        let house = House::on(engine).await;
        let provider = desired(OwnerKey::new(Kind::Provider, "auth", "github"), Some("prv_1"), samples::provider());
        let key = OwnerKey::new(Kind::ResourceServer, "billing", "mcp");
        let server = desired(key, None, samples::resource_server("https://billing.example.com/mcp"));
        let client = desired(OwnerKey::new(Kind::OAuthClient, "web", "portal"), Some("portal"), samples::client());
        Self { house, server, client, provider, id: String::new(), seen: 0 }
    }

    pub async fn on(engine: Engine) -> Self {
        let mut stage = Self::empty(engine).await;
        stage.house.apply(&stage.provider).await;
        stage.id = stage.house.apply(&stage.server).await.entity_id;
        let attached = json!([{"name": "billing", "resourceServerID": stage.id, "scopes": ["invoices.read"]}]);
        stage.client = edited(&stage.client, "resources", attached);
        stage.house.apply(&stage.client).await;
        assert_eq!(stage.fresh().await, ["launched", "client_attached"]);
        stage
    }

    pub fn epoch(&self) -> Epoch {
        self.house.epoch()
    }

    /// A change by somebody else, settled by the leader; the types that follow, in order.
    pub async fn sql(&mut self, sql: &str) -> Vec<&'static str> {
        assert!(self.house.database.sql(&sql.replace("$rs", &format!("'{}'", self.id))).await > 0, "{sql}");
        self.house.store.settle(self.epoch()).await.unwrap();
        self.fresh().await
    }

    /// All records, the oldest first.
    pub async fn log(&self) -> Vec<ActivityRecord> {
        let mut tx = self.house.store.read().await.unwrap();
        let mut records = tx.activities(&self.id, &ActivityFilter::default(), 1000).await.unwrap();
        records.sort_by_key(|record| record.id);
        records
    }

    /// Those that were not seen before.
    pub async fn news(&mut self) -> Vec<ActivityRecord> {
        let seen = self.seen;
        let news: Vec<_> = self.log().await.into_iter().filter(|record| record.id > seen).collect();
        self.seen = news.last().map_or(seen, |record| record.id);
        for record in &news {
            let members = record.activity.event.members();
            let missing: Vec<_> =
                members.iter().filter(|member| !record.activity.payload.contains_key(**member)).collect();
            assert!(missing.is_empty(), "{:?} lacks {missing:?}: {:?}", record.activity.event, record.activity.payload);
            assert!(!Value::from(record.activity.payload.clone()).to_string().contains("hash\":\""), "a hash");
        }
        news
    }

    pub async fn fresh(&mut self) -> Vec<&'static str> {
        self.news().await.iter().map(|record| record.activity.event.as_str()).collect()
    }

    /// The types in the log.
    pub async fn types(&self) -> Vec<ActivityType> {
        self.log().await.iter().map(|record| record.activity.event).collect()
    }

    /// A literal of bytes.
    pub fn blob(&self) -> &'static str {
        match self.house.database.engine {
            Engine::Sqlite => "x'00'",
            Engine::Postgres => "'\\x00'",
        }
    }

    pub async fn server_spec(&self) -> Option<Spec> {
        self.house.spec(Kind::ResourceServer, &self.id).await
    }
}
