//! The typed recorders: what an edge calls when something has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Metrics;
use super::label::{
    Active, Check, ConsentDecision, ConsentFlow, ConsentRevoker, DeviceOutcome, Endpoint, Entity, Grant, LoginMethod,
    LoginProvider, Loss, Method, Operation, Outcome, ReconcileOutcome, RevocationOutcome, RevocationReason, Route,
    Status, Success, Verifier,
};
use crate::domain::activity::ActivityType;
use crate::domain::audit::AuditKind;
use crate::domain::desired::DriftMode;
use crate::domain::leadership::Epoch;
use crate::domain::observer::{ClientSource, DatabaseOperation, FetchOutcome, Observer, Suppressed};
use crate::domain::owner::Kind;
use crate::domain::refusal::Refusal;
use crate::domain::revocation::RevokeCause;
use crate::domain::spec::Class;
use crate::domain::user::SessionEnd;

impl Metrics {
    /// Starts the clock of a request at the authorization endpoint; dropping the guard counts it as abandoned.
    pub fn authorize_request(self: &Arc<Self>) -> AuthorizeTimer {
        AuthorizeTimer { metrics: Arc::clone(self), started: Instant::now(), outcome: Outcome::Abandoned }
    }

    /// Consent was given or denied, or nobody had to be asked.
    pub fn consent_decided(&self, decision: ConsentDecision, flow: ConsentFlow) {
        self.consent_decisions_total.with((decision, flow)).inc();
    }

    /// A consent was withdrawn.
    pub fn consent_revoked(&self, actor: ConsentRevoker) {
        self.consent_revoked_total.with((actor,)).inc();
    }

    /// Starts the clock of a token request; dropping the guard without an outcome counts it as abandoned.
    pub fn token_request(self: &Arc<Self>) -> TokenTimer {
        TokenTimer {
            metrics: Arc::clone(self),
            started: Instant::now(),
            grant: Grant::Unknown,
            outcome: Outcome::Abandoned,
        }
    }

    /// A token was issued.
    pub fn token_issued(&self, grant: Grant) {
        self.tokens_issued_total.with((grant,)).inc();
        if grant == Grant::DeviceCode {
            self.device_code(DeviceOutcome::Redeemed);
        }
        if grant == Grant::ClientCredentials {
            self.client_credentials_issued_total.with(()).inc();
        }
    }

    /// A request was refused; `grant` when it was a token request.
    pub fn denied(&self, grant: Option<Grant>, reason: Refusal) {
        self.auth_denied_total.with((reason,)).inc();
        match reason {
            Refusal::DeviceExpired if grant == Some(Grant::DeviceCode) => self.device_code(DeviceOutcome::Expired),
            Refusal::SlowDown => self.device_code(DeviceOutcome::SlowedDown),
            _ => {}
        }
        if let Refusal::InvalidProof(fault) = reason {
            self.dpop_proofs_rejected_total.with((fault,)).inc();
        }
        if grant == Some(Grant::TokenExchange) {
            self.token_exchange_denied_total.with((reason,)).inc();
        }
        if grant == Some(Grant::ClientCredentials) {
            self.client_credentials_denied_total.with((reason,)).inc();
        }
        if reason == Refusal::CodeUsed {
            self.auth_code_reuse_total.with((Verifier::Invalid,)).inc();
        }
    }

    /// A code or refresh token was used again, which ended so many access tokens.
    pub fn reused(&self, reason: Refusal, tokens: u64) {
        let reason = if reason == Refusal::RefreshReused {
            self.refresh_token_reuse_total.with(()).inc();
            RevocationReason::FamilyReuse
        } else {
            self.auth_code_reuse_total.with((Verifier::Valid,)).inc();
            RevocationReason::CodeReuse
        };
        self.revoked(reason, tokens);
    }

    /// An introspection was answered.
    pub fn introspected(&self, active: bool, took: Duration) {
        let active = if active { Active::True } else { Active::False };
        self.introspection_total.with((active,)).inc();
        self.introspection_duration_seconds.with(()).observe(took.as_secs_f64());
    }

    /// A revocation request was answered.
    pub fn revocation(&self, outcome: RevocationOutcome) {
        self.revocation_requests_total.with((outcome,)).inc();
    }

    /// Tokens were revoked.
    pub fn revoked(&self, reason: RevocationReason, tokens: u64) {
        self.tokens_revoked_total.with((reason,)).inc_by(tokens);
    }

    /// Somebody tries to sign in; dropping the guard without an outcome counts it as abandoned.
    pub fn login_attempt(self: &Arc<Self>) -> LoginAttempt {
        LoginAttempt { metrics: Arc::clone(self), outcome: Outcome::Abandoned }
    }

    /// Nobody looked at a password, because there were too many failures before it.
    pub fn login_locked_out(&self) {
        self.logins_locked_out_total.with(()).inc();
    }

    /// A request of the admin API was answered.
    pub fn admin_operation(&self, entity: Entity, operation: Operation, outcome: Outcome) {
        self.admin_operations_total.with((entity, operation, outcome)).inc();
    }

    /// A request was turned away by a rate limit.
    pub fn rate_limited(&self, endpoint: Endpoint) {
        self.rate_limit_exceeded_total.with((endpoint,)).inc();
    }

    /// Starts the clock of an HTTP request; dropping the guard without a status counts it as 499.
    pub fn http_request(self: &Arc<Self>, method: Method) -> HttpTimer {
        self.http_requests_in_flight.with(()).inc();
        HttpTimer {
            metrics: Arc::clone(self),
            started: Instant::now(),
            method,
            route: Route::Unknown,
            status: Status::S499,
        }
    }

    /// A reconciliation ended after `seconds`.
    pub fn reconcile(&self, kind: Kind, outcome: ReconcileOutcome, seconds: f64) {
        self.reconciles_total.with((kind, outcome)).inc();
        self.reconcile_duration_seconds.with((kind, outcome)).observe(seconds);
    }

    /// How many custom resources wait to be looked at.
    pub fn reconcile_queue(&self, waiting: usize) {
        self.reconcile_queue_depth.with(()).set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// How many custom resources of a kind there are, and how many are Ready.
    pub fn managed(&self, kind: Kind, total: i64, ready: i64) {
        self.managed_resources.with((kind,)).set(total);
        self.managed_resources_ready.with((kind,)).set(ready);
    }

    /// How many objects have drift that stands.
    pub fn drift_active(&self, kind: Kind, class: Class, mode: DriftMode, objects: i64) {
        self.drift_active.with((kind, class, mode)).set(objects);
    }

    /// A Kubernetes Event was sent, or could not be.
    pub fn kubernetes_event(&self, ok: bool) {
        self.kubernetes_events_published_total.with((success(ok),)).inc();
    }

    /// A status was patched.
    pub fn status_write(&self, kind: Kind) {
        self.status_writes_total.with((kind,)).inc();
    }

    /// A watch broke and is begun again.
    pub fn watch_error(&self, kind: Kind) {
        self.watch_errors_total.with((kind,)).inc();
    }

    /// How many generated secrets are used in the last tenth of their overlap.
    pub fn secret_rotation_overdue(&self, secrets: i64) {
        self.secret_rotation_overdue.with(()).set(secrets);
    }

    /// Whether this process leads, and under which epoch; call it when that changes.
    pub fn leader(&self, epoch: Option<Epoch>) {
        let leader = self.leader.with(());
        let now = i64::from(epoch.is_some());
        if leader.get() != now {
            self.leader_transitions_total.with(()).inc();
        }
        leader.set(now);
        if let Some(Epoch(epoch)) = epoch {
            self.leader_epoch.with(()).set(epoch);
        }
    }

    /// What a health check found.
    pub fn health(&self, check: Check, ok: bool) {
        self.healthy.with((check,)).set(i64::from(ok));
        let failures = self.health_check_failures_consecutive.with((check,));
        if ok {
            failures.set(0);
        } else {
            failures.inc();
        }
    }
}

const fn success(ok: bool) -> Success {
    if ok { Success::Success } else { Success::Error }
}

impl Observer for Metrics {
    fn drift_detected(&self, kind: Kind, class: Class, mode: DriftMode, latency: Option<Duration>) {
        self.drift_detected_total.with((kind, class, mode)).inc();
        if let Some(latency) = latency {
            self.drift_detection_latency_seconds.with((kind,)).observe(latency.as_secs_f64());
        }
    }

    fn drift_corrected(&self, kind: Kind, class: Class, ok: bool) {
        self.drift_corrected_total.with((kind, class, success(ok))).inc();
    }

    fn database(&self, operation: DatabaseOperation, took: Duration, ok: bool) {
        self.db_operation_duration_seconds.with((operation,)).observe(took.as_secs_f64());
        if !ok {
            self.db_errors_total.with((operation,)).inc();
        }
    }

    fn keys_reloaded(&self, took: Duration) {
        self.signing_key_reload_duration_seconds.with(()).observe(took.as_secs_f64());
    }

    fn audited(&self, kind: AuditKind, records: u64) {
        self.audit_events_total.with((kind,)).inc_by(records);
    }

    fn audit_dropped(&self, records: u64) {
        self.audit_events_dropped_total.with((Loss::WriteFailed,)).inc_by(records);
    }

    fn activity(&self, event: ActivityType) {
        self.drift_events_total.with((event,)).inc();
    }

    fn session_started(&self) {
        self.sessions_created_total.with(()).inc();
    }

    fn session_ended(&self, reason: SessionEnd, sessions: u64) {
        self.sessions_ended_total.with((reason,)).inc_by(sessions);
    }

    fn document_fetched(&self, outcome: FetchOutcome, took: Duration) {
        self.cimd_fetch_duration_seconds.with((outcome,)).observe(took.as_secs_f64());
    }

    fn document_fetch_suppressed(&self, why: Suppressed) {
        self.cimd_fetch_suppressed_total.with((why,)).inc();
    }

    fn client_registered(&self, source: ClientSource) {
        self.clients_registered_total.with((source,)).inc();
    }

    fn grants_revoked(&self, cause: RevokeCause, grants: u64) {
        self.grants_revoked_total.with((cause,)).inc_by(grants);
    }

    fn feed_lag(&self, lag: Duration) {
        self.change_feed_lag_seconds.with(()).set(lag.as_secs_f64());
    }
}

/// Measures one token request, whichever way it ends.
pub struct TokenTimer {
    metrics: Arc<Metrics>,
    started: Instant,
    grant: Grant,
    outcome: Outcome,
}

impl TokenTimer {
    /// Says which grant it turned out to be.
    pub fn grant(&mut self, grant: Grant) {
        self.grant = grant;
    }

    /// Says how it ended.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for TokenTimer {
    fn drop(&mut self) {
        let labels = (self.grant, self.outcome);
        self.metrics.token_requests_total.with(labels).inc();
        if self.grant == Grant::RefreshToken {
            self.metrics.tokens_refreshed_total.with((self.outcome,)).inc();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        self.metrics.token_issuance_duration_seconds.with(labels).observe(seconds);
    }
}

/// Measures one request at the authorization endpoint, whichever way it ends.
pub struct AuthorizeTimer {
    metrics: Arc<Metrics>,
    started: Instant,
    outcome: Outcome,
}

impl AuthorizeTimer {
    /// Says how it ended.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for AuthorizeTimer {
    fn drop(&mut self) {
        self.metrics.authorize_requests_total.with((self.outcome,)).inc();
        let seconds = self.started.elapsed().as_secs_f64();
        self.metrics.authorize_duration_seconds.with((self.outcome,)).observe(seconds);
    }
}

/// Counts one attempt to sign in, whichever way it ends.
pub struct LoginAttempt {
    metrics: Arc<Metrics>,
    outcome: Outcome,
}

impl LoginAttempt {
    /// Says how it ended.
    pub fn end(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for LoginAttempt {
    fn drop(&mut self) {
        let labels = (LoginMethod::Password, LoginProvider::Local, self.outcome);
        self.metrics.login_attempts_total.with(labels).inc();
    }
}

/// Measures one HTTP request, whichever way it ends.
pub struct HttpTimer {
    metrics: Arc<Metrics>,
    started: Instant,
    method: Method,
    route: Route,
    status: Status,
}

impl HttpTimer {
    /// Says which route it turned out to be.
    pub fn route(&mut self, route: Route) {
        self.route = route;
    }

    /// Says how it was answered.
    pub fn end(mut self, status: u16) {
        self.status = Status::of(status);
    }
}

impl Drop for HttpTimer {
    fn drop(&mut self) {
        self.metrics.http_requests_in_flight.with(()).dec();
        self.metrics.http_requests_total.with((self.method, self.route, self.status)).inc();
        let seconds = self.started.elapsed().as_secs_f64();
        self.metrics.http_request_duration_seconds.with((self.method, self.route)).observe(seconds);
    }
}
