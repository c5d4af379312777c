#![doc = include_str!("../spec/TASK.md")]

mod body;
mod harness;
mod rules;
mod settings;

pub(crate) use self::body::Outside;
pub use self::{
    body::Body,
    settings::{Capability, FailureMode, Settings},
};
use crate::Suite;
pub use crate::probe_task::{FailureKind, Outcome, ReportedFailure, Task};

/// The rules for groups of tasks.
///
/// # Examples
/// tokio's `JoinSet`, which knows nothing of failures, and whose owner collects what its tasks return:
/// ```
/// use evenkeel_tck::{
///     Adapter, AdapterError, Configured,
///     task::{Body, Capability, ReportedFailure, Outcome, SUITE, Settings},
/// };
/// use tokio::task::JoinSet;
///
/// struct Set;
///
/// impl Adapter<Settings> for Set {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Errors => Ok(()),
///             Capability::Deadline => Err("wrap it in `tokio::time::timeout`"),
///             _ => Err("there is no such thing"),
///         }
///     }
///
///     fn configure(&self, _: &Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
///         Ok(Configured::new(|body: Body| async move {
///             let mut set = JoinSet::new();
///             for task in body.tasks() {
///                 set.spawn(task.alone());
///             }
///             let mut failures = Vec::new();
///             while let Some(ended) = set.join_next().await {
///                 match ended {
///                     Ok(Ok(())) => {}
///                     Ok(Err(error)) => failures.push(error),
///                     Err(error) => failures.push(ReportedFailure::from(error)),
///                 }
///             }
///             Outcome::telling(failures)
///         }))
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Set);
/// assert!(check("TASK-01").passed());
/// assert_eq!(check("TASK-10").to_string(), "unsupported: fail fast: there is no such thing");
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "TASK", spec: include_str!("../spec/TASK.md"), chapters: rules::CHAPTERS };
