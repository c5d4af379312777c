//! The promises of evenkeel-pipeline, one module each.

mod basics;
mod control;
mod crashes;
mod drain;
mod leases;
mod support;
mod traits;
