//! The promises of the limiters, tested on their public API and on tokio's clock.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod adaptive;
mod all_of;
mod arithmetic;
mod cancel;
mod compiles;
mod concurrency;
mod concurrency_histories;
mod distributed;
mod fixtures;
mod foreign_keys;
mod foreign_panics;
mod foreign_wakers;
mod guide;
mod histories;
#[cfg(feature = "http")]
mod http;
mod keyed;
mod keyed_concurrency;
mod keyed_fast;
mod model;
mod pauses;
mod queue;
mod rate_bound;
mod rate_bound_seeds;
mod rate_change;
mod reconfigure;
mod runtimes;
#[cfg(feature = "serde")]
mod serde;
mod sliding;
#[cfg(feature = "stream")]
mod stream;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod telemetry;
mod threads;
#[cfg(feature = "tower")]
mod tower;
