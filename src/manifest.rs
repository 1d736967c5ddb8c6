//! Custom resources to `Desired` and back: parse, validate, resolve. Pure.
