//! The error of a group: its failures, and the cause of each.

use std::{borrow::Cow, error::Error, fmt, mem, panic::Location, time::Duration};

use evenkeel_base::error_chain;

use crate::{BoxError, Panic};

/// The error of a group: its failures, the first one first, and the counts of the other tasks.
///
/// [`source`](Error::source) is the first cause. The text is one line without the causes; the alternate form
/// `{:#}` adds a line for each failure, with its cause, and below a nested group the lines of its failures.
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
    // Not empty, until a method takes them.
    failures: Vec<Failure>,
    finished: usize,
    cancelled: usize,
}

impl GroupError {
    pub(crate) fn new(failures: Vec<Failure>, finished: usize, cancelled: usize) -> Self {
        debug_assert!(!failures.is_empty());
        Self { failures, finished, cancelled }
    }

    /// Returns the failure that came first; the group stopped because of it.
    #[must_use]
    pub fn first(&self) -> &Failure {
        &self.failures[0]
    }

    /// Returns all failures in the order in which they came, the first one included.
    #[must_use]
    pub fn failures(&self) -> impl ExactSizeIterator<Item = &Failure> {
        self.failures.iter()
    }

    /// Returns all failures by value in the order in which they came, to take errors and panics out of them.
    #[must_use]
    pub fn into_failures(mut self) -> impl ExactSizeIterator<Item = Failure> {
        mem::take(&mut self.failures).into_iter()
    }

    /// Returns how many tasks ended without a failure.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// Returns how many tasks were dropped before they ended, or were spawned when the group was already stopping.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.cancelled
    }

    /// Returns the error that came first, if it is an `E`; for a nested group, its error or the first one in it.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match &self.first().cause {
            Cause::Nested(nested) => {
                let own: &(dyn Error + 'static) = nested.as_ref();
                own.downcast_ref().or_else(|| nested.downcast_ref())
            }
            cause => cause.error()?.downcast_ref(),
        }
    }

    /// Returns the failures that are not nested groups, here and in all groups within, each with the path of task names
    /// that leads to it; a task without a name is in the path by its place.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_task::group;
    /// let error = group(async |g| {
    ///     g.task("site").spawn(group(async |g| {
    ///         g.task("page-7").spawn(async { "x".parse::<u8>() });
    ///         Ok(())
    ///     }));
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    /// let (path, failure) = &error.leaves()[0];
    /// assert_eq!(path, "site/page-7");
    /// assert_eq!(failure.name.as_deref(), Some("page-7"));
    /// # }
    /// ```
    #[must_use]
    pub fn leaves(&self) -> Vec<(String, &Failure)> {
        let mut leaves = Vec::new();
        self.collect_leaves("", &mut leaves);
        leaves
    }

    fn collect_leaves<'e>(&'e self, above: &str, leaves: &mut Vec<(String, &'e Failure)>) {
        for failure in &self.failures {
            let own = failure.name.as_ref().map_or_else(|| failure.place.to_string(), ToString::to_string);
            let path = if above.is_empty() { own } else { format!("{above}/{own}") };
            match &failure.cause {
                Cause::Nested(nested) => nested.collect_leaves(&path, leaves),
                _ => leaves.push((path, failure)),
            }
        }
    }

    /// Separates the failures whose error is an `E` from the others, as `except*` does; see
    /// [`split_by`](Self::split_by).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_task::GroupError> {
    /// use evenkeel_task::Group;
    /// use std::num::ParseIntError;
    ///
    /// let run = Group::builder().collect_all().run(async |g| {
    ///     for text in ["1", "x", "3", "y"] {
    ///         g.spawn(async move { text.parse::<u8>() });
    ///     }
    ///     Ok(())
    /// });
    /// if let Err(error) = run.await {
    ///     let (bad_numbers, rest) = error.split::<ParseIntError>();
    ///     assert_eq!(bad_numbers.unwrap().failures().len(), 2);
    ///     if let Some(rest) = rest {
    ///         return Err(rest);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn split<E: Error + 'static>(self) -> (Option<Self>, Option<Self>) {
        self.split_by(|failure| failure.source().is_some_and(|error| error.is::<E>()))
    }

    /// Separates the failures that `pick` picks from the others; a part without failures is `None`.
    ///
    /// Nested groups are split in the same way, so `pick` sees none of them and both parts keep their paths.
    /// Both have the counts of the whole.
    #[must_use]
    pub fn split_by(self, mut pick: impl FnMut(&Failure) -> bool) -> (Option<Self>, Option<Self>) {
        self.split_in_two(&mut pick)
    }

    fn split_in_two(mut self, pick: &mut dyn FnMut(&Failure) -> bool) -> (Option<Self>, Option<Self>) {
        let (mut picked, mut rest) = (Vec::new(), Vec::new());
        for failure in mem::take(&mut self.failures) {
            let Failure { name, place, after, restarts, cause } = failure;
            match cause {
                Cause::Nested(nested) => {
                    let (some, others) = nested.split_in_two(pick);
                    for (part, list) in [(some, &mut picked), (others, &mut rest)] {
                        list.extend(part.map(|nested| {
                            let cause = Cause::Nested(Box::new(nested));
                            Failure { name: name.clone(), place, after, restarts, cause }
                        }));
                    }
                }
                cause => {
                    let failure = Failure { name, place, after, restarts, cause };
                    let list = if pick(&failure) { &mut picked } else { &mut rest };
                    list.push(failure);
                }
            }
        }
        let group = |failures: Vec<Failure>| {
            (!failures.is_empty()).then_some(Self {
                failures,
                finished: self.finished,
                cancelled: self.cancelled,
            })
        };
        (group(picked), group(rest))
    }

    fn write_tree(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        for failure in &self.failures {
            let indent = 2 * depth;
            match &failure.cause {
                Cause::Nested(nested) => {
                    write!(f, "\n{:indent$}{failure}", "")?;
                    nested.write_counts(f)?;
                    nested.write_tree(f, depth + 1)?;
                }
                _ => write!(f, "\n{:indent$}{failure:#}", "")?,
            }
        }
        Ok(())
    }

    /// Writes how many tasks failed besides the first one, and how many were cancelled.
    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.failures.len() - 1, self.cancelled) {
            (0, 0) => Ok(()),
            (0, cancelled) => write!(f, "; {cancelled} cancelled"),
            (more, 0) => write!(f, "; {more} more failed"),
            (more, cancelled) => write!(f, "; {more} more failed, {cancelled} cancelled"),
        }
    }
}

/// A loop and no recursion: groups within groups may be of any depth.
impl Drop for GroupError {
    fn drop(&mut self) {
        let mut failures = mem::take(&mut self.failures);
        while let Some(failure) = failures.pop() {
            if let Cause::Nested(mut nested) = failure.cause {
                failures.append(&mut nested.failures);
            }
        }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first())?;
        self.write_counts(f)?;
        if f.alternate() { self.write_tree(f, 1) } else { Ok(()) }
    }
}

impl Error for GroupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.first().source()
    }
}

/// One failure of a group: the name of the task, where it was spawned, how long it ran, and why it failed.
///
/// As text it is one line, with control characters of the name escaped, and has no cause, except in the alternate form
/// `{:#}`, which has the whole chain of causes.
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
    /// How often it was [started again](crate::Task::supervise).
    pub restarts: u32,
    /// Why it failed.
    pub cause: Cause,
}

impl Failure {
    /// Returns whether it is a panic, or the error of a group with one.
    pub(crate) fn has_panic(&self) -> bool {
        match &self.cause {
            Cause::Panic(_) => true,
            Cause::Nested(nested) => {
                nested.leaves().iter().any(|(_, leaf)| matches!(leaf.cause, Cause::Panic(_)))
            }
            _ => false,
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.error()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task ")?;
        if let Some(name) = &self.name {
            write!(f, "'{}' ", OneLine(name))?;
        }
        let (place, after) = (self.place, self.after);
        match &self.cause {
            Cause::Error(_) | Cause::Nested(_) => write!(f, "({place}) failed after {after:?}")?,
            Cause::Panic(_) => write!(f, "({place}) panicked after {after:?}")?,
            Cause::Deadline => write!(f, "({place}) passed its deadline after {after:?}")?,
            Cause::RuntimeShutdown => {
                write!(f, "({place}) was cut after {after:?}: its runtime was shut down")?
            }
            Cause::Aborted(reason) => {
                write!(f, "({place}) was aborted after {after:?}: {}", OneLine(reason))?;
            }
        }
        match self.restarts {
            0 => {}
            1 => f.write_str(" and a restart")?,
            more => write!(f, " and {more} restarts")?,
        }
        if f.alternate() {
            self.source().map_or(Ok(()), |cause| write!(f, ": {}", error_chain(cause)))?;
        }
        Ok(())
    }
}

/// Displays a foreign text on one line, with its control characters escaped.
pub(crate) struct OneLine<'t>(pub(crate) &'t str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(char::is_control) {
            let text = part.trim_end_matches(char::is_control);
            write!(f, "{text}{}", part[text.len()..].escape_default())?;
        }
        Ok(())
    }
}

/// The cause of a failure: why a task, or the body of a group, did not end well.
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
    /// It returned the error of a nested group.
    Nested(Box<GroupError>),
    /// It panicked, or its destructor did; or it returned a [`Panic`] as its error.
    Panic(Panic),
    /// It was out of time: the [deadline](crate::GroupBuilder::deadline) of the group, or the limit of a
    /// [`shield`](crate::shield) or a clean-up of [`using`](crate::using()) whose caller was gone.
    Deadline,
    /// [`Stop::abort`](crate::Stop::abort) was called on the group's own [`Stop`](crate::Stop), for this
    /// reason.
    Aborted(Cow<'static, str>),
    /// Its runtime was shut down, which dropped the task before it ended.
    RuntimeShutdown,
}

/// The error of work that ran out of time; as the error of a task it is [`Cause::Deadline`].
#[derive(Debug)]
pub(crate) struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ran out of time")
    }
}

impl Error for TimedOut {}

impl Cause {
    /// Returns the cause that an error stands for.
    pub(crate) fn of(error: BoxError) -> Self {
        if error.is::<TimedOut>() {
            return Self::Deadline;
        }
        let error = match error.downcast::<GroupError>() {
            Ok(nested) => return Self::Nested(nested),
            Err(error) => error,
        };
        match error.downcast::<Panic>() {
            Ok(panic) => Self::Panic(*panic),
            Err(error) => Self::Error(error),
        }
    }

    pub(crate) fn error(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Error(error) => Some(error.as_ref()),
            Self::Nested(error) => Some(error.as_ref()),
            Self::Panic(panic) => Some(panic),
            Self::Deadline | Self::Aborted(_) | Self::RuntimeShutdown => None,
        }
    }
}
