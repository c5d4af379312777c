#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
mod all_of;
mod client_ip;
mod concurrency;
pub mod distributed;
mod error;
pub mod guide;
#[cfg(feature = "http")]
pub mod http;
mod keyed;
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
pub use concurrency::{AcquirePermit, Adaptive, ConcurrencyLimiter, ConcurrencySnapshot, Permit};
pub use distributed::Distributed;
pub use error::{Denied, Reason};
pub use keyed::Keyed;
pub use rate::{InvalidRate, Rate};
pub use rate_limiter::{
    RateLimiter,
    acquire::{Acquire, AcquireMany},
    reservation::{Reservation, Reserve},
};
pub use snapshot::Snapshot;
