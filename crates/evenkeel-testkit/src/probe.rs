//! Counts of polls and wakes of a future, independent of any clock.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::time::Instant;

use crate::wall_clock;

/// Counts polls and wakes of a future, and returns the counts with its output.
///
/// # Why not just count in a `poll_fn`?
///
/// A `poll_fn` does not see wakes. `meter` passes its own waker to the future, which counts them.
///
/// # Cancel safety
///
/// Dropping it drops `future`; nothing else is lost.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, probe::meter};
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// World::run(async |_| {
///     let ((), counts) = meter(sleep(Duration::from_secs(5))).await;
///     assert_eq!((counts.polls, counts.wakes, counts.longest_gap), (2, 1, Duration::from_secs(5)));
/// });
/// ```
pub fn meter<F: Future>(future: F) -> Metered<F> {
    Metered { future: Box::pin(future), waker: None, last_poll: None, counts: Counts::default() }
}

/// A future that counts its polls and wakes: see [`meter`].
///
/// # Cancel safety
///
/// Dropping it drops the future in it, and the counts; nothing else is lost.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, probe::meter};
/// use std::{future::pending, time::Duration};
/// use tokio::time::timeout;
///
/// World::run(async |_| {
///     let mut never = meter(pending::<()>());
///     let _ = timeout(Duration::from_secs(1), &mut never).await;
///     assert_eq!((never.counts().polls, never.counts().spurious_polls), (2, 1)); // at the timeout, once more
/// });
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Metered<F: Future> {
    future: Pin<Box<F>>,
    waker: Option<Arc<CountingWaker>>,
    /// The end of the last poll.
    last_poll: Option<Instant>,
    counts: Counts,
}

/// The polls and wakes of a future.
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::{World, probe::{Counts, meter}};
/// let (answer, counts) = World::run(async |_| meter(async { 42 }).await);
/// assert_eq!(answer, 42);
/// assert_eq!((counts.polls, counts.wakes), (1, 0));
/// # let _: Counts = counts;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// The number of polls.
    pub polls: u64,
    /// The number of calls of its waker.
    pub wakes: u64,
    /// Wakes without effect: the future was woken already and not polled since, or was complete.
    pub spurious_wakes: u64,
    /// Polls after the first without a wake before them: another future of a `join!` or `select!` was woken.
    pub spurious_polls: u64,
    /// The longest CPU time of one poll; zero where the system does not measure it.
    pub longest_poll: Duration,
    /// The longest virtual time between two polls.
    pub longest_gap: Duration,
}

impl<F: Future> Metered<F> {
    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (wakes, spurious_wakes) = self.waker.as_ref().map_or((0, 0), |waker| waker.counts());
        Counts { wakes, spurious_wakes, ..self.counts }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = (F::Output, Counts);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let waker = this.waker.get_or_insert_with(|| CountingWaker::new(cx.waker()));
        let was_woken = waker.set_outer(cx.waker());
        let own = Waker::from(waker.clone());
        if let Some(at) = this.last_poll {
            this.counts.longest_gap = this.counts.longest_gap.max(at.elapsed());
            this.counts.spurious_polls += u64::from(!was_woken);
        }
        this.counts.polls += 1;
        let begun = wall_clock::thread_cpu_time();
        let output = this.future.as_mut().poll(&mut Context::from_waker(&own));
        if let (Some(begun), Some(end)) = (begun, wall_clock::thread_cpu_time()) {
            this.counts.longest_poll = this.counts.longest_poll.max(end.saturating_sub(begun));
        }
        this.last_poll = Some(Instant::now());
        output.map(|output| (output, this.counts()))
    }
}

impl<F: Future> fmt::Debug for Metered<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// Counts wakes, and passes them on.
#[derive(Debug)]
struct CountingWaker {
    // Called and dropped without the lock: it may run foreign code.
    outer: Mutex<Arc<Waker>>,
    woken: AtomicBool,
    wakes: AtomicU64,
    spurious: AtomicU64,
}

impl CountingWaker {
    fn new(outer: &Waker) -> Arc<Self> {
        Arc::new(CountingWaker {
            outer: Mutex::new(Arc::new(outer.clone())),
            woken: AtomicBool::new(false),
            wakes: AtomicU64::new(0),
            spurious: AtomicU64::new(0),
        })
    }

    /// Stores the waker of a poll; returns whether the future was woken since the poll before.
    fn set_outer(&self, outer: &Waker) -> bool {
        if !self.outer().will_wake(outer) {
            let mut waker = Arc::new(outer.clone());
            mem::swap(&mut *lock(&self.outer), &mut waker);
        }
        self.woken.swap(false, Ordering::AcqRel)
    }

    fn outer(&self) -> Arc<Waker> {
        Arc::clone(&lock(&self.outer))
    }

    fn counts(&self) -> (u64, u64) {
        (self.wakes.load(Ordering::Relaxed), self.spurious.load(Ordering::Relaxed))
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        if self.woken.swap(true, Ordering::AcqRel) {
            self.spurious.fetch_add(1, Ordering::Relaxed);
        }
        self.outer().wake_by_ref();
    }
}

/// Awaits a future, asserts the number of its polls, and returns its output.
///
/// The number follows a comparison: `<= 7`, `== 2`.
///
/// # Panics
///
/// If the comparison fails; the message has all counts.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_polls};
/// use tokio::sync::Semaphore;
///
/// World::run(async |_| {
///     let semaphore = Semaphore::new(1);
///     let permit = assert_polls!(semaphore.acquire(), == 1).unwrap();
///     let (second, ()) = tokio::join!(
///         async { assert_polls!(semaphore.acquire(), <= 2) },
///         async { drop(permit) },
///     );
///     assert!(second.is_ok());
/// });
/// ```
#[macro_export]
macro_rules! assert_polls {
    ($future:expr, $comparison:tt $polls:expr $(,)?) => {{
        let (output, counts) = $crate::probe::meter($future).await;
        let expected: u64 = $polls;
        ::core::assert!(
            counts.polls $comparison expected,
            "polls\n  expected: {} {}\n       got: {}\n{:#?}",
            ::core::stringify!($comparison),
            expected,
            counts.polls,
            counts,
        );
        output
    }};
}
