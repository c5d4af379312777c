//! The extension trait.

use futures_core::Stream;

use crate::{Batch, Batches, ParMap, Progress, TryParMap, WithProgress, edges::CallPlace, task_map::TaskMap};

/// The methods that this crate adds to every [`Stream`]; import them with `use evenkeel_stream::prelude::*`.
///
/// An iterator becomes a stream by `futures::stream::iter`. A closure with a `?` in it names its error:
/// `async |id| -> io::Result<_> { … }`.
///
/// None of the methods has the name of one in futures or tokio-stream, so all three can be imported at once.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::{Batch, prelude::*};
/// use futures::StreamExt as _;
///
/// let squares = futures::stream::iter(1..=5).par_map(2, async |n: u32| n * n).ordered();
/// let batches: Vec<_> = squares.batch(Batch::items(2)).collect().await;
/// assert_eq!(batches, [vec![1, 4], vec![9, 16], vec![25]]);
/// # }
/// ```
pub trait StreamExt: Stream {
    /// Runs `f` over the items, at most `limit` at a time, on tasks that take the next item when theirs has ended.
    ///
    /// Results come in the order of completion, or [`ordered`](ParMap::ordered). See [`ParMap`].
    ///
    /// Tasks run `f`, and so neither `f` nor the source may borrow: in a method `|id| self.get(id)` is "borrowed data escapes"
    /// (E0521). Move a clone in, or map without tasks, as the second example does.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_stream::prelude::*;
    /// use futures::StreamExt as _;
    /// use std::time::Duration;
    /// use tokio::time::{Instant, sleep};
    ///
    /// let start = Instant::now();
    /// let calls = futures::stream::iter(0..100).par_map(10, async |id: u32| {
    ///     sleep(Duration::from_millis(200)).await;
    ///     id
    /// });
    /// assert_eq!(calls.count().await, 100);
    /// assert_eq!(start.elapsed(), Duration::from_secs(2));
    /// # }
    /// ```
    /// In a method, with a clone of a handle; and without tasks, which may borrow `self`:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::prelude::*;
    /// use futures::{StreamExt as _, stream};
    ///
    /// #[derive(Clone)]
    /// struct Api; // a handle: its clones share one client
    ///
    /// impl Api {
    ///     async fn get(&self, id: u32) -> u32 {
    ///         id * id
    ///     }
    ///
    ///     async fn on_tasks(&self) -> Vec<u32> {
    ///         let api = self.clone();
    ///         stream::iter(1..=3).par_map(8, async move |id| api.get(id).await).ordered().collect().await
    ///     }
    ///
    ///     async fn within_this_task(&self) -> Vec<u32> {
    ///         stream::iter(1..=3).map(|id| self.get(id)).buffered(8).collect().await
    ///     }
    /// }
    ///
    /// assert_eq!(Api.on_tasks().await, [1, 4, 9]);
    /// assert_eq!(Api.within_this_task().await, [1, 4, 9]);
    /// # }
    /// ```
    #[track_caller]
    fn par_map<F, Fut>(self, limit: usize, f: F) -> ParMap<Self, Fut::Output>
    where
        Self: Sized + Send + 'static,
        Self::Item: Send + 'static,
        F: FnOnce(Self::Item) -> Fut + Clone + Send + 'static,
        Fut: Future<Output: Send + 'static> + Send + 'static,
    {
        let tasks = TaskMap::new(self, limit, Ok, move |item| async move { Ok(f(item).await) });
        ParMap { tasks }
    }

    /// Runs `f` over the values of a stream of results, at most `limit` at a time, as [`par_map`](StreamExt::par_map)
    /// does, and stops at the first error.
    ///
    /// The error may be one of the source or one of `f`; `f` may have its own error type, into which errors of the source
    /// convert. For a source of plain items take [`par_map`](StreamExt::par_map) and `try_collect` of futures, which ends at the
    /// first error, too. With [`settled`](TryParMap::settled) an error stops nothing. See [`TryParMap`]. As in
    /// [`par_map`](StreamExt::par_map), nothing may borrow; without tasks there is `try_buffered` of futures.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_stream::prelude::*;
    /// use futures::{StreamExt as _, TryStreamExt as _};
    /// use std::num::ParseIntError;
    ///
    /// let words = futures::stream::iter(["1", "2", "x"]).map(Ok::<_, ParseIntError>);
    /// let numbers = words.try_par_map(2, async |word: &str| word.parse::<u8>());
    /// let error = numbers.try_collect::<Vec<_>>().await.unwrap_err();
    /// assert_eq!(error.to_string(), "invalid digit found in string");
    /// # }
    /// ```
    #[track_caller]
    fn try_par_map<T, E, U, E2, F, Fut>(self, limit: usize, f: F) -> TryParMap<Self, U, E2>
    where
        Self: Stream<Item = Result<T, E>> + Sized + Send + 'static,
        T: Send + 'static,
        U: Send + 'static,
        E2: From<E> + Send + 'static,
        F: FnOnce(T) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<U, E2>> + Send + 'static,
    {
        let tasks = TaskMap::new(
            self,
            limit,
            |item| item.map_err(E2::from),
            move |value| async move { f(value).await },
        );
        TryParMap { tasks }
    }

    /// Collects the items into batches by number, size, time, or a predicate. See [`Batch`].
    ///
    /// A batch of results is a `Vec<Result<T, E>>`: nothing that came before an error is lost. One line takes it apart:
    /// `batch.into_iter().collect::<Result<Vec<_>, _>>()?`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_stream::{Batch, prelude::*};
    /// use futures::StreamExt as _;
    ///
    /// let batches: Vec<_> = futures::stream::iter(0..5).batch(Batch::items(2)).collect().await;
    /// assert_eq!(batches, [vec![0, 1], vec![2, 3], vec![4]]);
    ///
    /// let mut stored = Vec::new();
    /// let results = futures::stream::iter(["1", "2", "x"].map(str::parse::<u8>));
    /// let mut batches = results.batch(Batch::items(2));
    /// let error = loop {
    ///     let batch = batches.next().await.expect("an error comes first");
    ///     match batch.into_iter().collect::<Result<Vec<_>, _>>() {
    ///         Ok(rows) => stored.push(rows),
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert_eq!((stored, error.to_string()), (vec![vec![1, 2]], "invalid digit found in string".to_owned()));
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    fn batch(self, batch: Batch<Self::Item>) -> Batches<Self>
    where
        Self: Sized,
    {
        Batches::new(self, batch, CallPlace::here())
    }

    /// Calls `hook` behind each item and at the end, with the number of items, the total, the rate, and the time that is
    /// left. See [`Progress`] and [`WithProgress`].
    ///
    /// Place it behind the work that it tells of. A bar of indicatif is a hook of one line.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::prelude::*;
    /// use futures::StreamExt as _;
    /// use std::time::Duration;
    ///
    /// let rows = futures::stream::iter(0..100_000).progress(|progress| {
    ///     if progress.has_ended {
    ///         assert_eq!((progress.done, progress.total), (100_000, Some(100_000)));
    ///     }
    /// });
    /// assert_eq!(rows.every(Duration::from_millis(100)).count().await, 100_000);
    /// # }
    /// ```
    fn progress(self, hook: impl FnMut(&Progress) + Send + 'static) -> WithProgress<Self>
    where
        Self: Sized,
    {
        WithProgress::new(self, hook)
    }
}

impl<S: Stream + ?Sized> StreamExt for S {}
