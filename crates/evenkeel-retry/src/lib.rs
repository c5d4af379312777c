#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Files in reading order:
//
// | file | contents |
// |---|---|
// | `policy.rs`, `backoff.rs` | the settings of a call; how long to wait before retry n |
// | `retry.rs` | the future of `Policy::run` and its options |
// | `attempts.rs`, `attempts/`, `call_state.rs` | the engine: begin, poll, decide, wait; the caller's own loop; the state of a call |
// | `verdict.rs`, `error.rs`, `boxed.rs` | the classification of a failure; the error of a call |
// | `attempt.rs` | the description of one attempt: number, deadline, key |
// | `budget.rs`, `bucket.rs`, `snapshot.rs` | retries as a share of the calls; its token bucket; its numbers |
// | `hedge.rs`, `quantile.rs` | a second attempt beside a slow one; the quantile of its delay |
// | `tower.rs`, `http.rs`, `serde.rs`, `telemetry.rs` | one feature each |
// | `edges.rs`, `inspect.rs` | where retries come from; those that wait, in the dumps of evenkeel-inspect |
// | `config_error.rs` | the error of a configuration |
// | `loom.rs`, `loom_tests.rs` | the bucket in every interleaving |
// | `guide.rs` | how to choose a policy; the names of other crates and ours |

mod attempt;
mod attempts;
mod backoff;
mod boxed;
mod bucket;
mod budget;
mod call_state;
mod config_error;
mod edges;
mod error;
pub mod guide;
mod hedge;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "inspect")]
mod inspect;
mod loom;
#[cfg(test)]
mod loom_tests;
mod policy;
mod quantile;
mod retry;
#[cfg(feature = "serde")]
mod serde;
mod snapshot;
mod telemetry;
#[cfg(feature = "tower")]
pub mod tower;
mod verdict;

pub use attempt::{Attempt, IdempotencyKey};
pub use attempts::Attempts;
pub use backoff::{Backoff, Jitter};
pub use boxed::BoxedError;
pub use budget::{Budget, BudgetPermit};
pub use config_error::InvalidPolicy;
pub use error::{GaveUp, RetryError};
pub use hedge::{Hedge, HedgeError};
pub use policy::Policy;
pub use retry::{Retry, RetryEvent};
pub use snapshot::BudgetSnapshot;
pub use verdict::{Failed, Verdict};
