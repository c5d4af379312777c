#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adapter_error;
mod cancel;
pub mod child;
mod duration;
pub mod limit;
mod prelude;
mod probe_task;
mod report;
pub mod retry;
mod rule;
pub mod shutdown;
mod subject;
mod suite;
pub mod task;
mod timeline;
mod told;
mod verdict;

pub use adapter_error::AdapterError;
pub use report::{Finding, Report, Score};
pub use rule::{Level, Rule, Tier};
pub use suite::Suite;
pub use verdict::Verdict;
