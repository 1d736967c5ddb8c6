use super::*;
use crate::domain::observer::Observer;

#[test]
fn every_metric_of_the_catalogue_is_visible_before_anything_happens() {
    let text = Metrics::new().unwrap().render().unwrap();
    for (name, kind, labels, help) in CATALOG {
        assert!(text.contains(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")), "{name}");
        let labels = labels.iter().any(|label| !text.contains(&format!("{label}=\"")));
        assert!(!labels, "a label of {name}");
    }
    assert!(text.contains("process_resident_memory_bytes"));
    assert!(text.contains("holdfast_drift_detected_total{class=\"security\",kind=\"OAuthClient\",mode=\"Enforce\"} 0"));
    assert!(text.lines().count() < 4000, "{}", text.lines().count());
}

#[test]
fn a_dropped_timer_is_abandoned_and_never_a_success() {
    let metrics = Metrics::new().unwrap();
    drop(metrics.token_request());
    let mut timer = metrics.token_request();
    timer.grant(Grant::ClientCredentials);
    timer.end(Outcome::Success);
    drop(metrics.http_request(Method::of("BREW")));
    let text = metrics.render().unwrap();
    for line in [
        "holdfast_token_requests_total{grant_type=\"unknown\",outcome=\"abandoned\"} 1",
        "holdfast_token_requests_total{grant_type=\"client_credentials\",outcome=\"success\"} 1",
        "holdfast_http_requests_total{method=\"other\",route=\"unknown\",status=\"499\"} 1",
        "holdfast_http_requests_in_flight 0",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn every_refusal_and_status_has_its_own_label() {
    let metrics = Metrics::new().unwrap();
    Refusal::ALL.into_iter().for_each(|reason| metrics.denied(Some(Grant::ClientCredentials), reason));
    let text = metrics.render().unwrap();
    for reason in Refusal::ALL {
        assert!(text.contains(&format!("holdfast_auth_denied_total{{reason=\"{}\"}} 1", reason.as_str())));
    }
    assert_eq!((Status::of(405), Status::of(418)), (Status::S405, Status::Other));
}

#[test]
fn failures_are_counted_until_a_check_passes_and_the_observer_speaks_to_the_catalogue() {
    let metrics = Metrics::new().unwrap();
    metrics.health(Check::Database, false);
    metrics.health(Check::Database, false);
    metrics.database(DatabaseOperation::Issue, std::time::Duration::from_millis(3), false);
    let text = metrics.render().unwrap();
    assert!(text.contains("holdfast_health_check_failures_consecutive{check=\"database\"} 2"));
    assert!(text.contains("holdfast_db_errors_total{operation=\"issue\"} 1"));
    metrics.health(Check::Database, true);
    assert!(metrics.render().unwrap().contains("holdfast_health_check_failures_consecutive{check=\"database\"} 0"));
}
