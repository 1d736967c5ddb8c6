//! The one catalogue of metrics; a metric that is not here does not exist.
