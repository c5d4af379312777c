use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::ItemError;
use crate::runner::Runner;
use crate::window::Window;

pin_project! {
    /// The stream of [`try_par_map`](crate::StreamExt::try_par_map): as [`ParMap`](crate::ParMap), and the first
    /// error ends it.
    ///
    /// - **The first error is given at the instant at which it happens**, in an ordered map too: it does not wait for
    ///   the items before it. Results that are finished by then, and whose turn it is, come first.
    /// - **When the error is given nothing is left running**: all other items were aborted and their destructors have
    ///   run. An item that computes without an await point delays the error until it comes to one. The source is
    ///   dropped, after the error the stream ends.
    /// - An error of the source is an error like one of `f`.
    /// - A panic of an item ends the stream in the same way, and resumes at the consumer; it outranks an error.
    ///
    /// # Cancel safety
    ///
    /// As that of [`ParMap`](crate::ParMap#cancel-safety): a dropped `next()` loses nothing, an error or a panic that is
    /// on its way included; a dropped stream aborts all items.
    ///
    /// # Panics
    ///
    /// With the panic of an item, or one that says that the runtime on which an item was started was shut down before
    /// it ended; if polled outside a tokio runtime.
    ///
    /// # Why not just use `try_buffered`?
    ///
    /// Apart from what is said at [`ParMap`](crate::ParMap#why-not-just-use-buffer_unordered): `try_buffered` of
    /// futures gives an error when its turn comes, after all the items before it.
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
        #[pin]
        runner: Runner<S, T, E>,
    }
}

impl<S: Stream, T, E> TryParMap<S, T, E> {
    #[track_caller]
    pub(crate) fn new<In, E0, F, Fut>(source: S, limit: usize, f: F) -> Self
    where
        S: Stream<Item = Result<In, E0>>,
        In: Send + 'static,
        T: Send + 'static,
        E: From<E0> + Send + 'static,
        F: FnOnce(In) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let runner = Runner::new(source, Window::new(limit), move |window, item| match item {
            Ok(value) => {
                let f = f.clone();
                window.admit(async move { f(value).await });
            }
            Err(error) => window.admit_error(error.into()),
        });
        Self { runner }
    }

    /// Gives the results in the order of the input, as [`ParMap::ordered`](crate::ParMap::ordered) does; an error
    /// still comes at its own instant.
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    #[track_caller]
    pub fn ordered(self) -> Self {
        Self { runner: self.runner.ordered() }
    }

    /// Gives an outcome for every item: no error and no panic stops the others.
    pub fn settled(self) -> Settled<S, T, E> {
        Settled { runner: self.runner.settled() }
    }
}

impl<S: Stream, T, E> Stream for TryParMap<S, T, E> {
    type Item = Result<T, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let outcome = ready!(self.project().runner.poll_outcome(cx));
        Poll::Ready(outcome.map(|outcome| match outcome {
            Ok(result) => Ok(result),
            Err(ItemError::Error(error)) => Err(error),
            Err(ItemError::Panic(panic)) => panic.resume(),
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.runner.size_hint();
        // The first item may be the error that ends it.
        (lower.min(1), upper)
    }
}

impl<S: Stream + fmt::Debug, T, E> fmt::Debug for TryParMap<S, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runner.fmt("TryParMap", f)
    }
}

pin_project! {
    /// The stream of [`TryParMap::settled`]: an outcome for every item, errors and panics included.
    ///
    /// Errors of the source pass through as outcomes. The outcomes come in the order of completion, or of the input
    /// if it is [`ordered`](Self::ordered). As many outcomes come out as items went in: for an item that was dropped with
    /// its runtime it is a [`Panic`](ItemError::Panic) that says so.
    ///
    /// # Cancel safety
    ///
    /// As that of [`ParMap`](crate::ParMap#cancel-safety): a dropped `next()` loses nothing, a dropped stream aborts all
    /// items.
    ///
    /// # Panics
    ///
    /// If polled outside a tokio runtime.
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
        #[pin]
        runner: Runner<S, T, E>,
    }
}

impl<S: Stream, T, E> Settled<S, T, E> {
    /// Gives the outcomes in the order of the input, as [`ParMap::ordered`](crate::ParMap::ordered) does.
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    #[track_caller]
    pub fn ordered(self) -> Self {
        Self { runner: self.runner.ordered() }
    }
}

impl<S: Stream, T, E> Stream for Settled<S, T, E> {
    type Item = Result<T, ItemError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().runner.poll_outcome(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.runner.size_hint()
    }
}

impl<S: Stream + fmt::Debug, T, E> fmt::Debug for Settled<S, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runner.fmt("Settled", f)
    }
}
