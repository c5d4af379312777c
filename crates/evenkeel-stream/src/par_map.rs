use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::ItemError;
use crate::runner::Runner;
use crate::window::Window;

pin_project! {
    /// The stream of [`par_map`](crate::StreamExt::par_map): the results of a function over the items, each computed
    /// in a task of its own.
    ///
    /// - **At most `limit` items are in the window**: in flight, or finished and not yet taken. As long as the
    ///   consumer waits and the source has items, an unordered map has exactly `limit` of them in flight.
    /// - **What is in flight makes progress whatever the consumer does**, on as many threads as the runtime has. A
    ///   consumer that waits for a lock that an item holds, sleeps, or blocks its thread, delays no item but those
    ///   that have not started.
    /// - **It is lazy**: without a consumer no item is taken from the source.
    /// - **A panic of an item resumes at the consumer**, as in rayon, after all other items were aborted and their
    ///   destructors have run. Results that are finished by then, and whose turn it is, come first.
    /// - After its end it gives `None` for ever, and the source is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future of one `next()` loses nothing: items and results stay in the stream. Dropping the stream
    /// aborts all items; their destructors run when the runtime gets to their tasks, not before `drop` returns.
    ///
    /// # Panics
    ///
    /// With the panic of an item, or one that says that the runtime on which an item was started was shut down before
    /// it ended; if polled outside a tokio runtime.
    ///
    /// # Why not just use `buffer_unordered`?
    ///
    /// `map(f).buffer_unordered(n)` of futures runs its items only while it is polled: when the consumer awaits
    /// something else, they stand still, with the locks, permits and connections that they hold. If the consumer
    /// awaits one of these, it waits for ever. It also stays on one thread, and a panic of an item drops all others.
    /// `map(tokio::spawn).buffer_unordered(n)` keeps the items running, even those of a dropped stream: a
    /// `JoinHandle` detaches. Take `buffer_unordered` for futures that borrow or are not `Send`, or for items so
    /// small that a task for each matters.
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
        #[pin]
        runner: Runner<S, T, Infallible>,
    }
}

impl<S: Stream, T> ParMap<S, T> {
    #[track_caller]
    pub(crate) fn new<F, Fut>(source: S, limit: usize, f: F) -> Self
    where
        S::Item: Send + 'static,
        T: Send + 'static,
        F: FnOnce(S::Item) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        let runner = Runner::new(source, Window::new(limit), move |window, item| {
            let f = f.clone();
            window.admit(async move { Ok(f(item).await) });
        });
        Self { runner }
    }

    /// Gives the results in the order of the input.
    ///
    /// A result that is finished before its turn waits in the window, so at most `limit` items are started and not
    /// yet given: behind one slow item all others end, then nothing starts until it has ended too.
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    #[track_caller]
    pub fn ordered(self) -> Self {
        Self { runner: self.runner.ordered() }
    }
}

impl<S: Stream, T> Stream for ParMap<S, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let outcome = ready!(self.project().runner.poll_outcome(cx));
        Poll::Ready(outcome.map(|outcome| match outcome {
            Ok(result) => result,
            Err(ItemError::Panic(panic)) => panic.resume(),
            Err(ItemError::Error(never)) => match never {},
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.runner.size_hint()
    }
}

impl<S: Stream + fmt::Debug, T> fmt::Debug for ParMap<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runner.fmt("ParMap", f)
    }
}
