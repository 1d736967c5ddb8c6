//! Wiring: builds every room once, runs every task under one cancellation token, and turns endings into exit codes.
