//! The routers: one file per endpoint, apart for the public and the admin port.
