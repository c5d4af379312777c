//! The errors of a queue.

use std::{error::Error, fmt};

/// The reason why an item was not accepted by a queue; it has the item.
///
/// # Examples
///
/// ```
/// use evenkeel_stream::{Capacity, PushError, queue};
///
/// let (jobs, _consumer) = queue(Capacity::items(1));
/// jobs.try_push("a").unwrap();
/// assert_eq!(jobs.try_push("b"), Err(PushError::Full("b")));
/// jobs.close();
/// let error = jobs.try_push("c").unwrap_err();
/// assert_eq!(error.to_string(), "the queue is closed");
/// assert_eq!(error.into_item(), "c");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError<T> {
    /// The queue has no room now, or other producers wait for it.
    Full(T),
    /// The queue was closed, or has no consumer any more.
    Closed(T),
}

impl<T> PushError<T> {
    /// Returns the item.
    #[must_use]
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }

    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> PushError<U> {
        match self {
            Self::Full(item) => PushError::Full(f(item)),
            Self::Closed(item) => PushError::Closed(f(item)),
        }
    }
}

// Without the item: not every item has a text, and errors are shown.
impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => "the queue is closed",
        })
    }
}

impl<T> Error for PushError<T> {}

/// The reason why a queue has no item now.
///
/// # Examples
///
/// ```
/// use evenkeel_stream::{Capacity, PopError, queue};
///
/// let (jobs, consumer) = queue::<u8>(Capacity::items(1));
/// assert_eq!(consumer.try_pop().unwrap_err(), PopError::Empty);
/// drop(jobs);
/// assert_eq!(consumer.try_pop().unwrap_err(), PopError::Closed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PopError {
    /// No item is there for a consumer that does not wait.
    Empty,
    /// The queue was closed, and every item was taken.
    Closed,
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::Closed => "the queue is closed and empty",
        })
    }
}

impl Error for PopError {}

/// Items are left in a queue that nobody will take any more.
///
/// [`Producer::close_now`](crate::Producer::close_now) returns them.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{Capacity, queue};
///
/// let (jobs, consumer) = queue(Capacity::items(2));
/// jobs.try_push('a').unwrap();
/// drop(consumer);
/// let error = jobs.join().await.unwrap_err();
/// assert_eq!((error.left, error.to_string()), (1, "no consumer is left for 1 item of the queue".into()));
/// assert_eq!(jobs.close_now(), ['a']);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// The number of items.
    pub left: usize,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = if self.left == 1 { "item" } else { "items" };
        write!(f, "no consumer is left for {} {items} of the queue", self.left)
    }
}

impl Error for Unfinished {}
