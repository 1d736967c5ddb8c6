//! The protocol: client authentication, grants, introspection, revocation, metadata, signing.
