//! What the leader does by itself, in the real program.

mod keys;
mod population;
mod purge;
