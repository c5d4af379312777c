#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod atomics;
mod attempt;
mod backoff;
mod boxed;
mod bucket;
mod budget;
pub mod compat;
mod error;
mod ext;
pub mod guide;
mod hedge;
#[cfg(feature = "http")]
pub mod http;
#[cfg(test)]
mod interleavings;
mod invalid;
mod latencies;
mod policy;
mod progress;
mod report;
mod run;
#[cfg(feature = "serde")]
mod serde;
mod snapshot;
mod timer;
#[cfg(feature = "tower")]
pub mod tower;
mod tries;
mod verdict;

pub use attempt::{Attempt, IdempotencyKey};
pub use backoff::{Backoff, Jitter};
pub use boxed::BoxedError;
pub use budget::{Budget, BudgetPermit};
pub use error::{GaveUp, RetryError};
pub use ext::RetryExt;
pub use hedge::{Hedge, HedgeError, Hedged};
pub use invalid::Invalid;
pub use policy::Policy;
pub use run::{Retry, Run};
pub use snapshot::BudgetSnapshot;
pub use tries::{AttemptFuture, BackoffFuture, Tries};
pub use verdict::{Failed, Verdict};

/// The extension trait, for `use evenkeel_retry::prelude::*`.
pub mod prelude {
    pub use crate::RetryExt as _;
}
