//! How much runs at the same time.

mod adaptive;
mod limiter;
mod permit;
mod slots;
mod snapshot;
mod wait;

pub use self::{
    adaptive::Adaptive,
    limiter::ConcurrencyLimiter,
    permit::Permit,
    snapshot::ConcurrencySnapshot,
    wait::{AcquirePermit, Drained},
};
