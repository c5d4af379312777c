#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The files in reading order:
//
// | file | contents |
// |---|---|
// | `pool`, `builder`, `limits`, `manager` | the handle and its configuration; the trait that users implement |
// | `adjust` | changes of a pool in use: filled, resized, retired |
// | `checkout` | one checkout: `get`, its future, the creation of an object |
// | `check` | the check of an object that is lent again |
// | `lease` | an object in use |
// | `state` | the data under the lock |
// | `state/waiters` | the wait queue: whose turn it is, and what a caller does next |
// | `state/timers` | the deadlines of the waiters, and one timer for all of them |
// | `state/slots`, `state/backoff` | the slots by their use; the pauses of creations that fail |
// | `state/objects` | the way of an object: created, checked, leased, idle again, gone |
// | `state/slot` | an object with its slot, which its drop frees |
// | `state/shared` | the lock, the work that is left after it, and the tasks of the pool |
// | `error`, `snapshot` | why there is no lease; the numbers of a pool, its holders |
// | `deadpool` | managers of the crate deadpool |

mod adjust;
mod builder;
mod check;
mod checkout;
#[cfg(feature = "deadpool")]
mod deadpool;
mod error;
mod lease;
mod limits;
mod manager;
mod pool;
mod snapshot;
mod state;

#[cfg(feature = "deadpool")]
pub use self::deadpool::{Adopted, Deadpool};
pub use builder::{BuildError, Builder};
pub use checkout::Get;
pub use error::{GetError, Timeout};
pub use evenkeel_task::{BoxError, Panic};
pub use lease::Lease;
pub use limits::Order;
pub use manager::Manager;
pub use pool::Pool;
pub use snapshot::{Closed, Holder, Snapshot};
