//! Watching for findings that last.
//!
//! # How it works
//!
//! One loop, [`watch_objects`], looks, calls the function for each finding that has lasted for the bound, and sleeps. It looks
//! once in each bound; a finding that is younger is looked for again at the very time at which it will have lasted. So none is
//! told late, and a program is looked at no more often than that.
//!
//! The loop reads tokio's clock, and where it is polled decides which one that is: [`watch`] is a future of the caller's
//! runtime, with the virtual time of a test; [`watchdog`] polls the same future on a thread with a runtime of its own, whose
//! timers fire although all workers of the program are blocked. A second loop over `park_timeout` would read a second clock.
//!
//! - **A finding is told once**, as long as it lasts: see [`Told`].
//! - **A thread that was stopped tells nothing**: if a look comes much later than planned, the whole process has stood, and what
//!   it finds is looked for again before it is told.
//! - **A blocked runtime is found by its beat**: a task in it sleeps again and again, and is in the dump as a wait with an end.

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    pin::pin,
    sync::{Arc, Mutex, Weak},
    task::Poll,
    thread,
    time::Duration,
};

use evenkeel_base::{FirstPanic, lock, sleep_until};
use tokio::{
    runtime::{self, Builder, Handle},
    sync::oneshot,
    task::AbortHandle,
    time::Instant,
};

use crate::{
    Dump, Finding, Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge, dump, dump_of,
    register, told::Told,
};

/// The longest time between two beats of a runtime, and after a look that came late.
const SECOND: Duration = Duration::from_secs(1);

/// Looks at all objects of the process on a thread of its own, and calls the function once for each finding that has lasted for
/// the bound.
///
/// The function gets the finding and the dump that has it. It is called again for a finding that has gone and come back. It runs
/// on that thread, and may block it; the next look waits for it. If it panics, the watchdog goes on, and each dump from then on
/// has the panic in the notes of a resource `watchdog`.
///
/// Called in a runtime, it also finds that all workers of that are blocked, as then no timer fires: a task of its own sleeps
/// there, for a second at most, and is in each dump as a waiter of a resource `runtime`.
///
/// It stops when the [`Watchdog`] is dropped. A call of the function that is under way at that time goes on.
///
/// # Panics
///
/// If the bound is zero, or the system refuses a thread.
///
/// # Why not just use a health check?
///
/// A check says that something does not go on. A finding says which tasks wait for each other, and where.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_inspect::watchdog;
/// use std::time::Duration;
///
/// // In `main`, for as long as the program runs.
/// let _watchdog = watchdog(Duration::from_secs(30), |finding, _dump| eprintln!("{finding}"));
/// # }
/// ```
#[track_caller]
pub fn watchdog(bound: Duration, found: impl FnMut(&Finding, &Dump) + Send + 'static) -> Watchdog {
    let place = Location::caller();
    assert!(!bound.is_zero(), "the bound of a watchdog must not be 0");
    let beat = Handle::try_current().ok().map(|runtime| beat(&runtime, bound.min(SECOND), place));
    let (stop, mut stopped) = oneshot::channel::<()>();
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
    let run = move || {
        runtime.block_on(async {
            let mut watch = pin!(watch_objects(None, bound, found, place));
            poll_fn(|cx| match pin!(&mut stopped).poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => watch.as_mut().poll(cx),
            })
            .await;
        });
    };
    let thread = thread::Builder::new().name("evenkeel-watchdog".to_owned());
    thread.spawn(run).expect("a thread for the watchdog can be started");
    Watchdog { _stop: stop, beat }
}

/// Looks at the objects of this runtime, and calls the function once for each finding that has lasted for the bound. It never
/// ends.
///
/// It is [`watchdog`] without a thread: for tests, in virtual time too, and for a runtime that has objects of its own. It looks
/// when it is polled: in a runtime whose workers are all blocked it finds nothing.
///
/// # Cancel safety
///
/// Dropping it ends the watch.
///
/// # Panics
///
/// If the bound is zero; when polled, outside of a tokio runtime with timers.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_inspect::watch;
/// use evenkeel_limit::ConcurrencyLimiter;
/// use std::time::Duration;
/// use tokio::time::Instant;
///
/// static CALLS: ConcurrencyLimiter = ConcurrencyLimiter::new(1).named("calls");
///
/// let start = Instant::now();
/// let (told, finding) = tokio::sync::oneshot::channel();
/// let mut told = Some(told);
/// let watch = watch(Duration::from_secs(30), move |finding, _dump| {
///     let _ = told.take().expect("it is told once").send(finding.clone());
/// });
/// tokio::spawn(watch);
/// tokio::spawn(async {
///     let _outer = CALLS.acquire().await;
///     let _inner = CALLS.acquire().await;
/// });
/// assert_eq!(finding.await.unwrap().lasted, Duration::from_secs(30));
/// assert_eq!(start.elapsed(), Duration::from_secs(30));
/// # }
/// ```
#[track_caller]
pub fn watch(bound: Duration, found: impl FnMut(&Finding, &Dump) + Send) -> impl Future<Output = ()> + Send {
    let place = Location::caller();
    assert!(!bound.is_zero(), "the bound of a watch must not be 0");
    async move { watch_objects(Some(Handle::current().id()), bound, found, place).await }
}

/// Watches a process until it is dropped, see [`watchdog()`].
#[must_use = "dropping it ends the watch"]
pub struct Watchdog {
    // Its drop ends the thread.
    _stop: oneshot::Sender<()>,
    beat: Option<AbortHandle>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.beat.iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").finish_non_exhaustive()
    }
}

/// The loop of both: see the head of this file.
async fn watch_objects(
    of: Option<runtime::Id>,
    bound: Duration,
    mut found: impl FnMut(&Finding, &Dump),
    place: &'static Location<'static>,
) {
    let failures = Failures::new(place);
    let (mut told, mut pause) = (Told::default(), Duration::ZERO);
    loop {
        let planned = Instant::now().checked_add(pause);
        match planned {
            Some(planned) => sleep_until(planned).await,
            None => std::future::pending().await,
        }
        let dump = of.map_or_else(dump, dump_of);
        let late = planned.map(|planned| dump.at.saturating_duration_since(planned));
        let was_stopped = late.is_some_and(|late| late > bound);
        pause = if was_stopped { bound.min(SECOND) } else { bound };
        told.look(&dump, |finding| {
            let is_young = finding.lasted < bound;
            if is_young {
                pause = pause.min(bound - finding.lasted);
            } else if !was_stopped {
                failures.catch(|| found(finding, &dump));
            }
            !is_young && !was_stopped
        });
    }
}

/// The panics of the function of a watchdog, which dumps tell.
struct Failures {
    place: &'static Location<'static>,
    last: Mutex<Option<(u64, String)>>,
    _registration: Registration,
}

impl Failures {
    fn new(place: &'static Location<'static>) -> Arc<Self> {
        Arc::new_cyclic(|failures: &Weak<Self>| Self {
            place,
            last: Mutex::new(None),
            _registration: register(failures.clone()),
        })
    }

    fn catch(&self, call: impl FnOnce()) {
        let mut panics = FirstPanic::default();
        panics.catch(call);
        let Some(payload) = panics.take() else { return };
        let text = message(&*payload).to_owned();
        {
            let mut last = lock(&self.last);
            let before = last.as_ref().map_or(0, |(count, _)| *count);
            *last = Some((before + 1, text));
        }
        FirstPanic::default().catch(|| drop(payload));
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a value that is no text")
}

impl Inspect for Failures {
    fn inspect(&self, _now: Instant) -> Option<Inspected> {
        let (count, text) = lock(&self.last).clone()?;
        let mut resource = InspectedResource::new("watchdog", 0);
        resource.place = Some(self.place);
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        resource
            .notes
            .push(format!("its function panicked {times}, the last time with: {}", text.escape_debug()));
        Some(Inspected::Resource(resource))
    }
}

/// A task that sleeps again and again: it is late if its runtime is blocked.
struct Beat {
    place: &'static Location<'static>,
    // The number of its sleep, its task, the begin and the end of it.
    sleep: Mutex<Option<(u64, TaskId, Instant, Instant)>>,
    _registration: Registration,
}

fn beat(runtime: &Handle, period: Duration, place: &'static Location<'static>) -> AbortHandle {
    let beat = Arc::new_cyclic(|beat: &Weak<Beat>| Beat {
        place,
        sleep: Mutex::new(None),
        _registration: register(beat.clone()),
    });
    let beats = Arc::downgrade(&beat);
    let task = async move {
        for number in 1.. {
            let now = Instant::now();
            let until = now + period;
            *lock(&beat.sleep) = Some((number, TaskId::current(), now, until));
            sleep_until(until).await;
        }
    };
    let (now, task) = (Instant::now(), runtime.spawn(task));
    if let Some(beat) = beats.upgrade() {
        // Blocked workers may never poll it.
        lock(&beat.sleep).get_or_insert((0, TaskId::Task(task.id()), now, now + period));
    }
    task.abort_handle()
}

impl Inspect for Beat {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let (number, task, since, until) = (*lock(&self.sleep))?;
        let mut resource = InspectedResource::new("runtime", 0);
        resource.place = Some(self.place);
        let waited = now.saturating_duration_since(since);
        let mut waiter = WaiterEdge::new(number, task, self.place, waited);
        waiter.until = Some(until);
        waiter.label = Some("its next beat, which is late if all workers are blocked".to_owned());
        resource.waiters.push(waiter);
        Some(Inspected::Resource(resource))
    }
}
