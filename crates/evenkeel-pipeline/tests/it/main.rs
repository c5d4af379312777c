//! The promises of evenkeel-pipeline, one module each.

mod answers;
mod basics;
mod blocked_threads;
mod cancel;
mod clocks;
mod compiles;
mod control;
mod crashes;
mod drain;
mod errors;
mod fenced;
mod hostile;
mod leases;
mod low_water;
mod merge;
mod support;
mod threads;
mod traits;
