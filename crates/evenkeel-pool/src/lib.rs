#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The files in reading order:
//
// | file | contents |
// |---|---|
// | `pool`, `builder`, `limits`, `manager` | the handle and its configuration; the trait that users implement |
// | `adjust` | changes of a pool in use: filled, resized, retired |
// | `checkout` | one checkout: `get`, its future, the creation of an object |
// | `lease` | an object in use |
// | `state` | the data under the lock |
// | `state/queue` | the waiters as they stand in the queue |
// | `state/caller`, `state/waiters` | a caller at one poll; the wait queue: whose turn it is, and what a caller does next |
// | `state/timers`, `wait_timer` | the deadlines of the waiters, and one timer for all of them |
// | `state/slots`, `state/backoff` | the slots by their use; the pauses of creations that fail |
// | `state/tasks` | the tasks that hold objects and those that wait |
// | `state/objects` | the way of an object: created, checked, leased, idle again, gone |
// | `state/slot` | an object with its slot, which its drop frees |
// | `state/check` | the check of an object that is lent again |
// | `state/shared` | the lock, the work that is left after it, and the tasks of the pool |
// | `state/upkeep`, `upkeep` | idle objects that are missing or too old, leases that last too long |
// | `events` | events for the observer of a pool |
// | `error`, `snapshot` | why there is no lease; the numbers of a pool, its holders |
// | `inspect`, `state/edges` | the title of the pool; its leases and waiters in the dumps of evenkeel-inspect |
// | `from_fn` | a manager that is one function |
// | `deadpool`, `bb8` | managers of the crates deadpool and bb8 |

mod adjust;
#[cfg(feature = "bb8")]
mod bb8;
mod builder;
mod checkout;
#[cfg(feature = "deadpool")]
mod deadpool;
mod error;
mod events;
mod from_fn;
#[cfg(feature = "inspect")]
mod inspect;
mod lease;
mod limits;
mod manager;
mod pool;
mod snapshot;
mod state;
mod upkeep;
mod wait_timer;

#[cfg(feature = "bb8")]
pub use self::bb8::Bb8;
#[cfg(feature = "deadpool")]
pub use self::deadpool::{Adopted, Deadpool};
pub use builder::{BuildError, Builder};
pub use checkout::Get;
pub use error::{GetError, Timeout};
pub use evenkeel_task::{BoxError, Panic};
pub use events::{DiscardReason, PoolEvent};
pub use from_fn::{CreateError, FromFn};
pub use lease::Lease;
pub use limits::Order;
pub use manager::Manager;
pub use pool::Pool;
pub use snapshot::{Closed, Holder, Snapshot};
