use std::{fmt, pin::Pin, sync::Arc};

use super::{Body, Outcome, Settings};
use crate::Unfit;

/// Puts an implementation of task groups behind the form that the rules know.
///
/// An adapter adds nothing of its own: it configures the implementation as its documentation shows, and hands back
/// the implementation's own future. What the implementation does not have, the adapter withholds.
///
/// # Examples
/// tokio's `JoinSet`, which knows nothing of failures, and whose owner collects what its tasks return:
/// ```
/// use evenkeel_tck::{Unfit, task::{Adapter, Body, Capability, Group, Outcome, SUITE, Settings, Told}};
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
///     fn group(&self, _: &Settings) -> Result<Group, Unfit> {
///         Ok(Group::new(|body: Body| async move {
///             let mut set = JoinSet::new();
///             for task in body.tasks() {
///                 set.spawn(task.alone());
///             }
///             let mut told = Vec::new();
///             while let Some(ended) = set.join_next().await {
///                 match ended {
///                     Ok(Ok(())) => {}
///                     Ok(Err(error)) => told.push(Told::from(error)),
///                     Err(error) => told.push(Told::from(error)),
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
    /// Whether the implementation has this.
    ///
    /// # Errors
    /// Why not, or what it has instead, in a few words.
    fn supports(&self, capability: Capability) -> Result<(), &'static str>;

    /// Configures the implementation.
    ///
    /// # Errors
    /// If the implementation has no words for these settings, or if it refuses them.
    fn group(&self, settings: &Settings) -> Result<Group, Unfit>;
}

/// What an implementation of task groups may have.
///
/// # Examples
/// As in [`Adapter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Code that runs beside the tasks: it spawns when it likes, it may fail, and it may panic.
    Body,
    /// Tasks that spawn tasks into their group.
    SpawnFromTasks,
    /// A handle that spawns tasks, and that anybody may keep.
    Handle,
    /// It tells the errors that tasks return.
    Errors,
    /// The first failure stops the others.
    FailFast,
    /// No failure stops the others.
    CollectAll,
    /// A stop from outside.
    Stop,
    /// A time for tasks to end by themselves, after a signal, before they are dropped.
    Grace,
    /// The signal to end says why.
    Reason,
    /// A time at which the group ends.
    Deadline,
    /// A limit for the tasks that run at a time.
    Limit,
    /// Tasks have names, which it tells.
    Names,
    /// It counts what finished and what was cancelled.
    Counts,
    /// A protection against being stopped.
    Shield,
    /// Calls that block a thread.
    Blocking,
    /// A signal for such calls to end.
    BlockingSignal,
}

pub(crate) type Run = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A configured implementation, which can run many groups.
#[derive(Clone)]
pub struct Group(Arc<dyn Fn(Body) -> Run + Send + Sync>);

impl Group {
    /// A group that runs a body so; `run` is to give the implementation's own future, not yet polled.
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

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body => "body",
            Self::SpawnFromTasks => "spawn from tasks",
            Self::Handle => "handle",
            Self::Errors => "errors",
            Self::FailFast => "fail fast",
            Self::CollectAll => "collect all",
            Self::Stop => "stop",
            Self::Grace => "grace",
            Self::Reason => "reason",
            Self::Deadline => "deadline",
            Self::Limit => "limit",
            Self::Names => "names",
            Self::Counts => "counts",
            Self::Shield => "shield",
            Self::Blocking => "blocking",
            Self::BlockingSignal => "blocking signal",
        })
    }
}
