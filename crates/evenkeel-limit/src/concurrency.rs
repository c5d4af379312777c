//! A limit of how much runs at the same time.

// file         | content
// limiter.rs   | `ConcurrencyLimiter`: the public methods
// slots.rs     | the weight in use and the queue, behind a lock
// acquire.rs   | the futures that wait
// permit.rs    | `Permit`, which returns its weight
// adaptive.rs  | how the limit follows the reports of permits
// snapshot.rs  | `ConcurrencySnapshot`

mod acquire;
mod adaptive;
mod limiter;
mod permit;
mod slots;
mod snapshot;

pub use self::{
    acquire::AcquirePermit, adaptive::Adaptive, limiter::ConcurrencyLimiter, permit::Permit,
    snapshot::ConcurrencySnapshot,
};
