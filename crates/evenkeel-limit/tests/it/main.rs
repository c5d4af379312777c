//! What the limiter promises, on its public API and on tokio's clock.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod adaptive;
mod all_of;
mod api;
mod cancel;
mod concurrency;
mod distributed;
mod distributed_api;
mod distributed_cuts;
mod distributed_faults;
mod distributed_leases;
mod distributed_mistakes;
mod distributed_policies;
mod distributed_suite;
mod distributed_wakers;
mod distributed_windows;
mod foreign_keys;
mod foreign_wakers;
mod histories;
#[cfg(feature = "http")]
mod http;
mod instruments;
mod keyed;
mod many_windows;
mod model;
mod numbers;
mod pauses;
mod queue;
mod rate_change;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod report;
mod runtimes;
#[cfg(feature = "serde")]
mod serde;
mod sliding;
mod slots;
mod steering;
#[cfg(feature = "stream")]
mod stream;
mod threads;
mod timeline;
#[cfg(feature = "tower")]
mod tower;
mod windows;
