#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The files in reading order:
//
// | file | contents |
// |---|---|
// | `group` | the handle of a group; its own table says what is in `group/` |
// | `error`, `into_result` | the error of a group, its failures and their causes; the output of a task |
// | `stop`, `stop/core`, `stop/signal`, `stop/run_until` | the stop signal; its two signals; the waiters of one of them; a future until the drain |
// | `panic` | panics as values |
// | `shield`, `using`, `blocking`, `background` | work that can outlive its caller |
// | `awaited`, `blocking_slots` | such work in dumps, behind the feature `inspect` |
// | `first_ok` | the first success of several futures |
// | `paged_slab` | values under small keys, on pages |
// | `telemetry` | spans, events and counters |
// | `guide` | the guide |

#[cfg(feature = "inspect")]
mod awaited;
mod background;
mod blocking;
#[cfg(feature = "inspect")]
mod blocking_slots;
mod error;
mod first_ok;
mod group;
pub mod guide;
mod into_result;
mod paged_slab;
mod panic;
mod shield;
mod stop;
mod telemetry;
mod using;

#[doc(hidden)]
pub use background::background_named;
pub use background::{Background, background};
pub use blocking::{Blocking, blocking};
pub use error::{Cause, Failure, GroupError};
pub use first_ok::{AllFailed, first_ok};
pub use group::{
    FinishGroup, Group, NoValue, Rejected, Restart, State, Task, TaskHandle, TaskInfo,
    builder::{GroupBuilder, group},
};
pub use into_result::{BoxError, IntoResult};
pub use panic::{CatchPanic, Panic, catch_panic};
pub use shield::shield;
pub use stop::{Stop, Stopping};
pub use using::{Resource, UsingError, UsingStage, using};
