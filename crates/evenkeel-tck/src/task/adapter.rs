//! The adapter trait of task groups, and their capabilities.

use std::{fmt, pin::Pin, sync::Arc};

use super::{Body, Outcome, Settings};
use crate::{
    AdapterError,
    subject::{capabilities, subject},
};

/// Puts an implementation of task groups behind the form that the rules know.
///
/// An adapter adds nothing of its own: it configures the implementation as its documentation shows, and hands back
/// the implementation's own future. The adapter withholds each capability that the implementation lacks.
///
/// # Examples
/// tokio's `JoinSet`, which knows nothing of failures, and whose owner collects what its tasks return:
/// ```
/// use evenkeel_tck::{AdapterError, task::{Adapter, Body, Capability, Group, Outcome, SUITE, Settings, ReportedFailure}};
/// use tokio::task::JoinSet;
///
/// struct Set;
///
/// impl Adapter for Set {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Errors => Ok(()),
///             Capability::Deadline => Err("wrap it in `tokio::time::timeout`"),
///             _ => Err("there is no such thing"),
///         }
///     }
///
///     fn group(&self, _: &Settings) -> Result<Group, AdapterError> {
///         Ok(Group::new(|body: Body| async move {
///             let mut set = JoinSet::new();
///             for task in body.tasks() {
///                 set.spawn(task.alone());
///             }
///             let mut told = Vec::new();
///             while let Some(ended) = set.join_next().await {
///                 match ended {
///                     Ok(Ok(())) => {}
///                     Ok(Err(error)) => told.push(ReportedFailure::from(error)),
///                     Err(error) => told.push(ReportedFailure::from(error)),
///                 }
///             }
///             Outcome::telling(told)
///         }))
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Set);
/// assert!(check("TASK-01").passed());
/// assert_eq!(check("TASK-10").to_string(), "unsupported: fail fast: there is no such thing");
/// ```
pub trait Adapter: Send + Sync {
    /// Returns whether the implementation has this capability.
    ///
    /// # Errors
    /// Why not, or what it has instead, in a few words.
    fn supports(&self, capability: Capability) -> Result<(), &'static str>;

    /// Configures the implementation.
    ///
    /// # Errors
    /// If the implementation cannot express these settings, or rejects them.
    fn group(&self, settings: &Settings) -> Result<Group, AdapterError>;
}

capabilities! {
    /// A feature that an implementation of task groups may have.
    ///
    /// # Examples
    /// As in [`Adapter`].
    pub enum Capability {
        /// Code that runs beside the tasks: it spawns when it likes, it may fail, and it may panic.
        Body = "body",
        /// Tasks that spawn tasks into their group.
        SpawnFromTasks = "spawn from tasks",
        /// A handle that spawns tasks, and that may outlive the group.
        Handle = "handle",
        /// It tells the errors that tasks return.
        Errors = "errors",
        /// The first failure stops the others.
        FailFast = "fail fast",
        /// No failure stops the others.
        CollectAll = "collect all",
        /// A stop from outside.
        Stop = "stop",
        /// A time for tasks to end by themselves, after a signal, before they are dropped.
        Grace = "grace",
        /// The signal to end says why.
        Reason = "reason",
        /// A time at which the group ends.
        Deadline = "deadline",
        /// A limit for the tasks that run at a time.
        Limit = "limit",
        /// Tasks have names, which it tells.
        Names = "names",
        /// It counts what finished and what was cancelled.
        Counts = "counts",
        /// A protection against being stopped.
        Shield = "shield",
        /// Calls that block a thread.
        Blocking = "blocking",
        /// A signal for such calls to end.
        BlockingSignal = "blocking signal",
    }
}

subject!(Group, group);

pub(crate) type Run = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A configured implementation, which can run many groups.
#[derive(Clone)]
pub struct Group(Arc<dyn Fn(Body) -> Run + Send + Sync>);

impl Group {
    /// A group that runs a body with `run`, which returns the implementation's own future, not yet polled.
    ///
    /// # Examples
    /// An implementation that runs its tasks in turn:
    /// ```
    /// use evenkeel_tck::task::{Body, Group};
    ///
    /// let in_turn = Group::new(|body: Body| async move {
    ///     for task in body.tasks() {
    ///         task.alone().await?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn new<F, Fut, O>(run: F) -> Self
    where
        F: Fn(Body) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = O> + Send + 'static,
        O: Into<Outcome>,
    {
        Self(Arc::new(move |body| {
            let outcome = run(body);
            Box::pin(async move { outcome.await.into() })
        }))
    }

    pub(crate) fn call(&self, body: Body) -> Run {
        (self.0)(body)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}
