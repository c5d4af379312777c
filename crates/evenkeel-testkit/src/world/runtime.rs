//! The runtime of a world, and the future at its root.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, LocalOptions, LocalRuntime},
    time::{Instant, sleep_until},
};

use super::{
    Clock, World, child_processes,
    park_hooks::{BodyWaker, ParkHooks},
    seed::Seed,
};
use crate::{Record, panics::Log, watchdog::Watch};

/// A timer so far away that it fires only where there is no other, and nothing to run: a deadlock.
/// Tokio's sleeps end after 30 years at the latest.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A world that has ended.
#[derive(Debug)]
pub(crate) struct Ended<T> {
    pub(crate) output: T,
    /// The virtual time that the body took.
    pub(crate) elapsed: Duration,
    pub(crate) polls: u64,
    pub(crate) max_busy: Duration,
    /// The tasks that are left alive.
    pub(crate) leaked: usize,
    pub(crate) record: Record,
}

/// Runs `body` in a fresh runtime and drains it.
#[track_caller]
pub(crate) fn execute<F, Fut>(
    clock: Clock,
    seed: Arc<Seed>,
    watch: &Watch,
    log: &Arc<Log>,
    body: F,
) -> Ended<Fut::Output>
where
    F: FnOnce(World) -> Fut,
    Fut: Future,
{
    let park_hooks = Arc::new(ParkHooks::new(clock));
    let mut builder = Builder::new_current_thread();
    if let Clock::Quiet(_) = clock {
        // Then the runtime tells after each task how long it was busy: see `Quiescence`.
        builder.event_interval(1);
    }
    let runtime = builder
        .enable_all()
        .start_paused(clock != Clock::Real)
        .on_thread_park({
            let park_hooks = park_hooks.clone();
            move || park_hooks.parks()
        })
        .on_thread_unpark({
            let park_hooks = park_hooks.clone();
            move || park_hooks.unparked()
        })
        .on_thread_start({
            let log = log.clone();
            move || log.adopt_thread()
        })
        .build_local(LocalOptions::default());
    let _attached = log.attach();
    let runtime = Running(Some(runtime.expect("the system can make a runtime")));
    let (output, elapsed, leaked, polls, record) = runtime.block_on(async {
        let record = Record::new();
        let world = World {
            start: Instant::now(),
            clock,
            seed,
            park_hooks: park_hooks.clone(),
            record: record.clone(),
        };
        let run = pin!(async {
            let output = body(world.clone()).await;
            let (elapsed, polls) = (world.elapsed(), world.park_hooks.root_polls());
            if live_tasks() > 0 {
                world.drain().await;
            }
            (output, elapsed, live_tasks(), polls, record)
        });
        supervise(watch, &world, run).await
    });
    Ended { output, elapsed, polls, max_busy: park_hooks.max_busy(), leaked, record }
}

/// The tasks of the present runtime that have not ended.
pub(crate) fn live_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Drives the root of a world, and fails it when it can or may go on no longer.
async fn supervise<F: Future>(watch: &Watch, world: &World, mut run: Pin<&mut F>) -> F::Output {
    // Once is enough: the root of a runtime has the same waker all its life.
    let root = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    watch.attend(root.clone());
    let _attended = world.park_hooks.attend(root.clone());
    let body = BodyWaker::new(root);
    let waker = Waker::from(body.clone());
    let mut deadlock = pin!(sleep_until(world.start + CENTURY));
    if world.clock != Clock::Real {
        poll_fn(|cx| Poll::Ready(deadlock.as_mut().poll(cx).is_ready())).await;
    }
    poll_fn(|_| {
        if let Some(limit) = watch.expired() {
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
            "deadlock: nothing can run, and no timer is set, with {} task(s) alive beside the test body{}{}",
            live_tasks(),
            match world.clock {
                Clock::Quiet(quiet) => format!(" (and nothing has come from outside for {quiet:?} of real time)"),
                _ => " (a world waits for another thread only if a blocking task does, if its clock is held, or \
                      under `Clock::Quiet`)".to_owned(),
            },
            child_processes::describe(),
        );
        if !body.was_woken() {
            return Poll::Pending;
        }
        world.park_hooks.root_polled();
        run.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// Ends the runtime without waiting for its blocking tasks when the test has failed anyway.
#[derive(Debug)]
struct Running(Option<LocalRuntime>);

impl Running {
    #[track_caller]
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().expect("only drop takes it").block_on(future)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Some(runtime), true) = (self.0.take(), thread::panicking()) {
            runtime.shutdown_background();
        }
    }
}
