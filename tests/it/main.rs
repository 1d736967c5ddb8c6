//! One integration binary; its tree mirrors `src`.
mod tidy;
