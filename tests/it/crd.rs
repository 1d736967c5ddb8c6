//! The custom resource definitions, as files and on a real API server.

mod generated;
