#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod error;
#[cfg(feature = "http")]
pub mod http;
mod policy;
mod run;
mod tries;
mod verdict;

pub use backoff::{Backoff, Jitter};
pub use error::{GaveUp, RetryError};
pub use policy::Policy;
pub use run::{Retry, Run};
pub use tries::{AttemptFuture, BackoffFuture, Tries};
pub use verdict::{Failed, Verdict};
