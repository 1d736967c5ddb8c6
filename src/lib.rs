//! Holdfast: policy held fast, from Kubernetes resources to issued tokens. Two doors, one corridor:
//! policy enters by `controller` or `directory`, a request by `http`; behind either the walk is
//! parse → load → decide (pure) → write in one transaction → commit → report.

pub mod activity;
pub mod app;
pub mod cli;
pub mod config;
pub mod controller;
pub mod crd;
pub mod directory;
pub mod domain;
pub mod http;
pub mod identity;
pub mod jobs;
pub mod limit;
pub mod manifest;
pub mod metrics;
pub mod oauth;
pub mod outbound;
pub mod provision;
pub mod seal;
pub mod store;
