//! Apply a `Desired`: load, compare, write one transaction, commit.
