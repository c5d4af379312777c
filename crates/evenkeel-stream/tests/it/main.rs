//! The promises of evenkeel-stream, one module each.

mod batch;
mod cancel;
mod compiles;
mod fail_fast;
mod generate;
mod hostile;
mod keyed;
mod hook;
#[cfg(feature = "http")]
mod http;
mod limit;
mod merge;
mod order;
mod paginate;
mod paginate_offset;
mod panics;
mod prefetch;
mod progress;
mod queue;
mod refill;
mod queue_hostile;
mod settled;
mod stream_contract;
mod support;
#[cfg(feature = "tracing")]
mod telemetry;
mod threads;
mod workers;
