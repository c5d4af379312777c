//! Workers on a queue.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use evenkeel_base::{FirstPanic, lock};
use evenkeel_task::{Panic, catch_panic};
use tokio::{task::JoinSet, time::timeout};

#[cfg(feature = "inspect")]
use super::inspect::WorkersEdge;
use super::{consumer::Consumer, core::Core};
#[cfg(not(feature = "inspect"))]
use crate::edges::WorkersEdge;
use crate::{ItemError, edges::CallPlace};

/// The number of failures that a report keeps.
const MAX_FAILURES: usize = 64;

impl<T> Consumer<T> {
    /// Starts `n` workers on the current runtime, each of which runs `f` over one item after the other.
    ///
    /// See [`Workers`].
    ///
    /// # Panics
    ///
    /// If `n` is zero, or outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::{Capacity, queue};
    ///
    /// let (jobs, consumer) = queue(Capacity::items(10));
    /// let workers = consumer.workers(3, async |id: u32| match id {
    ///     7 => Err("unlucky"),
    ///     _ => Ok(()),
    /// });
    /// for id in 0..100 {
    ///     jobs.push(id).await.unwrap();
    /// }
    /// jobs.close();
    /// let report = workers.await;
    /// assert_eq!((report.done, report.failed), (99, 1));
    /// # }
    /// ```
    #[track_caller]
    pub fn workers<F, Fut, E>(self, n: usize, f: F) -> Workers<T, E>
    where
        T: Send + 'static,
        F: FnOnce(T) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Send + 'static,
    {
        Workers::new(self, n, f)
    }
}

/// The workers of [`Consumer::workers`], as a future of their [`WorkersReport`].
///
/// - **They run at once**, each in a task on the runtime where they were started. They take one item after the other, in
///   the order of the queue, and end when it is closed and empty.
/// - **A failure stops nothing.** An error or a panic of `f` is counted and, up to the first 64, kept in the report; its
///   worker takes the next item. An error that needs more than that is handled within `f`.
/// - **Nothing hangs, and nothing is lost**: an item counts as done however its work ends, and those that were not
///   started are in the report of [`close`](Self::close) and [`close_now`](Self::close_now), or returned by
///   [`Producer::close_now`](crate::Producer::close_now).
///
/// # Cancel safety
///
/// To await `&mut workers`, and drop that future, only stops to wait. Dropping the workers aborts them; items that they have
/// not taken stay in the queue.
///
/// # Panics
///
/// If polled again after it returned its report.
///
/// # Why not just use tasks and a join?
///
/// In asyncio's pattern of workers around `queue.get()` and `queue.task_done()`, a worker that dies takes its item with it,
/// the others go on with one less, and when all have died `queue.join()` waits for ever. An `Arc<Mutex<Receiver>>` of tokio
/// runs short jobs on one thread at a time.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::{Capacity, queue};
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// let start = Instant::now();
/// let (jobs, consumer) = queue(Capacity::items(100));
/// let workers = consumer.workers(2, async |millis: u64| {
///     sleep(Duration::from_millis(millis)).await;
///     if millis == 20 { Err("too slow") } else { Ok(()) }
/// });
/// for millis in [10, 20, 10, 60_000, 60_000, 5] {
///     jobs.push(millis).await.unwrap();
/// }
/// // One second for all.
/// let report = workers.close(Duration::from_secs(1)).await;
/// assert_eq!((report.done, report.failed, report.aborted), (2, 1, 2));
/// assert_eq!(report.unstarted, [5]);
/// assert_eq!(start.elapsed(), Duration::from_secs(1));
/// # }
/// ```
#[must_use = "dropping the workers aborts them"]
pub struct Workers<T, E> {
    tasks: JoinSet<()>,
    core: Arc<Core<T>>,
    tally: Arc<Mutex<Tally<E>>>,
    _edge: WorkersEdge,
    // Of a worker that ended before the queue did.
    has_lost: bool,
    has_ended: bool,
}

/// The account of [`Workers`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{Capacity, ItemError, queue};
///
/// let (words, consumer) = queue(Capacity::items(10));
/// for word in ["1", "2", "x"] {
///     words.push(word).await.unwrap();
/// }
/// drop(words);
/// let report = consumer.workers(2, async |word: &str| word.parse::<u8>().map(drop)).await;
/// assert_eq!((report.done, report.failed), (2, 1));
/// assert!(matches!(&report.failures[0], ItemError::Error(error) if error.to_string() == "invalid digit found in string"));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct WorkersReport<T, E> {
    /// The number of items for which `f` returned `Ok`.
    pub done: u64,
    /// The number of items for which `f` returned an error.
    pub failed: u64,
    /// The number of items for which `f` panicked.
    pub panicked: u64,
    /// The number of items whose work was aborted, by the end of a [`Workers::close`] or as the runtime was shut down.
    pub aborted: u64,
    /// The errors and panics, in the order in which they came; after the first 64 they are only counted.
    pub failures: Vec<ItemError<E>>,
    /// The items that no worker has started, in their order, if the workers were stopped.
    pub unstarted: Vec<T>,
}

struct Tally<E> {
    started: u64,
    done: u64,
    failed: u64,
    panicked: u64,
    failures: Vec<ItemError<E>>,
}

impl<T: Send + 'static, E: Send + 'static> Workers<T, E> {
    #[track_caller]
    pub(super) fn new<F, Fut>(consumer: Consumer<T>, n: usize, f: F) -> Self
    where
        F: FnOnce(T) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        assert!(n > 0, "the number of workers must not be zero");
        let core = consumer.core().clone();
        let tally =
            Arc::new(Mutex::new(Tally { started: 0, done: 0, failed: 0, panicked: 0, failures: Vec::new() }));
        let edge = WorkersEdge::new(&core, n, CallPlace::here());
        let mut tasks = JoinSet::new();
        for _ in 0..n {
            let worker = work(consumer.clone(), f.clone(), tally.clone(), edge.clone());
            #[cfg(feature = "tracing")]
            let worker = tracing::Instrument::in_current_span(worker);
            tasks.spawn(worker);
        }
        Self { tasks, core, tally, _edge: edge, has_lost: false, has_ended: false }
    }
}

impl<T, E> Workers<T, E> {
    /// Closes the queue, lets the workers go on for up to `within`, and aborts those that are not done then.
    ///
    /// The workers go on with items that stand in the queue; those that were not started at the end of `within` are in the
    /// report. [`close_now`](Self::close_now) starts none of them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the workers. Behind the end of `within` it drops the items that were not started, too, as
    /// it has taken them out of the queue.
    pub async fn close(mut self, within: Duration) -> WorkersReport<T, E>
    where
        T: 'static,
        E: 'static,
    {
        self.core.close();
        if let Ok(report) = timeout(within, &mut self).await {
            return report;
        }
        // First, so that no worker starts another item.
        let mut unstarted: Vec<T> = self.core.stop().into_iter().map(|entry| entry.item).collect();
        self.tasks.abort_all();
        let mut report = (&mut self).await;
        unstarted.append(&mut report.unstarted);
        WorkersReport { unstarted, ..report }
    }

    /// Closes the queue, lets the workers finish the items that they have started for up to `within`, and aborts those that
    /// are not done then.
    ///
    /// It starts no other item: those that stand in the queue are in the report. With `Duration::ZERO` everything ends now.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the workers, and drops the items that were not started, as its first poll has taken them out
    /// of the queue.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_stream::{Capacity, queue};
    /// use std::{convert::Infallible, time::Duration};
    /// use tokio::time::sleep;
    ///
    /// let (jobs, consumer) = queue(Capacity::items(10));
    /// let workers = consumer.workers(1, async |_id: u32| {
    ///     sleep(Duration::from_secs(1)).await;
    ///     Ok::<_, Infallible>(())
    /// });
    /// for id in 0..3 {
    ///     jobs.push(id).await.unwrap();
    /// }
    /// sleep(Duration::from_millis(100)).await;
    /// let report = workers.close_now(Duration::from_secs(8)).await;
    /// assert_eq!((report.done, report.unstarted), (1, vec![1, 2]));
    /// # }
    /// ```
    pub async fn close_now(self, within: Duration) -> WorkersReport<T, E>
    where
        T: 'static,
        E: 'static,
    {
        let mut unstarted: Vec<T> = self.core.stop().into_iter().map(|entry| entry.item).collect();
        let mut report = self.close(within).await;
        unstarted.append(&mut report.unstarted);
        WorkersReport { unstarted, ..report }
    }

    fn report(&mut self) -> WorkersReport<T, E> {
        let unstarted = if self.has_lost { self.core.stop() } else { VecDeque::new() };
        let mut tally = lock(&self.tally);
        let Tally { started, done, failed, panicked, .. } = *tally;
        WorkersReport {
            done,
            failed,
            panicked,
            aborted: started.saturating_sub(done + failed + panicked),
            failures: mem::take(&mut tally.failures),
            unstarted: unstarted.into_iter().map(|entry| entry.item).collect(),
        }
    }
}

impl<T, E> Future for Workers<T, E> {
    type Output = WorkersReport<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(!this.has_ended, "polled after it returned its result");
        while let Some(joined) = ready!(this.tasks.poll_join_next(cx)) {
            let Err(error) = joined else { continue };
            this.has_lost = true;
            // Of a destructor, when the worker was aborted.
            if let Ok(panic) = Panic::try_from(error) {
                drop(lock(&this.tally).count(Err(ItemError::Panic(panic))));
            }
        }
        this.has_ended = true;
        Poll::Ready(this.report())
    }
}

impl<T, E> fmt::Debug for Workers<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("alive", &self.tasks.len())
            .field("queue", &self.core.snapshot())
            .finish_non_exhaustive()
    }
}

async fn work<T, E, F, Fut>(consumer: Consumer<T>, f: F, tally: Arc<Mutex<Tally<E>>>, edge: WorkersEdge)
where
    F: FnOnce(T) -> Fut + Clone,
    Fut: Future<Output = Result<(), E>>,
{
    loop {
        // Popping calls wakers of producers, whose panic is none of the worker.
        let Ok(popped) = catch_panic(consumer.pop()).await else { continue };
        let Some(mut job) = popped else { return };
        let item = job.take_item();
        lock(&tally).started += 1;
        let outcome = match Panic::catch(|| f.clone()) {
            // Called within, so that a panic of `f` itself is one of the item.
            Ok(f) => edge.watch(catch_panic(async move { f(item).await })).await,
            Err(panic) => Err(panic),
        };
        let outcome = match outcome {
            Ok(outcome) => outcome.map_err(ItemError::Error),
            Err(panic) => Err(ItemError::Panic(panic)),
        };
        let dropped = lock(&tally).count(outcome);
        FirstPanic::default().drop_each(dropped);
    }
}

impl<E> Tally<E> {
    /// Counts an item that has ended; returns a failure that is too many to be kept.
    fn count(&mut self, outcome: Result<(), ItemError<E>>) -> Option<ItemError<E>> {
        let failure = match outcome {
            Ok(()) => {
                self.done += 1;
                return None;
            }
            Err(failure) => failure,
        };
        match failure {
            ItemError::Error(_) => self.failed += 1,
            ItemError::Panic(_) => self.panicked += 1,
        }
        if self.failures.len() == MAX_FAILURES {
            return Some(failure);
        }
        self.failures.push(failure);
        None
    }
}
