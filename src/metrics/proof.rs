//! What is recorded of proofs, devices and exchanges.

use super::Metrics;
use super::label::{Assurance, DeviceOutcome};
use crate::domain::decide::exchange::ExchangeKind;

impl Metrics {
    /// A token was exchanged.
    pub fn token_exchanged(&self, kind: ExchangeKind) {
        self.token_exchange_total.with((kind,)).inc();
    }

    /// An agent was issued a token.
    pub fn agent_token_issued(&self, assurance: Assurance) {
        self.agent_tokens_issued_total.with((assurance,)).inc();
    }

    /// A user decided about a device, so many seconds after it had asked.
    pub fn device_decided(&self, approved: bool, seconds: f64) {
        if approved {
            self.device_code(DeviceOutcome::Approved);
            self.device_authorization_duration_seconds.with(()).observe(seconds);
        } else {
            self.device_code(DeviceOutcome::Denied);
        }
    }

    /// Something became of a device code.
    pub fn device_code(&self, outcome: DeviceOutcome) {
        self.device_codes_total.with((outcome,)).inc();
    }

    /// A request with a DPoP proof was answered as asked.
    pub fn proof_validated(&self) {
        self.dpop_proofs_validated_total.with(()).inc();
    }
}
