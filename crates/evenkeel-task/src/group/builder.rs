//! Groups with other rules, and how a group runs.

use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::membership::Presence;
use super::registry::Page;
use super::shared::Members;
use super::{Group, State, current, stop_condition::Doom};
use crate::panic::{FirstPanic, discard};
use crate::timer::poll_timer;
use crate::{BoxError, Cause, GroupError, Stop, catch_panic};

/// A group with other rules than those of [`group`](super::group): see [`Group::builder`].
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
    pub(super) limit: Option<usize>,
    deadline: Option<Instant>,
    grace: Duration,
    pub(super) collects: bool,
    pub(super) stop: Option<Stop>,
}

impl GroupBuilder {
    /// At most so many tasks run at a time; the others wait for their turn in the order in which they were
    /// spawned.
    ///
    /// It bounds what runs, not what is spawned: for a long or endless input use `par_map` of evenkeel-stream.
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

    /// When the group has to stop, first [drains](Stop::drain) its stop signal and gives the tasks so much
    /// time to end; those that are left are aborted then.
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

    /// Lets all tasks end whatever becomes of the others; the error has all failures then.
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
        self.collects = true;
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

    /// Runs `body` and the tasks that it spawns, like [`group`](super::group).
    ///
    /// # Errors
    ///
    /// [`GroupError`] if the body or a task failed, the deadline has passed, or the stop signal was
    /// [aborted](Stop::abort).
    ///
    /// # Cancel safety
    ///
    /// As for [`group`](super::group): dropping the future tells every task to abort, and a group around it
    /// waits for them. There is no grace.
    ///
    /// # Panics
    ///
    /// A panic of the body goes on after all tasks have ended, and so does one of the waker of somebody who waits for the
    /// group's own stop signal.
    #[track_caller]
    pub fn run<R, F, Fut>(self, body: F) -> impl Future<Output = Result<R, GroupError>>
    where
        F: FnOnce(Group) -> Fut,
        Fut: Future<Output = Result<R, BoxError>>,
    {
        let place = Location::caller();
        async move {
            let members = Arc::new(Members::new(place, &self));
            let presence = Arc::new(Presence(Arc::clone(&members)));
            let group = Group { members: Arc::clone(&members), presence: Arc::downgrade(&presence) };
            let mut owner = Owner { members: Arc::clone(&members), presence: Some(presence), ended: false };
            let mut doom = pin!(Doom::new(members.stop.clone(), self.deadline));

            let mut body = pin!(catch_panic(async move { body(group).await }));
            let output =
                members.unless_doomed(doom.as_mut(), |cx| owner.within(|| body.as_mut().poll(cx))).await;
            let (mut value, mut panic) = (None, None);
            // Whether its tasks may go on until they end.
            let joins = match output {
                Some(Ok(Ok(output))) => {
                    value = Some(output);
                    true
                }
                Some(Ok(Err(error))) => {
                    members.fail("body", Cause::of(error));
                    self.collects
                }
                Some(Err(caught)) => {
                    panic = Some(caught);
                    false
                }
                None => {
                    if let Err(panic) = owner.within(|| body.cancel()) {
                        members.fail("body", Cause::Panic(panic));
                    }
                    false
                }
            };

            owner.leave();
            let joined =
                joins && members.unless_doomed(doom.as_mut(), |cx| members.poll_empty(cx)).await.is_some();
            doom.lift();
            // Of wakers: it goes on when all tasks have ended.
            let mut panics = FirstPanic::default();
            if !joined {
                members.close();
                if !self.grace.is_zero() && !members.stop.is_aborting() {
                    abort(&members, State::is_waiting, &mut panics).await;
                    members.stop.drain_in_parts(members.why(), &mut panics).await;
                    soften(&members, self.grace).await;
                }
                members.halt();
                abort(&members, |_| true, &mut panics).await;
                members.stop.abort_in_parts(members.why(), &mut panics).await;
                poll_fn(|cx| members.poll_empty(cx)).await;
            }
            owner.ended = true;
            match panic.or(panics.take()) {
                Some(panic) => {
                    discard(members.failures());
                    panic.resume()
                }
                None => members.verdict(value),
            }
        }
    }
}

/// Wakes tasks to abort, 1024 of them at a time, and lets others run in between.
async fn abort(members: &Members, which: fn(State) -> bool, panics: &mut FirstPanic) {
    let mut page = members.abort(Page::default(), which, panics);
    while let Some(next) = page {
        yield_now().await;
        page = members.abort(next, which, panics);
    }
}

/// Waits until all tasks have ended, for a time, or until the stop signal becomes an abort.
async fn soften(members: &Members, grace: Duration) {
    let mut over = pin!(sleep(grace));
    let mut aborting = pin!(members.stop.aborting());
    poll_fn(|cx| {
        if aborting.as_mut().poll(cx).is_ready() || poll_timer(over.as_mut(), cx).is_ready() {
            return Poll::Ready(());
        }
        members.poll_empty(cx)
    })
    .await;
}

/// Leaves no task behind when the future of the group is dropped early.
struct Owner {
    members: Arc<Members>,
    // Of the body, in whose name it is in the group.
    presence: Option<Arc<Presence>>,
    ended: bool,
}

impl Owner {
    fn within<T>(&mut self, f: impl FnOnce() -> T) -> T {
        current::within(&mut self.presence, f)
    }

    /// The body has ended.
    fn leave(&mut self) {
        self.members.unwatch();
        self.presence = None;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.ended {
            self.members.abandon();
            self.leave();
        }
    }
}
