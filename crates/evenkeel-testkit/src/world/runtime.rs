//! The runtime of a world, and the future at its root.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, LocalOptions, LocalRuntime},
    time::{Instant, sleep_until},
};

use super::{World, idle::Idle, seed::Seed};
use crate::{panics::Log, watchdog::Watch};

/// A timer so far away that it fires only where there is no other, and nothing to run: a deadlock.
/// Tokio's sleeps end after 30 years at the latest.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Runs `body` in a fresh runtime and drains it: the output, and how many tasks are left alive.
#[track_caller]
pub(crate) fn execute<F, Fut>(seed: Arc<Seed>, watch: &Watch, log: &Arc<Log>, body: F) -> (Fut::Output, usize)
where
    F: FnOnce(World) -> Fut,
    Fut: Future,
{
    let idle = Arc::new(Idle::default());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .on_thread_park({
            let idle = idle.clone();
            move || idle.reached()
        })
        .on_thread_start({
            let log = log.clone();
            move || log.adopt_thread()
        })
        .build_local(LocalOptions::default());
    let _attached = log.attach();
    let runtime = Running(Some(runtime.expect("the system can make a runtime")));
    runtime.block_on(async {
        let world = World { start: Instant::now(), seed, idle };
        let run = async {
            let output = body(world.clone()).await;
            if live_tasks() > 0 {
                world.drain().await;
            }
            (output, live_tasks())
        };
        supervise(watch, &world, run).await
    })
}

/// The tasks of the present runtime that have not ended.
pub(crate) fn live_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Drives the root of a world, and fails it when it can or may go on no longer.
async fn supervise<F: Future>(watch: &Watch, world: &World, run: F) -> F::Output {
    let mut run = pin!(run);
    let mut deadlock = pin!(sleep_until(world.start + CENTURY));
    let mut begun = false;
    poll_fn(|cx| {
        if !begun {
            begun = true;
            watch.attend(cx.waker().clone());
            // Once is enough: the root of a runtime has the same waker all its life.
            let _ = deadlock.as_mut().poll(cx);
        }
        if let Some(limit) = watch.expired() {
            panic!(
                "not over after {limit:?} of real time, {:?} of virtual time, with {} task(s) alive beside the test \
                 body: something runs again and again, or a blocking task holds the clock",
                world.elapsed(),
                live_tasks(),
            );
        }
        assert!(
            !deadlock.is_elapsed(),
            "deadlock: nothing can run, and no timer is set, with {} task(s) alive beside the test body (a world waits \
             for another thread only if a blocking task does)",
            live_tasks(),
        );
        run.as_mut().poll(cx)
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
