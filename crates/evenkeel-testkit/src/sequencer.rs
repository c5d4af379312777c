//! Interleavings of tasks: in an order that the test sets, or in one that a seed chooses.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;

use crate::net::Random;

/// Runs numbered steps of several tasks in order: step 0, then step 1, and so on.
///
/// It is a handle: its clones share the order. Trio has it under the same name.
///
/// # Why not just use a `Barrier` or a `Notify`?
///
/// Seven steps in three tasks need six of those primitives. Here each step has a number.
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
///             let step = seq.at(0).await;
///             tokio::task::yield_now().await; // still step 0
///             record.note("first");
///             drop(step);
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
    current: usize,
    /// Whether a task is in the current step.
    taken: bool,
    waiters: BTreeMap<usize, Arc<Waker>>,
}

impl Sequencer {
    /// A sequencer that starts with step 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until all steps before this one have ended, and enters it.
    ///
    /// The step ends when the [`StepGuard`] is dropped.
    ///
    /// # Panics
    ///
    /// If the step was entered before, or another caller waits for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it frees the step for another caller.
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
    ///         let _step = seq.at(0).await;
    ///         sleep(Duration::from_secs(1)).await;
    ///     };
    ///     let second = async { assert_took!(seq.at(1), Duration::from_secs(1)) };
    ///     tokio::join!(second, first);
    /// });
    /// ```
    pub async fn at(&self, step: usize) -> StepGuard {
        let mut enter = Enter { sequencer: self, step, registered: false };
        poll_fn(|cx| enter.poll(cx)).await
    }
}

/// A pending call of [`Sequencer::at`].
struct Enter<'a> {
    sequencer: &'a Sequencer,
    step: usize,
    registered: bool,
}

impl Enter<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StepGuard> {
        let step = self.step;
        // Wakers are cloned, called and dropped without the lock: they may run foreign code.
        let waker = Arc::new(cx.waker().clone());
        let mut steps = lock(&self.sequencer.0);
        let another = !self.registered && steps.waiters.contains_key(&step);
        let free = step > steps.current || (step == steps.current && !steps.taken);
        if another || !free {
            drop(steps);
            panic!("step {step} is taken twice");
        }
        if step == steps.current {
            steps.taken = true;
            let old = steps.waiters.remove(&step);
            drop(steps);
            // The guard ends the step from now on, also if the drop of the waker panics.
            self.registered = false;
            let guard = StepGuard(self.sequencer.clone());
            drop(old);
            return Poll::Ready(guard);
        }
        let old = steps.waiters.insert(step, waker);
        drop(steps);
        drop(old);
        self.registered = true;
        Poll::Pending
    }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        if self.registered {
            let waker = lock(&self.sequencer.0).waiters.remove(&self.step);
            drop(waker);
        }
    }
}

/// A step of a [`Sequencer`] that has been entered; dropping it ends the step.
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::{World, sequencer::{Sequencer, StepGuard}};
/// World::run(async |_| {
///     let seq = Sequencer::new();
///     let step: StepGuard = seq.at(0).await;
///     let next = tokio::spawn({ let seq = seq.clone(); async move { drop(seq.at(1).await) } });
///     drop(step);
///     next.await.unwrap();
/// });
/// ```
#[derive(Debug)]
pub struct StepGuard(Sequencer);

impl Drop for StepGuard {
    fn drop(&mut self) {
        let mut steps = lock(&self.0.0);
        steps.current += 1;
        steps.taken = false;
        let current = steps.current;
        let next = steps.waiters.get(&current).cloned();
        drop(steps);
        if let Some(next) = next {
            next.wake_by_ref();
        }
    }
}

/// Yields zero to three times before each poll of a future; the seed decides how often.
///
/// Tasks on one thread are interleaved only where one waits; code that is always ready is never interleaved. Wrapped
/// in this, a task yields at its polls, and each seed, such as [`World::seed`](crate::World::seed), is another
/// interleaving. It yields at least once.
///
/// # Cancel safety
///
/// Dropping it drops `future`; nothing else is lost.
///
/// # Examples
///
/// The order in which two tasks end depends on the seed alone:
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
pub fn yield_everywhere<F: Future>(future: F, seed: u64) -> impl Future<Output = F::Output> {
    const MAX_YIELDS: u64 = 3;
    let mut random = Random::new(seed);
    let mut yields = 1 + random.up_to(MAX_YIELDS - 1);
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        if yields > 0 {
            yields -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        yields = random.up_to(MAX_YIELDS);
        future.as_mut().poll(cx)
    })
}
