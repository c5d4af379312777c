//! A limit of how much runs at the same time.

// file         | content
// limiter.rs   | `ConcurrencyLimiter`, its builder and its changes
// core.rs      | the part that requests, permits and changes share: fast path and state
// fast_path.rs | granting without the lock
// state.rs     | the weight in use and the queue: the data under the lock
// inspect.rs   | a limiter in the dumps of evenkeel-inspect
// holders.rs   | who holds its permits, if it has a name
// record.rs    | the record of one holder, without a lock; thread_records.rs: those of a thread
// places.rs    | the places of calls, by their addresses
// permit.rs    | `Permit`, which returns its weight; held.rs: its part with the feature `inspect`, and that without it
// hold.rs      | the weight of a permit, with the record of its holder
// acquire.rs   | requests and their future
// drained.rs   | the future that waits until nothing runs
// adaptive.rs  | how the limit follows the reports of permits
// snapshot.rs  | `ConcurrencySnapshot`

mod acquire;
mod adaptive;
mod core;
mod drained;
mod fast_path;
mod held;
#[cfg(feature = "inspect")]
mod hold;
#[cfg(feature = "inspect")]
mod holders;
#[cfg(feature = "inspect")]
mod inspect;
mod limiter;
#[cfg(test)]
mod loom_tests;
mod permit;
#[cfg(feature = "inspect")]
mod places;
#[cfg(feature = "inspect")]
mod record;
mod snapshot;
mod state;
#[cfg(feature = "inspect")]
mod thread_records;

// The modules name `loom` by `super::`, so that `loom_tests` can put another in its place.
use crate::sync::loom;

pub use self::{
    acquire::AcquirePermit, adaptive::Adaptive, limiter::ConcurrencyLimiter, permit::Permit,
    snapshot::ConcurrencySnapshot,
};
