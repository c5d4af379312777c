//! The runtime of a world, and the future at its root.
//!
//! # How it works
//!
//! [`execute`] builds a paused current-thread runtime with the [`ParkHooks`], runs the body in it, and lets the tasks
//! that are left finish. [`supervise`] is the root future around the body. It polls the body only when the body's own
//! waker was called, so that polls of the body can be counted; and it fails the world
//! - when the watchdog says that the limit of real time has passed (it wakes the root),
//! - when a timer fires that is a century away: the clock jumps there only if nothing can run and no other timer is
//!   set, which is a deadlock.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use evenkeel_base::lock;
use tokio::{
    runtime::{Builder, Handle, LocalOptions, LocalRuntime},
    time::{Instant, sleep, sleep_until},
};

use super::{
    World, child_processes,
    clock::Clock,
    park_hooks::{BodyWaker, ParkHooks},
    recording::Recording,
    report::WorldReport,
    seed::Seed,
};
use crate::{Record, panics::PanicLog, wall_clock, watchdog::WatchGuard};

/// The deadline of the timer that detects deadlocks: later than all others, as tokio's sleeps end after 30 years.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The virtual time that tasks get to finish after the body.
const DRAIN: Duration = Duration::from_secs(60 * 60);

/// The same in real time, under `Clock::Real`.
const REAL_DRAIN: Duration = Duration::from_secs(1);

/// The body of a world. In boxes: what runs it is compiled once for all bodies with one output, and not for each test.
type Body<'a, T> = Box<dyn FnOnce(World) -> Pin<Box<dyn Future<Output = T> + 'a>> + 'a>;

/// Runs `body` in a fresh runtime, and lets its other tasks finish.
#[track_caller]
pub(crate) fn execute<F, Fut>(
    clock: Clock,
    seed: Arc<Seed>,
    recording: &Recording,
    watch: &WatchGuard,
    log: &Arc<PanicLog>,
    body: F,
) -> (Fut::Output, WorldReport)
where
    F: FnOnce(World) -> Fut,
    Fut: Future,
{
    let body: Body<'_, Fut::Output> = Box::new(|world| Box::pin(body(world)));
    execute_body(clock, seed, recording, watch, log, body)
}

#[track_caller]
fn execute_body<T>(
    clock: Clock,
    seed: Arc<Seed>,
    recording: &Recording,
    watch: &WatchGuard,
    log: &Arc<PanicLog>,
    body: Body<'_, T>,
) -> (T, WorldReport) {
    let begun = wall_clock::now();
    let park_hooks = Arc::new(ParkHooks::new(clock, recording.clone()));
    let mut builder = Builder::new_current_thread();
    if let Clock::Quiet(_) = clock {
        // Publishes the busy time after each task: see `Quiescence`.
        builder.event_interval(1);
    }
    let runtime = builder
        .enable_all()
        .start_paused(clock != Clock::Real)
        .on_thread_park({
            let park_hooks = park_hooks.clone();
            move || park_hooks.before_park()
        })
        .on_thread_unpark({
            let park_hooks = park_hooks.clone();
            move || park_hooks.after_park()
        })
        .on_thread_start({
            let (log, recording) = (log.clone(), recording.clone());
            move || {
                log.adopt_thread();
                recording.adopt_thread();
            }
        })
        .build_local(LocalOptions::default());
    let (_attached, _recorded) = (log.attach(), recording.attach());
    let for_random_numbers = seed.clone();
    let _random = for_random_numbers.reaches_random_numbers();
    let runtime = RuntimeGuard(Some(runtime.expect("the system can make a runtime")), recording.clone());
    let (output, virtual_elapsed, polls, leaked, record) = runtime.block_on(async {
        let world = World {
            start: Instant::now(),
            clock,
            seed,
            park_hooks: park_hooks.clone(),
            record: Record::new(),
            drains_until: Arc::default(),
        };
        recording.begin(world.start);
        park_hooks.findings.begin();
        let _entered = world.enter();
        let run = pin!(async {
            let output = body(world.clone()).await;
            let (virtual_elapsed, polls) = (world.elapsed(), park_hooks.root_polls());
            recording.end_body(polls);
            if live_tasks() > 0 {
                world.drain().await;
            }
            recording.look();
            (output, virtual_elapsed, polls, live_tasks(), world.record.clone())
        });
        supervise(watch, recording, &world, run).await
    });
    // Waits for blocking tasks, which the real time of the world includes.
    drop(runtime);
    let (wall, max_busy) = (wall_clock::now() - begun, park_hooks.max_busy());
    let report = WorldReport {
        virtual_elapsed,
        wall,
        polls,
        max_busy,
        leaked,
        record,
        #[cfg(feature = "timeline")]
        timeline: recording.timeline(),
    };
    (output, report)
}

impl World {
    /// The end of the hour that tasks have to finish, while it runs: for tools whose own clock follows that of the world.
    #[doc(hidden)]
    #[must_use]
    pub fn drains_until(&self) -> Option<Instant> {
        *lock(&self.drains_until)
    }

    /// Waits until all other tasks have had time to finish.
    pub(crate) async fn drain(&self) {
        if self.clock != Clock::Real {
            *lock(&self.drains_until) = Some(Instant::now() + DRAIN);
            sleep(DRAIN).await;
            *lock(&self.drains_until) = None;
            return self.settle().await;
        }
        let end = Instant::now() + REAL_DRAIN;
        while live_tasks() > 0 && Instant::now() < end {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The number of tasks of the current runtime that have not ended.
pub(crate) fn live_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Drives the body of a world, and panics on a deadlock or past the limit of real time.
async fn supervise<F: Future>(
    watch: &WatchGuard,
    recording: &Recording,
    world: &World,
    mut run: Pin<&mut F>,
) -> F::Output {
    // The root of a runtime has the same waker in each poll.
    let root = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    watch.set_root(root.clone());
    let _root = world.park_hooks.root_starts(root.clone());
    let body = BodyWaker::new(root);
    let waker = Waker::from(body.clone());
    let mut deadlock = pin!(sleep_until(world.start + CENTURY));
    if world.clock != Clock::Real {
        poll_fn(|cx| Poll::Ready(deadlock.as_mut().poll(cx).is_ready())).await;
    }
    poll_fn(|_| {
        let limit = watch.expired();
        if limit.is_some() || deadlock.is_elapsed() {
            recording.freeze();
        }
        if let Some(limit) = limit {
            panic!(
                "not over after {limit:?} of real time, {:?} of virtual time, with {} task(s) alive beside the test \
                 body: something runs again and again, or a blocking task or a hold stops the clock{}",
                world.elapsed(),
                live_tasks(),
                child_processes::describe(),
            );
        }
        assert!(
            !deadlock.is_elapsed(),
            "deadlock: nothing can run, and no timer is set, with {} task(s) alive beside the test body{}{}{}",
            live_tasks(),
            match world.clock {
                Clock::Quiet(quiet) => format!(" (and nothing has come from outside for {quiet:?} of real time)"),
                _ => " (a world waits for another thread only if a blocking task does, if its clock is held, or \
                      under `Clock::Quiet`)".to_owned(),
            },
            child_processes::describe(),
            stand_still(),
        );
        if !body.take_woken() {
            return Poll::Pending;
        }
        world.park_hooks.root_polled();
        run.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// Describes who waits for whom, on lines of their own, if evenkeel-inspect is asked for.
fn stand_still() -> String {
    #[cfg(feature = "inspect")]
    {
        let dump = evenkeel_inspect::dump_at_last_wait(Handle::current().id());
        // A test without such objects has nothing to be told.
        if dump.resources.is_empty() && dump.groups.is_empty() { String::new() } else { format!("\n{dump}") }
    }
    #[cfg(not(feature = "inspect"))]
    {
        String::new()
    }
}

/// A runtime that does not wait for its blocking tasks when the test has failed.
#[derive(Debug)]
struct RuntimeGuard(Option<LocalRuntime>, Recording);

impl RuntimeGuard {
    #[track_caller]
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().expect("only drop takes it").block_on(future)
    }
}

impl Drop for RuntimeGuard {
    fn drop(&mut self) {
        let Some(runtime) = self.0.take() else { return };
        if thread::panicking() {
            // The time is that of the runtime.
            let _entered = runtime.enter();
            self.1.fail();
        } else {
            self.1.freeze();
        }
        #[cfg(feature = "inspect")]
        let id = runtime.handle().id();
        if thread::panicking() {
            runtime.shutdown_background();
        } else {
            drop(runtime);
        }
        #[cfg(feature = "inspect")]
        evenkeel_inspect::end_runtime(id);
    }
}
