//! The promises of evenkeel-stream, one module each.

mod batch;
mod drop;
mod end;
mod fail_fast;
mod hazards;
mod limit;
mod order;
mod paginate;
mod panics;
mod pin;
mod prefetch;
mod settled;
#[cfg(feature = "tracing")]
mod spans;
mod support;
mod threads;
