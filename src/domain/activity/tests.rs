//! The derivation, on change rows as the triggers write them.
