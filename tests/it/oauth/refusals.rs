//! What strangers are refused is summed up in the audit.

use holdfast::domain::AuditKind;
use serde_json::json;

use super::harness::{answer, server};

/// IV-7: however often a stranger comes, there is one record for source and reason, with how many they were.
#[tokio::test]
async fn refusals_before_authentication_are_one_record_a_minute() {
    let server = server().await;
    for _ in 0..5 {
        let request = server.http.post(format!("{}/oauth/token", server.public)).basic_auth("nobody", Some("wrong"));
        assert_eq!(answer(request.form(&[("grant_type", "client_credentials")])).await.status, 401);
    }
    let list = server.http.get(format!("{}/admin/resources", server.admin)).bearer_auth("wrong");
    assert_eq!(answer(list).await.status, 401);
    server.server.write_refusals().await.unwrap();
    server.server.write_refusals().await.unwrap();
    let events = server.store.read().await.unwrap().audit_events(Some(AuditKind::RequestsRefused), 10).await.unwrap();
    let mut told: Vec<_> = events.iter().map(|event| (event.source.as_deref(), event.detail.clone())).collect();
    told.sort_by_key(|(_, detail)| detail.to_string());
    let invalid = json!({"reason": "invalid_client", "count": 5});
    let unknown = json!({"reason": "unknown_api_key", "count": 1});
    assert_eq!(told, [(Some("127.0.0.1"), unknown), (Some("127.0.0.1"), invalid)]);
    assert!(events.iter().all(|event| event.who.as_str() == "server" && event.client_id.is_none()));
    assert!(server.metric("holdfast_audit_events_total{kind=\"requests_refused\"} 2"));
}
