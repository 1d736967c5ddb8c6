//! One integration binary; its tree mirrors `src`.
mod crd;
mod support;
mod tidy;
