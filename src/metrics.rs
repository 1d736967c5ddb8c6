//! Every metric this process exports. A metric that is not here does not exist.

mod decision;
mod drift;
mod enforcement;
mod family;
mod housekeeping;
pub mod label;
mod proof;
mod record;
mod routes;

use std::sync::Arc;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, Histogram, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use self::decision::Decisions;
use self::enforcement::ByResourceServer;
pub use self::enforcement::{DEFAULT_MOST, Enforced};
pub use self::family::Label;
use self::family::{Family, HumanHistogram, Metric};
pub use self::label::{
    Active, Assurance, Check, ConsentDecision, ConsentFlow, ConsentRevoker, DeviceOutcome, Endpoint, Entity, Grant,
    LoginMethod, LoginProvider, Loss, Method, Operation, Outcome, Publication, ReconcileOutcome, Refresh,
    RevocationOutcome, RevocationReason, Route, Status, Success, Verifier,
};
pub use self::record::{AuthorizeTimer, HttpTimer, LoginAttempt, TokenTimer};
use crate::domain::activity::ActivityType;
use crate::domain::audit::AuditKind;
use crate::domain::client::ClientState;
use crate::domain::decide::exchange::ExchangeKind;
use crate::domain::desired::DriftMode;
use crate::domain::observer::{ClientSource, DatabaseOperation, FetchOutcome, Suppressed};
use crate::domain::owner::Kind;
use crate::domain::proof::ProofFault;
use crate::domain::purge::PurgeTarget;
use crate::domain::refusal::Refusal;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::revocation::RevokeCause;
use crate::domain::spec::Class;
use crate::domain::user::{AuthSource, SessionEnd};

/// What can go wrong with metrics.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name or label is not what Prometheus allows, or is declared twice.
    #[error("failed to register a metric")]
    Register(#[source] prometheus::Error),
    #[error("failed to write the metrics as text")]
    Render(#[source] prometheus::Error),
}

macro_rules! touch {
    ($family:expr, lazily) => {};
    ($family:expr) => {
        $family.touch()
    };
}

macro_rules! catalog {
    ($( #[doc = $help:literal] $name:ident : $metric:ident { $($label:ident : $set:ident),* } $($lazily:ident)? ),* $(,)?) => {
        /// The recorders; see the methods for who records what.
        pub struct Metrics {
            registry: Registry,
            build_info: IntGaugeVec,
            by_resource_server: ByResourceServer,
            decisions: Decisions,
            $( #[doc = $help] $name: Family<$metric, ($($set,)*)>, )*
        }

        /// Name, kind, labels and help of every metric: the README's table and the alert rules are checked against it.
        pub const CATALOG: &[(&str, &str, &[&str], &str)] = &[
            $( (concat!("holdfast_", stringify!($name)), <$metric as Metric>::KIND, &[$(stringify!($label)),*], $help.trim_ascii()), )*
            enforcement::VERSION,
            enforcement::LAG,
            enforcement::POINTS,
            decision::TOTAL,
            decision::DURATION,
            (BUILD_INFO.0, "gauge", BUILD_INFO.1, BUILD_INFO.2),
        ];

        impl Metrics {
            fn declare() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $( let $name = Family::register(
                    &registry,
                    concat!("holdfast_", stringify!($name)),
                    $help.trim_ascii(),
                    &[$(stringify!($label)),*],
                )?; )*
                let build_info = IntGaugeVec::new(Opts::new(BUILD_INFO.0, BUILD_INFO.2), BUILD_INFO.1)?;
                registry.register(Box::new(build_info.clone()))?;
                registry.register(Box::new(ProcessCollector::for_self()))?;
                let by_resource_server = ByResourceServer::register(&registry)?;
                let decisions = Decisions::register(&registry)?;
                Ok(Self { registry, build_info, by_resource_server, decisions, $( $name ),* })
            }

            /// Makes every combination that can occur visible as zero.
            fn touch(&self) {
                $( touch!(self.$name $(, $lazily)?); )*
            }
        }
    };
}

const BUILD_INFO: (&str, &[&str], &str) =
    ("holdfast_build_info", &["version", "commit", "built", "rustc"], "Always 1; what is running, in its labels");

catalog! {
    /// Tokens issued
    tokens_issued_total: IntCounter { grant_type: Grant },
    /// Token requests answered
    token_requests_total: IntCounter { grant_type: Grant, outcome: Outcome },
    /// Seconds from a token request to its answer
    token_issuance_duration_seconds: Histogram { grant_type: Grant, outcome: Outcome },
    /// Refresh requests answered
    tokens_refreshed_total: IntCounter { outcome: Outcome },
    /// Refresh tokens used again after the grace window: each ended its family
    refresh_token_reuse_total: IntCounter {},
    /// Authorization codes redeemed again; with the valid verifier each ended what it was first redeemed for
    auth_code_reuse_total: IntCounter { verifier: Verifier },
    /// Tokens revoked
    tokens_revoked_total: IntCounter { reason: RevocationReason },
    /// Revocation requests answered
    revocation_requests_total: IntCounter { outcome: RevocationOutcome },
    /// Introspections answered
    introspection_total: IntCounter { active: Active },
    /// Seconds from an introspection request to its answer
    introspection_duration_seconds: Histogram {},
    /// Requests refused at the token, introspection and revocation endpoints
    auth_denied_total: IntCounter { reason: Refusal },
    /// Requests at the authorization endpoint answered
    authorize_requests_total: IntCounter { outcome: Outcome },
    /// Seconds from a request at the authorization endpoint to its answer
    authorize_duration_seconds: Histogram { outcome: Outcome },
    /// Decisions about consent
    consent_decisions_total: IntCounter { decision: ConsentDecision, flow: ConsentFlow },
    /// Consents withdrawn
    consent_revoked_total: IntCounter { actor: ConsentRevoker },
    /// Tokens issued by client_credentials
    client_credentials_issued_total: IntCounter {},
    /// Requests for client_credentials refused
    client_credentials_denied_total: IntCounter { reason: Refusal },
    /// Logins attempted
    login_attempts_total: IntCounter { method: LoginMethod, provider: LoginProvider, outcome: Outcome },
    /// Logins turned away after too many failures
    logins_locked_out_total: IntCounter {},
    /// Login sessions begun
    sessions_created_total: IntCounter {},
    /// Login sessions ended
    sessions_ended_total: IntCounter { reason: SessionEnd },
    /// Login sessions that are neither ended nor idle for too long; told by the leader
    sessions_active: IntGauge {},
    /// Accounts of people; told by the leader
    users_registered: IntGauge {},
    /// Accounts that may sign in; told by the leader
    users_active: IntGauge { auth_source: AuthSource },
    /// OAuth clients; told by the leader
    oauth_clients_registered: IntGauge { status: ClientState, source: ClientSource },
    /// Grants of users that are neither ended nor expired; told by the leader
    active_grants: IntGauge {},
    /// Grants that can still be refreshed; told by the leader
    active_token_families: IntGauge {},
    /// When the leader last counted users, sessions, clients and grants, in seconds since 1970
    population_last_success_timestamp_seconds: Gauge {},
    /// Tokens exchanged
    token_exchange_total: IntCounter { kind: ExchangeKind },
    /// Requests for an exchange refused
    token_exchange_denied_total: IntCounter { reason: Refusal },
    /// Tokens issued to agents
    agent_tokens_issued_total: IntCounter { assurance: Assurance },
    /// What became of device codes
    device_codes_total: IntCounter { outcome: DeviceOutcome },
    /// Seconds from the request of a device to its user's consent
    device_authorization_duration_seconds: HumanHistogram {},
    /// Requests answered as asked that came with a DPoP proof, of whichever endpoint
    dpop_proofs_validated_total: IntCounter {},
    /// DPoP proofs that did not hold; a request for a nonce is none
    dpop_proofs_rejected_total: IntCounter { reason: ProofFault },
    /// Requests of the admin API
    admin_operations_total: IntCounter { entity: Entity, op: Operation, outcome: Outcome },
    /// Requests turned away by a rate limit
    rate_limit_exceeded_total: IntCounter { endpoint: Endpoint },
    /// Records of the audit written
    audit_events_total: IntCounter { kind: AuditKind },
    /// Records of the audit lost
    audit_events_dropped_total: IntCounter { cause: Loss },
    /// Grants of users ended before their time, with those made from them
    grants_revoked_total: IntCounter { cause: RevokeCause },
    /// Clients that came into being
    clients_registered_total: IntCounter { source: ClientSource },
    /// Seconds that fetching a client ID metadata document took
    cimd_fetch_duration_seconds: Histogram { outcome: FetchOutcome },
    /// Client ID metadata documents that were not fetched although somebody asked for them
    cimd_fetch_suppressed_total: IntCounter { reason: Suppressed },
    /// Requests for a policy answered, and policies sent to those who listen
    policy_refreshes_total: IntCounter { outcome: Refresh },
    /// Manifests that MCP servers sent
    manifests_published_total: IntCounter { outcome: Publication },
    /// Batches of decisions that enforcement points sent
    activity_ingested_total: IntCounter { outcome: Publication },
    /// HTTP requests answered
    http_requests_total: IntCounter { method: Method, route: Route, status: Status } lazily,
    /// Seconds from an HTTP request to its answer
    http_request_duration_seconds: Histogram { method: Method, route: Route } lazily,
    /// HTTP requests being answered
    http_requests_in_flight: IntGauge {},
    /// Seconds that statements and transactions took
    db_operation_duration_seconds: Histogram { operation: DatabaseOperation },
    /// Statements and transactions that failed
    db_errors_total: IntCounter { operation: DatabaseOperation },
    /// Seconds that the in-memory policy lags behind the database
    change_feed_lag_seconds: Gauge {},
    /// What happened to live policies, whoever did it
    drift_events_total: IntCounter { type: ActivityType },
    /// Fields found changed behind the operator's back
    drift_detected_total: IntCounter { kind: Kind, class: Class, mode: DriftMode },
    /// Drifted fields put right
    drift_corrected_total: IntCounter { kind: Kind, class: Class, result: Success },
    /// Objects with drift that stands; told by the leader
    drift_active: IntGauge { kind: Kind, class: Class, mode: DriftMode },
    /// Brakes that hold deletions until somebody confirms them; told by the leader
    mass_change_brakes_open: IntGauge {},
    /// Deletions that a brake holds; told by the leader
    deletions_held: IntGauge { kind: Kind },
    /// When all rows of the kind were last compared with what was applied, in seconds since 1970
    drift_scan_last_success_timestamp_seconds: Gauge { kind: Kind },
    /// Seconds it took to compare all rows of the kind
    drift_scan_duration_seconds: Histogram { kind: Kind },
    /// Rows in force whose resource is gone; told by the leader
    orphan_rows: IntGauge { kind: Kind },
    /// Rows that no resource owns; told by the leader
    unmanaged_rows: IntGauge { kind: Kind },
    /// Resources that ask for what another one holds; told by the leader
    ownership_conflicts: IntGauge { kind: Kind },
    /// Seconds from a change behind the operator's back to its detection
    drift_detection_latency_seconds: Histogram { kind: Kind },
    /// Reconciliations finished
    reconciles_total: IntCounter { kind: Kind, outcome: ReconcileOutcome },
    /// Seconds a reconciliation took
    reconcile_duration_seconds: Histogram { kind: Kind, outcome: ReconcileOutcome },
    /// Custom resources that wait to be looked at; told by the leader
    reconcile_queue_depth: IntGauge {},
    /// Custom resources under management
    managed_resources: IntGauge { kind: Kind },
    /// Custom resources under management that are Ready
    managed_resources_ready: IntGauge { kind: Kind },
    /// Kubernetes Events published
    kubernetes_events_published_total: IntCounter { outcome: Success },
    /// Status patches sent
    status_writes_total: IntCounter { kind: Kind },
    /// Watches that failed
    watch_errors_total: IntCounter { kind: Kind },
    /// Generated secrets whose replaced value is used close to its end
    secret_rotation_overdue: IntGauge {},
    /// 1 while this process leads
    leader: IntGauge {},
    /// The fencing epoch of this process's last leadership
    leader_epoch: IntGauge {},
    /// Times this process began or ceased to lead
    leader_transitions_total: IntCounter {},
    /// Seconds since the signing key was made
    signing_key_age_seconds: Gauge { alg: SigningAlgorithm },
    /// Signing keys that became active
    signing_key_rotations_total: IntCounter { alg: SigningAlgorithm },
    /// Seconds it took to read the signing keys again
    signing_key_reload_duration_seconds: Histogram {},
    /// Rows cleared away
    purge_rows_total: IntCounter { target: PurgeTarget },
    /// When the target was last cleared whole, in seconds since 1970
    purge_last_success_timestamp_seconds: Gauge { target: PurgeTarget },
    /// 1 while the check passes
    healthy: IntGauge { check: Check },
    /// Failures of the check in a row
    health_check_failures_consecutive: IntGauge { check: Check },
}

impl Metrics {
    /// All metrics, each combination of labels that can occur at zero.
    ///
    /// # Errors
    /// When a metric is declared twice, which a test rules out.
    pub fn new() -> Result<Arc<Self>, Error> {
        let metrics = Self::declare().map_err(Error::Register)?;
        metrics.touch();
        metrics.touch_http();
        let known = |text: Option<&'static str>| text.unwrap_or("unknown");
        let version = env!("CARGO_PKG_VERSION");
        let commit = known(option_env!("HOLDFAST_COMMIT"));
        let built = known(option_env!("HOLDFAST_BUILT"));
        let rustc = known(option_env!("HOLDFAST_RUSTC"));
        metrics.build_info.with_label_values(&[version, commit, built, rustc]).set(1);
        Ok(Arc::new(metrics))
    }

    /// The Prometheus text format, version 0.0.4.
    ///
    /// # Errors
    /// When a metric cannot be written as text.
    pub fn render(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(Error::Render)
    }
}

#[cfg(test)]
mod tests;
