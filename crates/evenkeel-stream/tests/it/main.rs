//! The promises of evenkeel-stream, one module each.

mod batch;
mod blocked_threads;
mod cancel;
mod compiles;
mod compiles_queue;
mod fail_fast;
mod generate;
mod hook;
mod hostile;
#[cfg(feature = "http")]
mod http;
mod keyed;
mod limit;
mod merge;
mod order;
mod paginate;
mod paginate_offset;
mod panics;
mod prefetch;
mod progress;
mod queue;
mod queue_fairness;
mod queue_hostile;
mod refill;
mod settled;
mod stream_contract;
mod support;
#[cfg(feature = "tracing")]
mod telemetry;
mod threads;
mod workers;
