//! The parallel map over any stream.

use std::{
    convert::Infallible,
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

/// The stream of [`par_map`](crate::StreamExt::par_map): the results of a function over the items, computed on at
/// most `limit` tasks, the workers, each of which takes the next item when its own has ended.
///
/// - **At most `limit` items are started and not taken**: in flight, or finished. As long as the consumer waits and the
///   source has items, an unordered map has exactly `limit` of them in flight.
/// - **Items in flight make progress whatever the consumer does**, on as many threads as the runtime has. A consumer
///   that waits for a lock that an item holds, sleeps, or blocks its thread, delays only items that have not started.
/// - **The map fills up while the consumer is busy**: while the source is pending, a worker waits for it and starts
///   its items as they come, until `limit` of them are started and not taken.
/// - **It is lazy**: before the first poll no item is taken from the source.
/// - **A panic of an item resumes at the consumer**, as in rayon, after all other items were aborted and their
///   destructors have run. Results that are finished by then, and due in the order of the map, come first.
/// - After its end it returns `None` for ever, and the source is dropped.
///
/// # Cancel safety
///
/// Dropping the future of one `next()` loses nothing: items and results stay in the stream. Dropping the stream
/// aborts all items; their destructors run when the runtime gets to their tasks, not before `drop` returns. The same
/// holds for the source while a worker waits for it.
///
/// # Panics
///
/// With the panic of an item or of the source, or one that says that the runtime on which an item was started was shut down before
/// it ended; if polled outside a tokio runtime.
///
/// # Why not just use `buffer_unordered`?
///
/// `map(f).buffer_unordered(n)` of futures runs its items only while it is polled: when the consumer awaits
/// something else, they stand still, with the locks, permits and connections that they hold. If the consumer
/// awaits one of these, it waits for ever. It also stays on one thread, and a panic of an item drops all others.
/// `map(tokio::spawn).buffer_unordered(n)` keeps the items running, also after the stream is dropped: a `JoinHandle`
/// detaches. Take `buffer_unordered` for sources and futures that borrow or are not `Send`.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::prelude::*;
/// use futures::StreamExt as _;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// let waits = || futures::stream::iter([3, 1, 2]);
/// let wait = async |secs: u64| {
///     sleep(Duration::from_secs(secs)).await;
///     secs
/// };
/// assert_eq!(waits().par_map(3, wait).collect::<Vec<_>>().await, [1, 2, 3]);
/// assert_eq!(waits().par_map(3, wait).ordered().collect::<Vec<_>>().await, [3, 1, 2]);
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct ParMap<S: Stream, T> {
    pub(crate) tasks: TaskMap<S, T, Infallible>,
}

impl<S: Stream, T> ParMap<S, T> {
    /// Returns the results in the order of the input.
    ///
    /// A result that is finished early waits for the results before it, and counts against the limit: behind one slow
    /// item all others end, then nothing starts until it has ended, too.
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    #[track_caller]
    pub fn ordered(self) -> Self {
        Self { tasks: self.tasks.ordered() }
    }

    /// Runs items with the same key one after the other, in the order of the input; items with different keys run
    /// at the same time.
    ///
    /// An item that waits for another one with its key counts against the limit: behind one slow item the items with other
    /// keys go on, until the limit is reached by items with the slow one's key. Keys without items are dropped, so
    /// there are at most about twice as many keys in memory as the limit.
    ///
    /// # Panics
    ///
    /// If the stream was polled before. A panic of `key`, or of the key's `Hash`, `Eq` or `Drop`, is one of the source.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_stream::prelude::*;
    /// use futures::StreamExt as _;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// let changes = futures::stream::iter([("ann", 3), ("bob", 2), ("ann", 1)]);
    /// let applied = changes.par_map(3, async |(user, secs)| {
    ///     sleep(Duration::from_secs(secs)).await;
    ///     (user, secs)
    /// });
    /// let applied: Vec<_> = applied.keyed(|(user, _)| *user).collect().await;
    /// assert_eq!(applied, [("bob", 2), ("ann", 3), ("ann", 1)]);
    /// # }
    /// ```
    #[track_caller]
    pub fn keyed<K, F>(self, mut key: F) -> Self
    where
        K: Hash + Eq + Send + 'static,
        F: FnMut(&S::Item) -> K + Send + 'static,
    {
        Self { tasks: self.tasks.keyed(Keys::new(move |item: &S::Item| Some(key(item)))) }
    }
}

impl<S: Stream, T> Stream for ParMap<S, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let result = ready!(self.get_mut().tasks.poll_result(cx));
        Poll::Ready(result.map(|result| match result {
            Ok(result) => result,
            Err(ItemError::Panic(panic)) => panic.resume(),
            Err(ItemError::Error(never)) => match never {},
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.tasks.size_hint()
    }
}

impl<S: Stream, T> fmt::Debug for ParMap<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tasks.fmt("ParMap", f)
    }
}
