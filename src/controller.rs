//! The cluster's door: custom resources in, conditions, Events and Secrets out.
