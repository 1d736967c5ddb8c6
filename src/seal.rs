//! Envelope encryption of secrets at rest under the master key.
