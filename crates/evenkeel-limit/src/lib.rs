#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// file              | holds, in reading order
// rate.rs           | `Rate`
// rate_limiter.rs   | `RateLimiter` and its builder
//   acquire.rs      | requests and their futures
//   core.rs         | the part that handles share; state.rs: the data under its lock
//   fast_path.rs    | the bucket in one atomic word, without a lock
//   timers.rs       | the timers that wake the core, one for each runtime
//   reservation.rs  | permits that can be put back; adjust.rs: set_rate, pauses, close
// clock.rs          | `Clock`, and the processor's counter
// algorithm.rs      | token bucket (bucket.rs) or sliding window (window.rs), on clock.rs
// sync.rs           | sync/: wait queue, stage and place of a request, timer of a runtime, loom's primitives
// concurrency.rs    | `ConcurrencyLimiter`
// keyed.rs          | `Keyed`, a limit for each key
// keyed_concurrency.rs | `KeyedConcurrency`, a concurrency limit for each key
// distributed.rs    | `Distributed`, a quota in a store
// all_of.rs         | permits of several limits, or none
// error.rs          | `Denied`; snapshot.rs: `Snapshot`; telemetry.rs: events and counters
// http.rs, serde.rs, stream.rs, tower.rs | a feature each
// client_ip.rs      | `client_ip`, the key of a client; guide.rs: the guide

mod algorithm;
mod all_of;
mod client_ip;
mod clock;
mod concurrency;
pub mod distributed;
mod error;
pub mod guide;
#[cfg(feature = "http")]
pub mod http;
mod keyed;
mod keyed_concurrency;
mod rate;
mod rate_limiter;
#[cfg(feature = "serde")]
mod serde;
mod snapshot;
#[cfg(feature = "stream")]
pub mod stream;
mod sync;
mod telemetry;
#[cfg(feature = "tower")]
pub mod tower;

pub use all_of::{AllPermits, Demand, all_of, try_all_of};
pub use client_ip::client_ip;
#[cfg(feature = "quanta")]
pub use clock::Clock;
pub use concurrency::{AcquirePermit, Adaptive, ConcurrencyLimiter, ConcurrencySnapshot, Permit};
pub use distributed::Distributed;
pub use error::{Denied, Reason};
pub use keyed::Keyed;
pub use keyed_concurrency::{AcquireKeyPermit, KeyPermit, KeyedConcurrency};
pub use rate::{InvalidRate, Rate};
pub use rate_limiter::{
    RateLimiter,
    acquire::{Acquire, AcquireMany},
    reservation::{Reservation, Reserve},
};
pub use snapshot::Snapshot;
