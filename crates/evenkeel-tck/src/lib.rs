#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod child;
mod cuts;
mod duration;
mod life;
pub mod limit;
mod report;
pub mod retry;
mod rule;
pub mod shutdown;
mod suite;
pub mod task;
mod timeline;
mod unfit;
mod verdict;

pub use report::{Finding, Report, Score};
pub use rule::{Level, Rule, Tier};
pub use suite::Suite;
pub use unfit::Unfit;
pub use verdict::Verdict;
