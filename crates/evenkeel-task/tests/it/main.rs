//! Behavior of evenkeel-task.

#![expect(clippy::unwrap_used, reason = "these are tests, and their helpers")]

mod background;
mod blocking;
mod builder;
mod cancel;
mod closing;
mod compiles;
mod detached;
mod error;
mod fail_fast;
mod finish;
mod first_ok;
mod handle;
mod hostile;
mod model;
mod panics;
mod scale;
mod split;
mod stop;
mod supervise;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod telemetry;
mod threads;
mod timeline;
mod using;

use std::{
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_task::{BoxError, Cause, Failure, GroupError};
use tokio::time::Instant;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A panic that prints nothing.
fn throw(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

/// Counts the futures that are alive, as each holds a clone.
type Alive = Arc<()>;

fn alive(alive: &Alive) -> usize {
    Arc::strong_count(alive) - 1
}

/// The failures of a group as `name: cause`.
fn failures(error: &GroupError) -> Vec<String> {
    let text = |failure: &Failure| {
        let name = failure.name.as_deref().unwrap_or("-");
        match &failure.cause {
            Cause::Error(error) => format!("{name}: {error}"),
            Cause::Panic(panic) => format!("{name}: {panic}"),
            Cause::Aborted(reason) => format!("{name}: aborted: {reason}"),
            Cause::Nested(nested) => format!("{name}: [{}]", failures(nested).join(", ")),
            Cause::Deadline => format!("{name}: deadline"),
            Cause::RuntimeShutdown => format!("{name}: runtime shut down"),
            other => panic!("{other:?}"),
        }
    };
    error.failures().map(text).collect()
}

/// Asserts that a future takes this virtual time, and returns its output.
async fn took<T>(time: Duration, future: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let output = future.await;
    assert_eq!(started.elapsed(), time);
    output
}

fn err(message: &str) -> Result<(), BoxError> {
    Err(message.into())
}

/// Polls a future once, with a waker that does nothing.
fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
