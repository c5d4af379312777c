//! A limit of how much runs at the same time.

// file         | content
// limiter.rs   | `ConcurrencyLimiter`, its builder and its changes
// state.rs     | the weight in use and the queue: the data under the lock
// permit.rs    | `Permit`, which returns its weight
// acquire.rs   | requests and their future
// drained.rs   | the future that waits until nothing runs
// adaptive.rs  | how the limit follows the reports of permits
// snapshot.rs  | `ConcurrencySnapshot`

mod acquire;
mod adaptive;
mod drained;
mod limiter;
mod permit;
mod snapshot;
mod state;

pub use self::{
    acquire::AcquirePermit, adaptive::Adaptive, limiter::ConcurrencyLimiter, permit::Permit,
    snapshot::ConcurrencySnapshot,
};
