#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acquire;
mod alarms;
mod all_of;
mod atomics;
mod bucket;
mod client_ip;
mod clock;
mod concurrency;
mod control;
mod denied;
pub mod distributed;
pub mod guide;
#[cfg(feature = "http")]
pub mod http;
#[cfg(test)]
mod interleavings;
mod keyed;
mod lane;
mod limiter;
mod meter;
mod queue;
mod rate;
mod report;
mod reserve;
#[cfg(feature = "serde")]
mod serde;
mod snapshot;
#[cfg(feature = "stream")]
pub mod stream;
mod sync;
mod timer;
#[cfg(feature = "tower")]
pub mod tower;
mod turnstile;
mod wake_list;
mod window;

pub use acquire::{Acquire, AcquireMany};
pub use all_of::{Held, Part, all_of, try_all_of};
pub use client_ip::client_ip;
pub use concurrency::{AcquirePermit, Adaptive, ConcurrencyLimiter, ConcurrencySnapshot, Drained, Permit};
pub use denied::{Denied, Reason};
pub use distributed::Distributed;
pub use keyed::Keyed;
pub use limiter::RateLimiter;
pub use rate::{InvalidRate, Rate};
pub use reserve::{Reservation, Reserve};
pub use snapshot::Snapshot;
