#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The files in reading order:
//
// | file | contents |
// |---|---|
// | `pool`, `builder`, `manager` | the handle and its configuration; the trait that users implement |
// | `checkout` | one checkout: `get`, its future, the check and the creation of an object |
// | `lease`, `slot` | an object in use; its slot, which its drop frees |
// | `shared` | the part that handles, leases and tasks share: the lock, the work after it, the tasks |
// | `state` | the data under the lock |
// | `state/waiters` | the wait queue: whose turn it is, and what a caller does next |
// | `state/slots`, `state/backoff` | the slots and what they are used for; the pauses of creations that fail |
// | `error`, `snapshot` | why there is no lease; the numbers of a pool, its holders |
// | `deadpool` | managers of the crate deadpool |

mod builder;
mod checkout;
#[cfg(feature = "deadpool")]
mod deadpool;
mod error;
mod lease;
mod manager;
mod pool;
mod shared;
mod slot;
mod snapshot;
mod state;

#[cfg(feature = "deadpool")]
pub use self::deadpool::{Adopted, Deadpool};
pub use builder::{BuildError, Builder};
pub use checkout::Get;
pub use error::{GetError, Timeout};
pub use evenkeel_task::{BoxError, Panic};
pub use lease::Lease;
pub use manager::Manager;
pub use pool::Pool;
pub use snapshot::{Closed, Holder, Snapshot};
