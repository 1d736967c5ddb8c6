//! What only the leader runs, on a schedule.
