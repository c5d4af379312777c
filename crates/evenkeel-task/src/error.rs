//! Why a group failed.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::{BoxError, Panic};

/// A group failed: what failed first, what failed after it, and what became of the other tasks.
///
/// [`source`](Error::source) is the first cause. The text is one line without the causes; the alternate form
/// `{:#}` adds a line for each failure, with its cause.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::group;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// let error = group(async |g| {
///     g.task("parse").spawn(async {
///         sleep(Duration::from_millis(20)).await;
///         "x".parse::<u8>()
///     });
///     g.spawn(sleep(Duration::from_secs(60)));
///     Ok(())
/// })
/// .await
/// .unwrap_err();
///
/// assert_eq!(error.first().name.as_deref(), Some("parse"));
/// assert_eq!(error.first().after, Duration::from_millis(20));
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// assert_eq!((error.failures().len(), error.finished(), error.cancelled()), (1, 0, 1));
/// # }
/// ```
#[derive(Debug)]
pub struct GroupError {
    // Never empty.
    failures: Vec<Failure>,
    finished: usize,
    cancelled: usize,
}

impl GroupError {
    pub(crate) fn new(failures: Vec<Failure>, finished: usize, cancelled: usize) -> Self {
        debug_assert!(!failures.is_empty());
        Self { failures, finished, cancelled }
    }

    /// The failure that came first; the group stopped because of it.
    #[must_use]
    pub fn first(&self) -> &Failure {
        &self.failures[0]
    }

    /// All failures in the order in which they came, the first one included.
    #[must_use]
    pub fn failures(&self) -> impl ExactSizeIterator<Item = &Failure> {
        self.failures.iter()
    }

    /// All failures by value in the order in which they came, to take errors and panics out of them.
    #[must_use]
    pub fn into_failures(self) -> impl ExactSizeIterator<Item = Failure> {
        self.failures.into_iter()
    }

    /// How many tasks ended without a failure.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// How many tasks were dropped before they ended, or came when the group was stopping already.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.cancelled
    }

    /// The error that came first, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.first().source()?.downcast_ref()
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first())?;
        let more = self.failures.len() - 1;
        match (more, self.cancelled) {
            (0, 0) => {}
            (0, cancelled) => write!(f, "; {cancelled} cancelled")?,
            (more, 0) => write!(f, "; {more} more failed")?,
            (more, cancelled) => write!(f, "; {more} more failed, {cancelled} cancelled")?,
        }
        if f.alternate() {
            for failure in &self.failures {
                write!(f, "\n  {failure:#}")?;
            }
        }
        Ok(())
    }
}

impl Error for GroupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.first().source()
    }
}

/// One failure of a group: who, where it was spawned, how long it ran, and why.
///
/// As text it has no cause, except in the alternate form `{:#}`, which has the whole chain of causes.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use evenkeel_task::{BoxError, group};
/// let error = group(async |_g| Err::<(), BoxError>("no disk".into())).await.unwrap_err();
/// let failure = error.into_failures().next().unwrap();
/// assert_eq!(failure.name.as_deref(), Some("body"));
/// assert_eq!(format!("{failure:#}"), format!("task 'body' ({}) failed after 0ns: no disk", failure.place));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The name that [`Group::task`](crate::Group::task) gave; the body is called `body`, the group itself
    /// `group`.
    pub name: Option<Cow<'static, str>>,
    /// Where the task was spawned; for the body and the group, where [`group`](crate::group()) was called.
    pub place: &'static Location<'static>,
    /// How long it ran, by tokio's clock.
    pub after: Duration,
    /// What went wrong.
    pub cause: Cause,
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Error(error) => Some(error.as_ref()),
            Cause::Panic(panic) => Some(panic),
            Cause::Aborted(_) => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task ")?;
        if let Some(name) = &self.name {
            write!(f, "'{name}' ")?;
        }
        let (place, after) = (self.place, self.after);
        match &self.cause {
            Cause::Error(_) => write!(f, "({place}) failed after {after:?}")?,
            Cause::Panic(_) => write!(f, "({place}) panicked after {after:?}")?,
            Cause::Aborted(reason) => write!(f, "({place}) was aborted after {after:?}: {reason}")?,
        }
        if f.alternate() {
            let mut cause = self.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

/// What ended a task, or the body of a group, before its time.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{Cause, GroupError, group};
///
/// /// Lets panics through and logs the rest.
/// fn settle(error: GroupError) {
///     for failure in error.into_failures() {
///         eprintln!("{failure:#}");
///         if let Cause::Panic(panic) = failure.cause {
///             panic.resume();
///         }
///     }
/// }
///
/// let aborted = group(async |g| Ok(g.stop().abort("not needed any more")));
/// settle(aborted.await.unwrap_err());
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// It returned this error.
    Error(BoxError),
    /// It panicked, or its destructor did.
    Panic(Panic),
    /// [`Stop::abort`](crate::Stop::abort) was called on the group's own [`Stop`](crate::Stop), for this
    /// reason.
    Aborted(Cow<'static, str>),
}
