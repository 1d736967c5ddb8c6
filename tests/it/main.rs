//! One integration binary; its tree mirrors `src`.
mod config;
mod crd;
mod support;
mod seal;
mod tidy;
