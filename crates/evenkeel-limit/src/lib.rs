#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acquire;
mod alarms;
mod bucket;
mod clock;
mod concurrency;
mod control;
mod denied;
mod lane;
mod limiter;
mod queue;
mod rate;
mod reserve;
mod snapshot;
mod turnstile;

pub use acquire::{Acquire, AcquireMany};
pub use concurrency::{AcquirePermit, Adaptive, ConcurrencyLimiter, ConcurrencySnapshot, Drained, Permit};
pub use denied::{Denied, Reason};
pub use limiter::RateLimiter;
pub use rate::{InvalidRate, Rate};
pub use reserve::{Reservation, Reserve};
pub use snapshot::Snapshot;
