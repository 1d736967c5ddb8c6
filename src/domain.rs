//! What the product is about, free of I/O: policy, the three-way comparison, and what may be issued.
//!
//! Two pure hearts: [`diff::plan`] says what should change, [`decide::client_credentials`] and
//! [`decide::introspection`] say what may be issued and who may look.

pub mod access;
pub mod activity;
pub mod actor;
pub mod audit;
pub mod authorize;
pub mod brake;
pub mod chain;
pub mod client;
pub mod clock;
pub mod consent;
pub mod credential;
pub mod decide;
pub mod decision;
pub mod desired;
pub mod diff;
pub mod drift;
pub mod enforcement;
pub mod handle;
pub mod key_home;
pub mod leadership;
pub mod managed;
pub mod observer;
pub mod orphan;
pub mod outcome;
pub mod owner;
pub mod policy;
pub mod population;
pub mod proof;
pub mod provider;
pub mod purge;
pub mod reason;
pub mod redirect;
pub mod refusal;
pub mod resource_server;
pub mod reviewer;
pub mod revocation;
pub mod secret;
pub mod signing_key;
pub mod source;
pub mod spec;
pub mod tool_manifest;
pub mod user;

pub use activity::{Activity, ActivityFilter, ActivityRecord, ActivityType, Cause, Launch};
pub use actor::Actor;
pub use audit::{AuditEvent, AuditKind, Record};
pub use chain::chain;
pub use clock::{Clock, Entropy};
pub use credential::{Credential, CredentialState};
pub use desired::{AdoptionPolicy, DeletionPolicy, Desired, DriftMode};
pub use key_home::{KeyHome, KeyHomeError};
pub use leadership::{Epoch, Leadership};
pub use managed::{Managed, Report};
pub use observer::Observer;
pub use outcome::{ObjectStatus, StatusBoard};
pub use owner::{Kind, Owner, OwnerKey};
pub use reason::Reason;
pub use refusal::Refusal;
pub use secret::{SecretHash, SecretText};
pub use spec::{Class, FieldMap, Spec};
pub use user::{Account, AccountRole, Email, SessionEnd, SignedIn};
