#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod child;
mod report;
pub mod retry;
mod rule;
mod suite;
mod timeline;
mod verdict;

pub use report::{Finding, Report, Score};
pub use rule::{Level, Rule, Tier};
pub use suite::Suite;
pub use verdict::Verdict;
