//! Configuration: one section per file, every key documented, unknown keys refused.
