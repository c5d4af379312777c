#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acquire;
mod alarms;
mod bucket;
mod clock;
mod denied;
mod limiter;
mod queue;
mod rate;
mod snapshot;
mod turnstile;

pub use acquire::{Acquire, AcquireMany};
pub use denied::{Denied, Reason};
pub use limiter::RateLimiter;
pub use rate::{InvalidRate, Rate};
pub use snapshot::Snapshot;
