//! How much runs at the same time.

mod acquire;
mod adaptive;
mod limiter;
mod permit;
mod slots;
mod snapshot;

pub use self::{
    acquire::{AcquirePermit, Drained},
    adaptive::Adaptive,
    limiter::ConcurrencyLimiter,
    permit::Permit,
    snapshot::ConcurrencySnapshot,
};
