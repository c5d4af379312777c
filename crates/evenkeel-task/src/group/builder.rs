//! `group`, its settings, and how a group runs.
//!
//! # How it works
//!
//! [`GroupBuilder::run`] polls the body in the caller's task, then waits until the last [`Membership`] is dropped. Both
//! end early when the group has to stop: after a failure, an abort or the deadline. Then these steps follow:
//!
//! 1. `close`: nothing begins any more.
//! 2. With a grace: abort the tasks that wait for a slot, drain the stop signal, and wait until all have ended, the grace is
//!    over or the signal is aborted.
//! 3. `forbid_progress`, and wake all tasks, page by page with a yield between: each ends in its next poll.
//! 4. Abort the stop signal, for the nested work that follows it, and wait until the group is empty.
//!
//! Tasks are aborted before the signal is, so that a task that waits for both is dropped and does not run on.
//!
//! A panic, of the body or of a waker, is kept until all tasks have ended, and goes on then. If the future is dropped at any
//! await point, [`RunGuard`] aborts the tasks, and the group around it waits for them.

use std::{
    future::poll_fn,
    panic::Location,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_base::{FirstPanic, lock, poll_timer};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use super::{
    FinishGroup, Group, current,
    finish::FinishValue,
    registry::Cursor,
    shared::{Membership, Shared},
    stop_condition::StopCondition,
    task_entry::State,
};
use crate::{
    BoxError, Cause, GroupError, Stop, catch_panic,
    panic::{Panic, discard},
};

/// Runs `body` and the tasks that it spawns into its [`Group`], and returns when all of them have ended.
///
/// The body runs in the task of the caller, so it may borrow; the tasks that it spawns may not. The
/// first error or panic, of the body or of a task, stops the group: the body is dropped, and the other tasks are
/// aborted at their next await point, in chunks so that a large group does not hold a worker. When the future returns,
/// with any result, no task is alive and all destructors have run.
///
/// # Errors
///
/// [`GroupError`] if the body or a task failed, or [`Stop::abort`] was called on the group's own stop signal.
/// An error that a task returns because it was stopped comes after the first one and does not replace it.
///
/// # Cancel safety
///
/// Dropping the future drops the body and tells every task to abort. It cannot wait: a task in the middle
/// of a poll on another thread ends at its next await point. If the future was dropped in a task or the body of
/// another group, that group waits for the tasks and gets their failures, also the earlier ones; without such a group the
/// failures are dropped. The drop takes time in proportion to the number of tasks.
///
/// # Panics
///
/// A panic of the body goes on after all tasks have ended; the failures of tasks are dropped then. Under
/// `panic = "abort"` any panic ends the process.
///
/// # Why not just use `JoinSet`?
///
/// Use it where one owner collects results of one type. Dropping a `JoinSet` aborts its tasks and does not
/// wait for them, `shutdown` drops their panics, and only its owner can spawn. For results use
/// [`Group::spawn_with_handle`], or `par_map` of evenkeel-stream.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::BoxError> {
/// use evenkeel_task::group;
///
/// async fn fetch(id: u32) -> Result<u32, std::io::Error> {
///     Ok(id * id)
/// }
///
/// let sum = group(async |g| {
///     let squares = [1, 2, 3].map(|id| g.spawn_with_handle(fetch(id)));
///     let mut sum = 0;
///     for square in squares {
///         sum += square.await?;
///     }
///     Ok(sum)
/// })
/// .await?;
/// assert_eq!(sum, 14);
/// # Ok(())
/// # }
/// ```
#[doc(alias("TaskGroup", "nursery", "scope"))]
#[track_caller]
pub fn group<R, F, Fut>(body: F) -> impl Future<Output = Result<R, GroupError>>
where
    F: FnOnce(Group) -> Fut,
    Fut: Future<Output = Result<R, BoxError>>,
{
    Group::builder().run(body)
}

impl Group {
    /// Returns a builder for a group with other settings: limit, deadline, grace, all failures in place of the first.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_task::GroupError> {
    /// # use evenkeel_task::Group;
    /// let run = Group::builder().limit(8).run(async |g| {
    ///     (0..100).for_each(|_| g.spawn(tokio::task::yield_now()));
    ///     Ok("done")
    /// });
    /// assert_eq!(run.await?, "done");
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> GroupBuilder {
        GroupBuilder::default()
    }
}

/// The settings of a group, see [`Group::builder`].
///
/// | | unless set |
/// |---|---|
/// | [`limit`](Self::limit) | all tasks run at once |
/// | [`deadline`](Self::deadline) | none |
/// | [`grace`](Self::grace) | none: tasks are aborted at once |
/// | [`collect_all`](Self::collect_all) | the first failure stops the group |
/// | [`stop`](Self::stop) | drains with the group around it, if there is one |
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{Cause, Group};
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// let run = Group::builder()
///     .limit(2)
///     .deadline(Instant::now() + Duration::from_secs(10))
///     .run(async |g| {
///         for _ in 0..5 {
///             g.spawn(async { sleep(Duration::from_secs(4)).await });
///         }
///         Ok(())
///     });
/// let error = run.await.unwrap_err();
/// assert!(matches!(error.first().cause, Cause::Deadline));
/// assert_eq!((error.finished(), error.cancelled()), (4, 1));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing runs until `run` is called"]
pub struct GroupBuilder {
    limit: Option<usize>,
    deadline: Option<Instant>,
    grace: Duration,
    collect_all: bool,
    stop: Option<Stop>,
}

impl GroupBuilder {
    /// Sets the maximum number of tasks that run at a time; the others wait in the order in which they were spawned.
    ///
    /// It bounds the tasks that run, not those that are spawned: for a long or endless input use `par_map` of
    /// evenkeel-stream.
    /// A task that waits for a task of the same group to end may wait for ever.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn limit(mut self, tasks: usize) -> Self {
        assert!(tasks > 0, "the limit of a group must not be 0");
        self.limit = Some(tasks.min(tokio::sync::Semaphore::MAX_PERMITS));
        self
    }

    /// Stops the group at this time, with [`Cause::Deadline`] as its failure.
    pub fn deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(at);
        self
    }

    /// Sets how long the tasks may go on when the group has to stop: it first [drains](Stop::drain) its stop signal, and
    /// aborts the tasks that are left after this time.
    ///
    /// The body is dropped at once. An [abort](Stop::abort) of the stop signal ends the grace.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_task::Group;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// let run = Group::builder().grace(Duration::from_secs(5)).run(async |g| {
    ///     let stop = g.stop().clone();
    ///     g.spawn(async move {
    ///         stop.draining().await;
    ///         sleep(Duration::from_secs(1)).await; // writes what it has
    ///     });
    ///     g.spawn(async { Err::<(), _>("no disk") });
    ///     Ok(())
    /// });
    /// let error = run.await.unwrap_err();
    /// assert_eq!((error.finished(), error.cancelled()), (1, 0));
    /// # }
    /// ```
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Lets tasks go on when another one fails; the error has all failures then.
    ///
    /// A panic of the body, the deadline and an abort still stop the group.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_task::Group;
    ///
    /// let run = Group::builder().collect_all().run(async |g| {
    ///     for text in ["1", "x", "3", "y"] {
    ///         g.task(text).spawn(async move { text.parse::<u8>() });
    ///     }
    ///     Ok(())
    /// });
    /// let error = run.await.unwrap_err();
    /// assert!(error.failures().filter_map(|failure| failure.name.as_deref()).eq(["x", "y"]));
    /// assert_eq!((error.finished(), error.cancelled()), (2, 0));
    /// # }
    /// ```
    pub fn collect_all(mut self) -> Self {
        self.collect_all = true;
        self
    }

    /// Makes the group's stop signal a [child](Stop::child) of this one: it drains and aborts with it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_task::{Group, Stop};
    ///
    /// let stop = Stop::new();
    /// let run = Group::builder().stop(&stop).run(async |g| {
    ///     g.spawn(std::future::pending::<()>());
    ///     stop.abort("not needed any more");
    ///     Ok(())
    /// });
    /// assert!(run.await.unwrap_err().to_string().contains("was aborted after 0ns: not needed any more"));
    /// # }
    /// ```
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = Some(stop.clone());
        self
    }

    /// Runs `body` and the tasks that it spawns, like [`group`].
    ///
    /// # Errors
    ///
    /// [`GroupError`] if the body or a task failed, the deadline has passed, or the stop signal was
    /// [aborted](Stop::abort).
    ///
    /// # Cancel safety
    ///
    /// As for [`group`]: dropping the future tells every task to abort, and a group around it
    /// waits for them. There is no grace.
    ///
    /// # Panics
    ///
    /// A panic of the body goes on after all tasks have ended, and so does a panic of a waker that waits for the group's
    /// own stop signal.
    #[track_caller]
    pub fn run<R, F, Fut>(self, body: F) -> impl Future<Output = Result<R, GroupError>>
    where
        F: FnOnce(Group) -> Fut,
        Fut: Future<Output = Result<R, BoxError>>,
    {
        self.run_from(Location::caller(), body)
    }

    /// Does the same for a caller at another place, which is that of the group in dumps and events.
    #[doc(hidden)]
    pub fn run_from<R, F, Fut>(
        self,
        place: &'static Location<'static>,
        body: F,
    ) -> impl Future<Output = Result<R, GroupError>>
    where
        F: FnOnce(Group) -> Fut,
        Fut: Future<Output = Result<R, BoxError>>,
    {
        self.run_body(place, body, || None)
    }

    /// Runs `body` and the tasks that it spawns, like [`run`](Self::run), until they have ended or one of them ends the
    /// group with a value: [`FinishGroup::finish`].
    ///
    /// Without such a value it returns that of the body.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run), if the failure came before the value, or is a panic.
    ///
    /// # Cancel safety
    ///
    /// As for [`run`](Self::run). A value that was there already is dropped.
    ///
    /// # Panics
    ///
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// The first answer that is good enough:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_task::GroupError> {
    /// use evenkeel_task::Group;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// let run = Group::builder().run_until_finished(async |g| {
    ///     for quality in [5, 1, 9, 2] {
    ///         let group = g.clone();
    ///         g.spawn(async move {
    ///             sleep(Duration::from_secs(quality)).await;
    ///             if quality > 4 {
    ///                 group.finish(Some(quality));
    ///             }
    ///         });
    ///     }
    ///     Ok(None)
    /// });
    /// assert_eq!(run.await?, Some(5));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn run_until_finished<R, F, Fut>(self, body: F) -> impl Future<Output = Result<R, GroupError>>
    where
        F: FnOnce(FinishGroup<R>) -> Fut,
        Fut: Future<Output = Result<R, BoxError>>,
    {
        let value = Arc::new(FinishValue::new(None));
        let taken = Arc::clone(&value);
        let body = move |group| body(FinishGroup::new(group, value));
        self.run_body(Location::caller(), body, move || lock(&taken).take())
    }

    /// Runs `body`; `take_finished` returns the value that has ended the group early.
    async fn run_body<R, F, Fut>(
        self,
        place: &'static Location<'static>,
        body: F,
        take_finished: impl FnOnce() -> Option<R>,
    ) -> Result<R, GroupError>
    where
        F: FnOnce(Group) -> Fut,
        Fut: Future<Output = Result<R, BoxError>>,
    {
        let stop = self.stop.as_ref().map_or_else(current::stop, Stop::child);
        let shared = Shared::new(place, stop, self.limit, self.collect_all);
        let membership = Arc::new(Membership(Arc::clone(&shared)));
        let group = Group { shared: Arc::clone(&shared), membership: Arc::downgrade(&membership) };
        let mut guard =
            RunGuard { shared: Arc::clone(&shared), membership: Some(membership), has_ended: false };
        let mut condition = pin!(StopCondition::new(shared.stop.clone(), self.deadline));

        let mut body = pin!(catch_panic(async move { body(group).await }));
        let poll_body = |cx: &mut Context<'_>| match guard.enter(|| body.as_mut().poll(cx)) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => shared.poll_must_stop(cx).map(|()| None),
        };
        let output = condition.as_mut().until_stopped(&shared, poll_body).await;
        let (mut value, mut panic) = (None, None);
        let waits_for_tasks = match output {
            Some(Ok(Ok(output))) => {
                value = Some(output);
                true
            }
            Some(Ok(Err(error))) => {
                shared.fail("body", Cause::of(error));
                self.collect_all
            }
            Some(Err(caught)) => {
                panic = Some(caught);
                false
            }
            None => {
                if let Err(panic) = guard.enter(|| body.cancel()) {
                    shared.fail("body", Cause::Panic(panic));
                }
                false
            }
        };

        guard.end_body();
        #[cfg(feature = "inspect")]
        shared.inspection.begin_join(self.deadline);
        let all_ended = waits_for_tasks
            && condition
                .as_mut()
                .until_stopped(&shared, |cx| shared.poll_empty_or_must_stop(cx))
                .await
                .is_some();
        condition.disarm();
        // Of wakers; kept until all tasks have ended.
        let mut panics = FirstPanic::default();
        if !all_ended {
            shared.close();
            if !self.grace.is_zero() && !shared.stop.is_aborting() {
                abort_tasks(&shared, |state| state == State::Waiting, &mut panics).await;
                shared.stop.drain_by_page(shared.stop_reason(), &mut panics).await;
                #[cfg(feature = "inspect")]
                shared.inspection.stop_at(Instant::now().checked_add(self.grace));
                drain_for(&shared, self.grace).await;
            }
            #[cfg(feature = "inspect")]
            shared.inspection.stop_at(None);
            shared.forbid_progress();
            abort_tasks(&shared, |_| true, &mut panics).await;
            shared.stop.abort_by_page(shared.stop_reason(), &mut panics).await;
            poll_fn(|cx| shared.poll_empty(cx)).await;
        }
        guard.has_ended = true;
        match panic.or_else(|| panics.take().map(Panic::new)) {
            Some(panic) => {
                discard(shared.take_failures());
                panic.resume()
            }
            None => shared.result(take_finished().or(value)),
        }
    }
}

/// Wakes tasks to abort, 1024 of them at a time, and lets others run in between.
async fn abort_tasks(group: &Shared, filter: fn(State) -> bool, panics: &mut FirstPanic) {
    let mut cursor = group.registry.abort_page(Cursor::default(), filter, panics);
    while let Some(next) = cursor {
        yield_now().await;
        cursor = group.registry.abort_page(next, filter, panics);
    }
}

/// Waits until all tasks have ended, the grace is over, or the stop signal is aborted.
async fn drain_for(group: &Shared, grace: Duration) {
    let mut timer = pin!(sleep(grace));
    let mut aborting = pin!(group.stop.aborting());
    poll_fn(|cx| {
        if aborting.as_mut().poll(cx).is_ready() || poll_timer(timer.as_mut(), cx).is_ready() {
            return Poll::Ready(());
        }
        group.poll_empty(cx)
    })
    .await;
}

/// Aborts the tasks when the future of the group is dropped before its end.
struct RunGuard {
    shared: Arc<Shared>,
    // The membership of the body.
    membership: Option<Arc<Membership>>,
    has_ended: bool,
}

impl RunGuard {
    fn enter<T>(&mut self, f: impl FnOnce() -> T) -> T {
        current::enter(&mut self.membership, f)
    }

    fn end_body(&mut self) {
        // Without the waker: a body that is the last member must not wake its own future.
        self.shared.drop_waker();
        self.membership = None;
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        #[cfg(feature = "inspect")]
        self.shared.inspection.end();
        if !self.has_ended {
            self.shared.abandon(current::membership());
            self.end_body();
        }
    }
}
