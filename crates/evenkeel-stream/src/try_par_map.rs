//! The parallel map over a stream of results: fail-fast, or with an outcome for each item.

use std::{
    fmt,
    hash::Hash,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use crate::{
    ItemError,
    task_map::{Keys, TaskMap},
};

/// The stream of [`try_par_map`](crate::StreamExt::try_par_map): as [`ParMap`](crate::ParMap), and the first
/// error ends it.
///
/// - **The first error is returned at the instant at which it happens**, in an ordered map too: it does not wait for
///   the items before it. Results that are finished by then, and due in the order of the map, come first.
/// - **When the error is returned nothing is left running**: all other items were aborted and their destructors have
///   run. An item that computes without an await point delays the error until it reaches one. The source is dropped,
///   and after the error the stream ends.
/// - An error of the source is an error like one of `f`.
/// - A panic of an item or of the source ends the stream in the same way, and resumes at the consumer; it outranks an error.
///
/// # Cancel safety
///
/// As that of [`ParMap`](crate::ParMap#cancel-safety): a dropped `next()` loses nothing, an error or a panic that is
/// on its way included; a dropped stream aborts all items.
///
/// # Panics
///
/// With the panic of an item or of the source, or one that says that the runtime on which an item was started was shut down before
/// it ended; if polled outside a tokio runtime.
///
/// # Why not just use `try_buffered`?
///
/// Besides the reasons given at [`ParMap`](crate::ParMap#why-not-just-use-buffer_unordered): `try_buffered` of
/// futures returns an error in the order of the items, after all items before it.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::prelude::*;
/// use futures::{StreamExt as _, TryStreamExt as _};
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// let start = Instant::now();
/// let slow = futures::stream::iter([60, 1, 0]).map(Ok::<u64, &str>).try_par_map(3, async |secs| {
///     sleep(Duration::from_secs(secs)).await;
///     if secs == 1 { Err("one") } else { Ok(secs) }
/// });
/// assert_eq!(slow.ordered().try_collect::<Vec<_>>().await, Err("one"));
/// assert_eq!(start.elapsed(), Duration::from_secs(1));
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct TryParMap<S: Stream, T, E> {
    pub(crate) tasks: TaskMap<S, T, E>,
}

impl<S: Stream, T, E> TryParMap<S, T, E> {
    /// Returns the results in the order of the input, as [`ParMap::ordered`](crate::ParMap::ordered) does; an error
    /// still comes at its own instant.
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    #[track_caller]
    pub fn ordered(self) -> Self {
        Self { tasks: self.tasks.ordered() }
    }

    /// Runs items with the same key one after the other, in the order of the input, as
    /// [`ParMap::keyed`](crate::ParMap::keyed) does; an error of the source has no key.
    ///
    /// # Panics
    ///
    /// If the stream was polled before. A panic of `key`, or of the key's `Hash`, `Eq` or `Drop`, is one of the source.
    #[track_caller]
    pub fn keyed<V, E2, K, F>(self, mut key: F) -> Self
    where
        S: Stream<Item = Result<V, E2>>,
        K: Hash + Eq + Send + 'static,
        F: FnMut(&V) -> K + Send + 'static,
    {
        Self { tasks: self.tasks.keyed(Keys::new(move |item: &S::Item| item.as_ref().ok().map(&mut key))) }
    }

    /// Keeps the map out of dumps, as a part of an object that describes itself.
    #[doc(hidden)]
    #[cfg(feature = "inspect")]
    pub fn unlisted(self) -> Self {
        Self { tasks: self.tasks.unlisted() }
    }

    /// Returns an outcome for every item: no error and no panic stops the others.
    pub fn settled(self) -> Settled<S, T, E> {
        Settled { tasks: self.tasks.settled() }
    }
}

impl<S: Stream, T, E> Stream for TryParMap<S, T, E> {
    type Item = Result<T, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let result = ready!(self.get_mut().tasks.poll_result(cx));
        Poll::Ready(result.map(|result| match result {
            Ok(result) => Ok(result),
            Err(ItemError::Error(error)) => Err(error),
            Err(ItemError::Panic(panic)) => panic.resume(),
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.tasks.size_hint();
        // The first item may be the error that ends it.
        (lower.min(1), upper)
    }
}

impl<S: Stream, T, E> fmt::Debug for TryParMap<S, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tasks.fmt("TryParMap", f)
    }
}

/// The stream of [`TryParMap::settled`]: an outcome for every item, errors and panics included.
///
/// Errors of the source pass through as outcomes; a panic of the source resumes behind the last outcome. The outcomes come in the order of completion, or of the input
/// if it is [`ordered`](Self::ordered). There are as many outcomes as items: for an item that was dropped with its
/// runtime it is a [`Panic`](ItemError::Panic) that says so.
///
/// # Cancel safety
///
/// As that of [`ParMap`](crate::ParMap#cancel-safety): a dropped `next()` loses nothing, a dropped stream aborts all
/// items.
///
/// # Panics
///
/// With the panic of the source; if polled outside a tokio runtime.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::prelude::*;
/// use futures::StreamExt as _;
///
/// let numbers = futures::stream::iter(0..100).map(Ok::<u32, String>);
/// let halves = numbers.try_par_map(10, async |n| {
///     if n % 2 == 0 { Ok(n / 2) } else { Err(format!("{n} is odd")) }
/// });
/// let outcomes: Vec<_> = halves.settled().collect().await;
/// let (done, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
/// assert_eq!((done.len(), failed.len()), (50, 50));
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Settled<S: Stream, T, E> {
    tasks: TaskMap<S, T, E>,
}

impl<S: Stream, T, E> Settled<S, T, E> {
    /// Returns the outcomes in the order of the input, as [`ParMap::ordered`](crate::ParMap::ordered) does.
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    #[track_caller]
    pub fn ordered(self) -> Self {
        Self { tasks: self.tasks.ordered() }
    }

    /// Runs items with the same key one after the other, in the order of the input, as
    /// [`ParMap::keyed`](crate::ParMap::keyed) does; an error of the source has no key.
    ///
    /// # Panics
    ///
    /// If the stream was polled before. A panic of `key`, or of the key's `Hash`, `Eq` or `Drop`, is one of the source.
    #[track_caller]
    pub fn keyed<V, E2, K, F>(self, mut key: F) -> Self
    where
        S: Stream<Item = Result<V, E2>>,
        K: Hash + Eq + Send + 'static,
        F: FnMut(&V) -> K + Send + 'static,
    {
        Self { tasks: self.tasks.keyed(Keys::new(move |item: &S::Item| item.as_ref().ok().map(&mut key))) }
    }
}

impl<S: Stream, T, E> Stream for Settled<S, T, E> {
    type Item = Result<T, ItemError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().tasks.poll_result(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.tasks.size_hint()
    }
}

impl<S: Stream, T, E> fmt::Debug for Settled<S, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tasks.fmt("Settled", f)
    }
}
