//! The custom resource types; their field docs are what `kubectl explain` prints.
