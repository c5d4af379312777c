#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Files in reading order; X is a chapter, one of `limit`, `retry`, `shutdown`, `task`:
//
// | file | contents |
// |---|---|
// | `suite.rs`, `rule.rs` | the rules of one pattern and their run; one rule and how it is checked |
// | `subject.rs` | the implementation under test, in the form that all chapters share |
// | `limit.rs`, `retry.rs`, `shutdown.rs`, `task.rs` | the chapters: the public names of each |
// | `prelude.rs` | the names that the rules of all chapters import |
// | `X/adapter.rs`, `X/settings.rs` | the trait that wraps an implementation; what a rule asks it for |
// | `X/rules/` | the rule functions, by theme |
// | `X/harness.rs`, `X/record.rs`, `X/script.rs` | how a rule runs its subject, and what it recorded |
// | `report.rs`, `verdict.rs`, `adapter_error.rs` | the outcome of all rules; of one; the error of an adapter |
// | `probe_task.rs`, `reported_failure.rs` | a task that records its life; a failure as an adapter reports it |
// | `cancel.rs`, `child.rs` | dropping a subject at each await; rules in a process of their own |
// | `timeline.rs`, `duration.rs` | recorded events in virtual time; short names for durations |

mod adapter_error;
mod cancel;
pub mod child;
mod duration;
pub mod limit;
mod prelude;
mod probe_task;
mod report;
mod reported_failure;
pub mod retry;
mod rule;
pub mod shutdown;
mod subject;
mod suite;
pub mod task;
mod timeline;
mod verdict;

pub use adapter_error::AdapterError;
pub use report::{Finding, Report, Score};
pub use rule::{Level, Rule, Tier};
pub use suite::Suite;
pub use verdict::Verdict;
