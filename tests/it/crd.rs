//! The custom resource definitions: as files, on a real API server, and checked in process.

mod generated;
mod largest;
mod rows;
mod rules;
mod samples;
mod served;
