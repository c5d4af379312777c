//! An operation, cancelled at each of its suspension points.

// How it works
//
// The operation runs once without a cut, to count its suspension points, and once for each point and kind of cut, each
// time in a fresh world with its own runtime (`explore`). The operation is a separate task (`cut_task`): it has its own
// waker, so it is polled only when it was woken, and a waker that is kept is seen. After the cut the world gets an hour
// of virtual time; then the check runs and the state is dropped, and the run is compared with two others
// (`Leftovers::verdict`): one without the operation, and the complete one.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{task::JoinHandle, time::timeout};

pub use self::report::{CancelReport, Class};
use self::{
    cut_task::{CutByPanic, Progress},
    report::{Cut, Row},
};
use crate::{
    panics::PanicLog,
    watchdog::{self, WatchGuard},
    world::{
        World,
        builder::WALL_LIMIT,
        clock::Clock,
        recording::Recording,
        runtime::{execute, live_tasks},
        seed::Seed,
    },
};

mod cut_task;
mod report;

/// The virtual time in which an operation must complete.
const COMPLETES_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs an operation once to its end, and once for each way to cut it short, each time in a fresh world, and
/// checks what it leaves behind.
///
/// A suspension point is a `Pending` of the operation. There it is
/// - *dropped* at once,
/// - *dropped on wake*: when its waker was called, before it is polled again,
/// - *aborted*, as a task,
/// - dropped because its task *panicked*, while the thread unwinds. This is the only panic that a future can see
///   while it waits; destructors that ask [`panicking`](std::thread::panicking) see it,
/// - *frozen*: not polled for an hour, and then dropped. [`CancelReport::held_up`] counts the tasks that it blocked.
///
/// It is also created and dropped without ever being polled. After each cut, other tasks get an hour of virtual
/// time to finish. Then
/// - `check` must hold: an invariant, true after a cut as after a complete run;
/// - after the state is dropped as well, no task may be alive that is not alive without the operation;
/// - no clone of the operation's waker may be alive;
/// - and no more tasks may have panicked than in the complete run.
///
/// If `check` returns a value that describes the state, [`CancelReport::class`] says whether the operation is atomic,
/// or can be repeated after a cut: to find out, it is repeated. If `check` returns `()`, repeat the operation in
/// `check` where it must be repeatable.
///
/// `setup` makes the state in a fresh world, and may spawn tasks. `operation` and `check` receive clones of it, which
/// have to share it, as clones of an [`Arc`] do. Nothing needs to be [`Send`]. An operation that captures something
/// is written `move |state| async move { … }`.
///
/// The cost is five runs for each point; all runs together may take 60 s of real time.
///
/// # Panics
///
/// With a table of all cuts, if one of them leaves something behind. With a message, if the operation itself panics,
/// does not complete within 24 h of virtual time or 10,000 points, or is not deterministic in its number of points
/// and the value of `check`; and if called inside a runtime.
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
/// State that the operation needs as `&mut` is shared through a lock. Here the check takes the remaining items:
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
) -> CancelReport
where
    S: Clone,
    Setup: Fn() -> Made,
    Made: Future<Output = S>,
    Op: Fn(S) -> Running,
    Running: Future + 'static,
    Check: Fn(S) -> Checked,
    Checked: Future,
    Checked::Output: PartialEq + fmt::Debug,
{
    let watch = watchdog::arm(WALL_LIMIT);
    let run = |cut, twice| explore(cut, twice, &watch, &setup, &operation, &check);
    let sound = |cut, what: &str| match run(cut, false) {
        Run { progress, leftovers: Ok(leftovers) } => (progress, leftovers),
        Run { leftovers: Err(panic), .. } => panic!("{what}: {panic}"),
    };
    let complete_run = || sound(Cut::Uncut, "the operation fails without being cut");
    let (_, without) = sound(Cut::Unstarted, "setup or check fails without the operation");
    let (progress, complete) = complete_run();
    let points = progress.points.get();
    let same_points = |other: usize| {
        assert!(
            other == points,
            "not deterministic: {points} suspension points in one run, {other} in another"
        );
    };
    let (again, other) = complete_run();
    same_points(again.points.get());
    assert!(
        other.value == complete.value,
        "not deterministic: check gives {:?} in one run, {:?} in another",
        complete.value,
        other.value,
    );
    let compares_values = size_of::<Checked::Output>() > 0;
    // Compares the value of the check after a cut; repeats the operation only if that decides the class.
    let class = |cut, leftovers: &Leftovers<Checked::Output>| {
        if !compares_values {
            return Class::Releases;
        }
        if leftovers.value == without.value || leftovers.value == complete.value {
            return Class::Atomic;
        }
        match run(cut, true).leftovers {
            Ok(repeated) if repeated.value == complete.value => Class::Resumable,
            _ => Class::Releases,
        }
    };
    let row = |cut, progress: &Progress, leftovers: Result<Leftovers<Checked::Output>, String>| {
        let held_up =
            leftovers.as_ref().map_or(0, |leftovers| leftovers.unblocked.saturating_sub(without.unblocked));
        let verdict = leftovers
            .and_then(|leftovers| leftovers.verdict(&without, &complete).map(|()| class(cut, &leftovers)));
        Row { cut, at: progress.at.get(), held_up, verdict }
    };

    let mut cuts = CancelReport::new(points, compares_values);
    let at_points = (1..=points)
        .flat_map(|k| [Cut::Dropped(k), Cut::Woken(k), Cut::Aborted(k), Cut::Unwound(k), Cut::Frozen(k)]);
    for cut in std::iter::once(Cut::Unpolled).chain(at_points) {
        let Run { progress, leftovers } = run(cut, false);
        if progress.completed.get() {
            same_points(progress.points.get());
        }
        cuts.add(row(cut, &progress, leftovers));
        // Past the limit each run fails at once; one such row is enough.
        if watch.expired().is_some() && !cuts.sound() {
            break;
        }
    }
    cuts.add(row(Cut::Uncut, &progress, Ok(other)));
    assert!(cuts.sound(), "{cuts}");
    cuts
}

/// The result of one run.
#[derive(Debug)]
struct Run<T> {
    progress: Rc<Progress>,
    /// The state at its end, or the panic that ended it.
    leftovers: Result<Leftovers<T>, String>,
}

/// The state at the end of a run, after the state of the test was dropped.
#[derive(Debug)]
struct Leftovers<T> {
    /// The value of the check.
    value: T,
    /// Tasks that ended in the second hour: the frozen operation blocked them until then.
    unblocked: usize,
    tasks: usize,
    wakers: usize,
    panics: Vec<String>,
}

impl<T> Leftovers<T> {
    /// Compares it with a run without the operation, and with the complete one.
    fn verdict(&self, without: &Leftovers<T>, complete: &Leftovers<T>) -> Result<(), String> {
        if self.tasks > without.tasks {
            return Err(format!("{} task(s) still alive an hour later", self.tasks - without.tasks));
        }
        // Tasks of the setup that outlive the state may hold a waker that the operation registered with them.
        if self.wakers > 0 && without.tasks == 0 {
            return Err("its waker is still held an hour later, with the state dropped".to_owned());
        }
        match self.panics.get(complete.panics.len()) {
            Some(panic) => Err(format!("a task panicked: {panic}")),
            None => Ok(()),
        }
    }
}

/// Runs the operation up to the cut in a fresh world; with `twice`, once more to its end.
fn explore<S, Made, Running, Checked>(
    cut: Cut,
    twice: bool,
    watch: &WatchGuard,
    setup: impl Fn() -> Made,
    operation: impl Fn(S) -> Running,
    check: impl Fn(S) -> Checked,
) -> Run<Checked::Output>
where
    S: Clone,
    Made: Future<Output = S>,
    Running: Future + 'static,
    Checked: Future,
{
    let progress = Rc::new(Progress::default());
    let log = PanicLog::new(true);
    let body = async |world: World| {
        let state = setup().await;
        let frozen = match cut {
            Cut::Unstarted => None,
            Cut::Unpolled => {
                drop(operation(state.clone()));
                None
            }
            _ => run_until(cut, operation(state.clone()), &progress).await,
        };
        world.drain().await;
        let mut unblocked = 0;
        if frozen.is_some() || cut == Cut::Unstarted {
            let own = frozen.as_ref().map_or(0, |_| 1 + progress.spawned.get());
            let before = live_tasks();
            if let Some(frozen) = frozen {
                frozen.abort();
            }
            world.drain().await;
            unblocked = before.saturating_sub(own + live_tasks());
        }
        if twice {
            run_until(Cut::Uncut, operation(state.clone()), &Rc::default()).await;
            world.drain().await;
        }
        let value = check(state).await;
        world.drain().await;
        (value, unblocked, live_tasks(), progress.wakers())
    };
    // A run that panics becomes a row of the table; its world is dropped, and not used again.
    let seed = Arc::new(Seed::new(0));
    let outcome =
        catch_unwind(AssertUnwindSafe(|| execute(Clock::Exact, seed, &Recording::OFF, watch, &log, body).0));
    let leftovers = match outcome {
        Ok((value, unblocked, tasks, wakers)) => {
            Ok(Leftovers { value, unblocked, tasks, wakers, panics: log.in_tasks() })
        }
        Err(_) => Err(log.last().unwrap_or_else(|| "a panic without a message".to_owned())),
    };
    Run { progress, leftovers }
}

/// Runs the operation as a task until it completes or is cut; returns the task if it is frozen.
async fn run_until<F: Future + 'static>(
    cut: Cut,
    operation: F,
    progress: &Rc<Progress>,
) -> Option<JoinHandle<()>> {
    let mut task = cut_task::spawn(operation, cut, progress);
    let until = poll_fn(|cx| {
        if progress.is_frozen(cx) {
            return Poll::Ready(None);
        }
        Pin::new(&mut task).poll(cx).map(Some)
    });
    match timeout(COMPLETES_WITHIN, until).await {
        Ok(None) => return Some(task),
        Ok(Some(Err(error))) if error.is_panic() => {
            let payload = error.into_panic();
            if !payload.is::<CutByPanic>() {
                resume_unwind(payload);
            }
        }
        Ok(Some(_)) => {}
        Err(_) => panic!(
            "the operation still waits after {COMPLETES_WITHIN:?} of virtual time, at suspension point {}",
            progress.points.get()
        ),
    }
    None
}
