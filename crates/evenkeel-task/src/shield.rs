//! Critical sections that go on when their caller is dropped.

use std::{
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{runtime::Handle, time::timeout};

use crate::{
    BoxError, CatchPanic, IntoResult, Panic, catch_panic, error::TimedOut, group::child::spawn_detached,
};

/// A critical section: once it has begun it goes on to its end, also when its caller is dropped.
///
/// It runs in the caller's task, without a limit. When the caller is dropped after the first poll, the rest runs as a
/// task, for at most `max` from then on, and the group around it waits for that task, which is
/// [`Detached`](crate::State::Detached) in [`live`](crate::Group::live). An error, a panic or the
/// [end of that time](crate::Cause::Deadline) is a failure of the group then; the value is dropped. Outside of groups
/// nothing waits for the rest, and its error or panic is dropped. A runtime that shuts down does not finish it.
///
/// # Cancel safety
///
/// Dropping it before its first poll drops the future. Later the future goes on until it ends or the time is over; in
/// the second case it is dropped at its last await point.
///
/// # Panics
///
/// When polled outside of a tokio runtime, or again after it returned its result. A panic of the future goes on here.
///
/// # Why not just use `tokio::spawn(future).await`?
///
/// When its caller is dropped such a task has no owner: it has no limit, its errors and panics are lost,
/// and nothing waits for it when the program stops.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{group, shield};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// let paid = Arc::new(AtomicBool::new(false));
/// let mark = paid.clone();
/// let run = group(async |g| {
///     g.spawn(shield(Duration::from_secs(5), async move {
///         sleep(Duration::from_secs(2)).await; // both steps or none
///         mark.store(true, Ordering::Relaxed);
///     }));
///     sleep(Duration::from_secs(1)).await;
///     Err::<(), _>("the caller hung up".into())
/// });
/// run.await.unwrap_err();
/// assert!(paid.load(Ordering::Relaxed));
/// # }
/// ```
#[track_caller]
pub fn shield<F>(max: Duration, future: F) -> impl Future<Output = F::Output>
where
    F: Future<Output: IntoResult> + Send + 'static,
{
    Shield::new("shield", Location::caller(), None, max, future)
}

/// The future of [`shield`], and of the release of [`using`](crate::using()).
pub(crate) struct Shield<F>
where
    F: Future<Output: IntoResult> + Send + 'static,
{
    future: Option<Pin<Box<CatchPanic<F>>>>,
    // `Some` once it has begun, by its first poll at the latest.
    runtime: Option<Handle>,
    max: Duration,
    name: &'static str,
    place: &'static Location<'static>,
}

impl<F> Shield<F>
where
    F: Future<Output: IntoResult> + Send + 'static,
{
    /// Returns a section with this name and place in errors; with a runtime it has begun before its first poll.
    pub(crate) fn new(
        name: &'static str,
        place: &'static Location<'static>,
        runtime: Option<Handle>,
        max: Duration,
        future: F,
    ) -> Self {
        Self { future: Some(Box::pin(catch_panic(future))), runtime, max, name, place }
    }
}

impl<F> Future for Shield<F>
where
    F: Future<Output: IntoResult> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.runtime.get_or_insert_with(Handle::current);
        let future = self.future.as_mut().expect("polled after it gave its result");
        let output = ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(output.unwrap_or_else(|panic: Panic| panic.resume()))
    }
}

impl<F> Drop for Shield<F>
where
    F: Future<Output: IntoResult> + Send + 'static,
{
    fn drop(&mut self) {
        if let (Some(future), Some(runtime)) = (self.future.take(), self.runtime.take()) {
            let rest = with_timeout(self.max, async move { future.await?.into_result() });
            spawn_detached(self.name, self.place, &runtime, rest);
        }
    }
}

/// Runs work, and drops it when the time is over.
pub(crate) async fn with_timeout(
    max: Duration,
    work: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), BoxError> {
    timeout(max, work).await.unwrap_or_else(|_| Err(TimedOut.into()))
}
