//! Interleavings: in an order that the test sets, or in one that a seed finds.

use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;

use crate::net::Random;

/// An order of steps that are in different tasks: step 0, then step 1, and so on.
///
/// It is a handle: its clones are the same order. It is what Trio calls a sequencer.
///
/// # Why not just use a `Barrier` or a `Notify`?
///
/// Three tasks and seven steps take six of them. Here each step has its number.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_timeline, sequencer::Sequencer};
///
/// World::run(async |world| {
///     let (seq, record) = (Sequencer::new(), world.record());
///     tokio::join!(
///         async {
///             let turn = seq.at(0).await;
///             tokio::task::yield_now().await; // still step 0
///             record.note("first");
///             drop(turn);
///             seq.at(3).await;
///             record.note("last");
///         },
///         async {
///             seq.at(1).await;
///             record.note("second");
///             seq.at(2).await;
///             record.note("third");
///         },
///     );
///     assert_timeline!(record, [0 s "first", 0 s "second", 0 s "third", 0 s "last"]);
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sequencer(Arc<Mutex<Steps>>);

#[derive(Debug, Default)]
struct Steps {
    /// The step whose turn it is.
    present: usize,
    /// Whether somebody has that turn.
    taken: bool,
    waiting: BTreeMap<usize, Arc<Waker>>,
}

impl Sequencer {
    /// An order that begins with step 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for the turn of this step: until all before it have been taken, and are over.
    ///
    /// The step is over when the [`StepGuard`] is dropped.
    ///
    /// # Panics
    ///
    /// If the step was taken before, or another waits for it.
    ///
    /// # Cancel safety
    ///
    /// The step is free again: who asks for it later gets it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use evenkeel_testkit::{World, assert_took, sequencer::Sequencer};
    /// # use std::time::Duration;
    /// # use tokio::time::sleep;
    /// World::run(async |_| {
    ///     let seq = Sequencer::new();
    ///     let first = async {
    ///         let _turn = seq.at(0).await;
    ///         sleep(Duration::from_secs(1)).await;
    ///     };
    ///     let second = async { assert_took!(seq.at(1), Duration::from_secs(1)) };
    ///     tokio::join!(second, first);
    /// });
    /// ```
    pub async fn at(&self, step: usize) -> StepGuard {
        let mut waiting = Waiting { seq: self, step, registered: false };
        poll_fn(|cx| waiting.poll(cx)).await
    }
}

/// One that waits for its turn.
struct Waiting<'a> {
    seq: &'a Sequencer,
    step: usize,
    registered: bool,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StepGuard> {
        let step = self.step;
        // Wakers are cloned, woken and dropped outside of the lock: they may run anything.
        let waker = Arc::new(cx.waker().clone());
        let mut steps = lock(&self.seq.0);
        let another = !self.registered && steps.waiting.contains_key(&step);
        let free = step > steps.present || (step == steps.present && !steps.taken);
        if another || !free {
            drop(steps);
            panic!("step {step} is taken twice");
        }
        if step == steps.present {
            steps.taken = true;
            let old = steps.waiting.remove(&step);
            drop(steps);
            drop(old);
            self.registered = false;
            return Poll::Ready(StepGuard(self.seq.clone()));
        }
        let old = steps.waiting.insert(step, waker);
        drop(steps);
        drop(old);
        self.registered = true;
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.registered {
            let waker = lock(&self.seq.0).waiting.remove(&self.step);
            drop(waker);
        }
    }
}

/// The turn of one step of a [`Sequencer`]; the next one begins when it is dropped.
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::{World, sequencer::{Sequencer, StepGuard}};
/// World::run(async |_| {
///     let seq = Sequencer::new();
///     let turn: StepGuard = seq.at(0).await;
///     let next = tokio::spawn({ let seq = seq.clone(); async move { drop(seq.at(1).await) } });
///     drop(turn);
///     next.await.unwrap();
/// });
/// ```
#[derive(Debug)]
pub struct StepGuard(Sequencer);

impl Drop for StepGuard {
    fn drop(&mut self) {
        let mut steps = lock(&self.0.0);
        steps.present += 1;
        steps.taken = false;
        let present = steps.present;
        let next = steps.waiting.get(&present).cloned();
        drop(steps);
        if let Some(next) = next {
            next.wake_by_ref();
        }
    }
}

/// Lets others run before each poll of a future, zero to three times: where, the seed decides.
///
/// Tasks on one thread change places only where one waits; what is ready at once is never interleaved with
/// anything. Wrapped in this, a task gives way at each of its polls, and each seed, such as
/// [`World::seed`](crate::World::seed), is another interleaving. It yields at least once.
///
/// # Cancel safety
///
/// Dropping it drops `future`; nothing else is lost.
///
/// # Examples
///
/// The order in which two tasks are done depends on the seed alone:
///
/// ```
/// use evenkeel_testkit::{World, sequencer::yield_everywhere};
///
/// let winner = |seed| {
///     World::run(async |world| {
///         tokio::join!(
///             async { yield_everywhere(async {}, seed).await; world.record().note("first") },
///             async { yield_everywhere(async {}, seed + 1).await; world.record().note("second") },
///         );
///         world.record().timeline()[0].1.clone()
///     })
/// };
/// let winners: Vec<_> = (0..20).map(winner).collect();
/// assert_eq!(winners, (0..20).map(winner).collect::<Vec<_>>());
/// assert!(winners.iter().any(|name| name == "first") && winners.iter().any(|name| name == "second"));
/// ```
pub fn yield_everywhere<F: Future>(future: F, seed: u64) -> YieldEverywhere<F> {
    let mut random = Random::new(seed);
    let yields = 1 + random.up_to(MOST_YIELDS - 1);
    YieldEverywhere { future: Box::pin(future), random, yields }
}

/// How often a poll is put off at most.
const MOST_YIELDS: u64 = 3;

/// A future that yields before its polls: see [`yield_everywhere`].
///
/// # Cancel safety
///
/// Dropping it drops the future in it; nothing else is lost.
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::{World, sequencer::{YieldEverywhere, yield_everywhere}};
/// World::run(async |world| {
///     let answer: YieldEverywhere<_> = yield_everywhere(async { 42 }, world.seed());
///     assert_eq!(answer.await, 42);
/// });
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct YieldEverywhere<F> {
    future: Pin<Box<F>>,
    random: Random,
    /// How often it yields before the next poll.
    yields: u64,
}

impl<F: Future> Future for YieldEverywhere<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.yields > 0 {
            self.yields -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.yields = self.random.up_to(MOST_YIELDS);
        self.future.as_mut().poll(cx)
    }
}

impl<F> fmt::Debug for YieldEverywhere<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("YieldEverywhere").field("yields", &self.yields).finish_non_exhaustive()
    }
}
