//! An operation, cut short at each of its suspension points.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;

pub use self::cuts::Cuts;
use self::{cuts::Cut, probe::Progress};
use crate::{
    panics::Log,
    watchdog::{self, Watch},
    world::{Seed, WALL_LIMIT, World, execute, live_tasks},
};

mod cuts;
mod probe;

/// The virtual time in which an operation must complete.
const COMPLETES_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs an operation once to its end, and once for each way to cut it short, each time in a fresh world,
/// and checks what is left behind.
///
/// A suspension point is a `Pending` of the operation. At each of them it is dropped at once; dropped when
/// its waker was called, before it is polled again; and aborted as a task. It is also created and dropped
/// without ever being polled. After each cut the world gets an hour of virtual time to come to rest. Then
/// - `check` must hold: an invariant, true after a cut as after a complete run;
/// - when the state is dropped as well, no task may be alive that is not alive without the operation;
/// - nobody may still hold the operation's waker;
/// - and no more tasks may have panicked than in the complete run.
///
/// `setup` makes the state in a fresh world, and may spawn tasks. `operation` and `check` get clones of it:
/// what they share must be shared by the clones, as in an [`Arc`]. Nothing need be [`Send`]. An operation
/// that captures something is written `move |state| async move { … }`. To ask that it can be repeated after
/// a cut, repeat it in `check`.
///
/// The cost is three runs for each point; all together have 60 s of real time.
///
/// # Panics
///
/// With a table of all cuts, if one of them leaves something behind. With a message, if the operation
/// itself panics, does not complete within 24 h of virtual time or 10,000 points, or does not always have
/// the same number of points; and if called inside a runtime.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::cancel;
/// use std::{sync::Arc, time::Duration};
/// use tokio::{sync::Semaphore, time::sleep};
///
/// let cuts = cancel::every_point(
///     async || Arc::new(Semaphore::new(1)),
///     async |semaphore| {
///         let _permit = semaphore.acquire().await.unwrap();
///         sleep(Duration::from_millis(10)).await;
///     },
///     async |semaphore| assert_eq!(semaphore.available_permits(), 1),
/// );
/// assert_eq!(cuts.points(), 1);
/// ```
///
/// State that the operation needs as `&mut` is shared by a lock. Here the check takes the remaining items:
///
/// ```
/// # use evenkeel_testkit::cancel;
/// # use std::{rc::Rc, time::Duration};
/// # use tokio::{sync::{Mutex, mpsc}, time::sleep};
/// let cuts = cancel::every_point(
///     async || {
///         let (tx, rx) = mpsc::channel(2);
///         tokio::spawn(async move {
///             for item in [1, 2] {
///                 sleep(Duration::from_secs(1)).await;
///                 tx.send(item).await.unwrap();
///             }
///         });
///         Rc::new((Mutex::new(rx), Mutex::new(vec![])))
///     },
///     async |state| {
///         let item = state.0.lock().await.recv().await;
///         state.1.lock().await.extend(item);
///     },
///     async |state| {
///         let (mut rx, mut got) = (state.0.lock().await, state.1.lock().await);
///         while let Some(item) = rx.recv().await {
///             got.push(item);
///         }
///         assert_eq!(*got, [1, 2], "no item is lost, and none comes twice");
///     },
/// );
/// assert_eq!(cuts.points(), 1);
/// ```
#[track_caller]
pub fn every_point<S, Setup, Made, Op, Running, Check, Checked>(
    setup: Setup,
    operation: Op,
    check: Check,
) -> Cuts
where
    S: Clone,
    Setup: Fn() -> Made,
    Made: Future<Output = S>,
    Op: Fn(S) -> Running,
    Running: Future + 'static,
    Check: Fn(S) -> Checked,
    Checked: Future<Output = ()>,
{
    let watch = watchdog::arm(WALL_LIMIT);
    let run = |cut| explore(cut, &watch, &setup, &operation, &check);
    let sound = |cut, what: &str| match run(cut) {
        Run { progress, rest: Ok(rest) } => (progress, rest),
        Run { rest: Err(panic), .. } => panic!("{what}: {panic}"),
    };
    let complete_run = || sound(Cut::Uncut, "the operation fails without being cut");
    let (_, without) = sound(Cut::Unstarted, "setup or check fails without the operation");
    let (progress, complete) = complete_run();
    let points = progress.points();
    let same_points = |other: usize| {
        assert!(
            other == points,
            "not deterministic: {points} suspension points in one run, {other} in another"
        );
    };
    same_points(complete_run().0.points());

    let mut cuts = Cuts::new(points);
    let at_points = (1..=points).flat_map(|k| [Cut::Dropped(k), Cut::Woken(k), Cut::Aborted(k)]);
    for cut in std::iter::once(Cut::Unpolled).chain(at_points) {
        let Run { progress, rest } = run(cut);
        if progress.completed() {
            same_points(progress.points());
        }
        cuts.add(cut, progress.at(), rest.and_then(|rest| rest.verdict(&without, &complete)));
        // Past the limit every further run fails at once; one such row says so.
        if watch.expired().is_some() && !cuts.sound() {
            break;
        }
    }
    cuts.add(Cut::Uncut, progress.at(), complete.verdict(&without, &complete));
    assert!(cuts.sound(), "{cuts}");
    cuts
}

/// What one run did.
#[derive(Debug)]
struct Run {
    progress: Rc<Progress>,
    /// What it left behind, or the panic that ended it.
    rest: Result<Rest, String>,
}

/// What a run leaves behind, when it has come to rest and its state is dropped.
#[derive(Debug)]
struct Rest {
    tasks: usize,
    wakers: usize,
    panics: Vec<String>,
}

impl Rest {
    /// Compares it to a run without the operation, and to the complete one.
    fn verdict(&self, without: &Rest, complete: &Rest) -> Result<(), String> {
        if self.tasks > without.tasks {
            return Err(format!("{} task(s) still alive an hour later", self.tasks - without.tasks));
        }
        // The tasks that outlive the state may well hold what the operation has registered with them.
        if self.wakers > 0 && without.tasks == 0 {
            return Err("its waker is still held an hour later, with the state dropped".to_owned());
        }
        match self.panics.get(complete.panics.len()) {
            Some(panic) => Err(format!("a task panicked: {panic}")),
            None => Ok(()),
        }
    }
}

/// Runs the operation up to the cut in a fresh world.
fn explore<S, Made, Running, Checked>(
    cut: Cut,
    watch: &Watch,
    setup: impl Fn() -> Made,
    operation: impl Fn(S) -> Running,
    check: impl Fn(S) -> Checked,
) -> Run
where
    S: Clone,
    Made: Future<Output = S>,
    Running: Future + 'static,
    Checked: Future<Output = ()>,
{
    let progress = Rc::new(Progress::default());
    let log = Log::new(true);
    let body = async |world: World| {
        let state = setup().await;
        match cut {
            Cut::Unstarted => {}
            Cut::Unpolled => drop(operation(state.clone())),
            _ => run_until(cut, operation(state.clone()), &progress).await,
        }
        world.drain().await;
        check(state).await;
        world.drain().await;
        (live_tasks(), progress.wakers())
    };
    // A run that panics is a row of the table; its world is gone, and nothing of it is used again.
    let seed = Arc::new(Seed::new(0));
    let outcome = catch_unwind(AssertUnwindSafe(|| execute(seed, watch, &log, body)));
    let rest = match outcome {
        Ok(((tasks, wakers), _)) => {
            let panics = log.in_tasks().iter().map(ToString::to_string).collect();
            Ok(Rest { tasks, wakers, panics })
        }
        Err(_) => {
            Err(log.last().map_or_else(|| "a panic without a message".to_owned(), |panic| panic.to_string()))
        }
    };
    Run { progress, rest }
}

/// Runs the operation as a task of its own, until it completes or is cut.
async fn run_until<F: Future + 'static>(cut: Cut, operation: F, progress: &Rc<Progress>) {
    match timeout(COMPLETES_WITHIN, probe::spawn(operation, cut, progress)).await {
        Ok(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        Ok(_) => {}
        Err(_) => panic!(
            "the operation still waits after {COMPLETES_WITHIN:?} of virtual time, at suspension point {}",
            progress.points()
        ),
    }
}
