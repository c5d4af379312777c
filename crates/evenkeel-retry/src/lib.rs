#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempt;
mod backoff;
mod budget;
mod error;
mod ext;
#[cfg(feature = "http")]
pub mod http;
mod policy;
mod progress;
mod run;
mod tries;
mod verdict;

pub use attempt::{Attempt, IdempotencyKey};
pub use backoff::{Backoff, Jitter};
pub use budget::{Budget, BudgetPermit};
pub use error::{GaveUp, RetryError};
pub use ext::RetryExt;
pub use policy::Policy;
pub use run::{Retry, Run};
pub use tries::{AttemptFuture, BackoffFuture, Tries};
pub use verdict::{Failed, Verdict};

/// The extension trait, for `use evenkeel_retry::prelude::*`.
pub mod prelude {
    pub use crate::RetryExt as _;
}
