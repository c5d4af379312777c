//! Groups of tasks that end together.

mod child;
mod members;
mod slab;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;

use tokio::task::yield_now;

use self::child::Child;
use self::members::{Member, Members};
use crate::{BoxError, Cause, GroupError, IntoResult, Stop, catch_panic};

/// How many tasks are told to abort before the group lets others run.
const CHUNK: usize = 1024;

/// Runs `body` and the tasks that it spawns into its [`Group`], and ends when all of them have ended.
///
/// The body runs in the task of the caller, so it may borrow; what it spawns runs in tasks of its own. The
/// first error or panic, of the body or of a task, stops the group: the body is dropped, and the others are
/// aborted at their next await point, in chunks so that a large group does not hold a worker. No task lives
/// and all destructors have run when the future gives its result, whatever that is.
///
/// # Errors
///
/// [`GroupError`] if the body or a task failed, or [`Stop::abort`] was called on the group's own stop signal.
/// An error by which a task answers its own cancellation comes after the first one and does not replace it.
///
/// # Cancel safety
///
/// Dropping the future drops the body and tells every task to abort. It cannot wait: a task in the middle
/// of a poll on another thread ends at its next await point, and failures have nobody to go to. It takes
/// time in proportion to the number of tasks.
///
/// # Panics
///
/// A panic of the body goes on after all tasks have ended; what failed beside it is dropped then. Under
/// `panic = "abort"` any panic ends the process.
///
/// # Why not just use `JoinSet`?
///
/// Use it where one owner collects results of one type. Dropping a `JoinSet` aborts its tasks and does not
/// wait for them, `shutdown` drops their panics, and only its owner can spawn. For results use a channel,
/// or `par_map` of evenkeel-stream.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::BoxError> {
/// use evenkeel_task::group;
/// use tokio::sync::mpsc;
///
/// async fn fetch(id: u32) -> Result<u32, std::io::Error> {
///     Ok(id * id)
/// }
///
/// let (found, mut results) = mpsc::channel(8);
/// let sum = group(async |g| {
///     for id in 1..=3 {
///         let found = found.clone();
///         g.spawn(async move { found.send(fetch(id).await?).await.map_err(std::io::Error::other) });
///     }
///     drop(found);
///     let mut sum = 0;
///     while let Some(square) = results.recv().await {
///         sum += square;
///     }
///     Ok(sum)
/// })
/// .await?;
/// assert_eq!(sum, 14);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn group<R, F, Fut>(body: F) -> impl Future<Output = Result<R, GroupError>>
where
    F: FnOnce(Group) -> Fut,
    Fut: Future<Output = Result<R, BoxError>>,
{
    let place = Location::caller();
    async move {
        let mut owner = Owner { members: Arc::new(Members::new(place)), ended: false };
        let members = Arc::clone(&owner.members);
        let group = Group { members: Arc::clone(&members) };

        let mut body = pin!(catch_panic(async move { body(group).await }));
        let output = members.unless_doomed(|cx| body.as_mut().poll(cx)).await;
        let (mut value, mut panic) = (None, None);
        match output {
            Some(Ok(Ok(output))) => value = Some(output),
            Some(Ok(Err(error))) => members.fail("body", Cause::Error(error)),
            Some(Err(caught)) => panic = Some(caught),
            None => {
                if let Err(panic) = body.cancel() {
                    members.fail("body", Cause::Panic(panic));
                }
            }
        }

        let joined = value.is_some() && members.unless_doomed(|cx| members.poll_empty(cx)).await.is_some();
        if !joined {
            members.close();
            let mut start = 0;
            while members.abort(start, CHUNK) {
                start += CHUNK;
                yield_now().await;
            }
            members.stop.abort(members.why());
            poll_fn(|cx| members.poll_empty(cx)).await;
        }
        owner.ended = true;
        match panic {
            Some(panic) => panic.resume(),
            None => members.verdict(value),
        }
    }
}

/// Leaves no task behind when the future of the group is dropped early.
struct Owner {
    members: Arc<Members>,
    ended: bool,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.ended {
            self.members.abandon();
        }
    }
}

/// Spawns tasks into a group: a cheap handle that its body and its tasks may clone and keep.
///
/// A task returns `()` or a `Result`, see [`IntoResult`]. Its error or panic stops the group; its value is
/// dropped. After the group has begun to stop, or has ended, nothing is spawned any more.
///
/// # Examples
///
/// Tasks can spawn tasks, and the group waits for all of them:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::GroupError> {
/// use evenkeel_task::{Group, group};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// fn visit(g: Group, depth: u32, seen: Arc<AtomicU32>) {
///     let again = g.clone();
///     g.spawn(async move {
///         seen.fetch_add(1, Ordering::Relaxed);
///         for _ in 0..depth {
///             visit(again.clone(), depth - 1, seen.clone());
///         }
///     });
/// }
///
/// let seen = Arc::new(AtomicU32::new(0));
/// group(async |g| Ok(visit(g, 3, seen.clone()))).await?;
/// assert_eq!(seen.load(Ordering::Relaxed), 16);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Group {
    members: Arc<Members>,
}

impl Group {
    /// Spawns a task without a name; errors tell it by the place of this call.
    ///
    /// When the group is stopping or has ended, the future is dropped, and counted as cancelled.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_task::{BoxError, group};
    /// let error = group(async |g| {
    ///     g.spawn(async {
    ///         let port: u16 = "http".parse()?;
    ///         println!("listening on {port}");
    ///         // An async block that uses `?` has to name its error.
    ///         Ok::<_, BoxError>(())
    ///     });
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    /// assert!(error.first().place.file().ends_with(".rs"));
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        Task { group: self, name: None }.spawn(future);
    }

    /// Spawns a task without a name, or gives its future back.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the group is stopping or has ended.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_task::{BoxError, group};
    /// let g = group(async |g| Ok(g)).await.unwrap();
    /// let closed = g.try_spawn(async { Ok::<_, BoxError>(7) }).unwrap_err();
    /// assert_eq!(closed.0.await.unwrap(), 7);
    /// # }
    /// ```
    #[track_caller]
    pub fn try_spawn<F>(&self, future: F) -> Result<(), Closed<F>>
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        Task { group: self, name: None }.try_spawn(future)
    }

    /// A task with a name, to be spawned: errors tell it by this name.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_task::group;
    /// let error = group(async |g| {
    ///     for id in 1..=3 {
    ///         g.task(format!("user-{id}")).spawn(async move { if id == 2 { Err("no such user") } else { Ok(()) } });
    ///     }
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    /// assert_eq!(error.first().name.as_deref(), Some("user-2"));
    /// # }
    /// ```
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> Task<'_> {
        Task { group: self, name: Some(name.into()) }
    }

    /// The stop signal of this group, for its tasks to watch and to give.
    ///
    /// A [drain](Stop::drain) is for the tasks to see: the group itself goes on until they end. An
    /// [abort](Stop::abort) stops the group, with [`Cause::Aborted`] as its failure. The group gives it
    /// itself, when it has told its tasks to abort.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_task::GroupError> {
    /// # use evenkeel_task::group;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// group(async |g| {
    ///     g.spawn(g.stop().draining());
    ///     sleep(Duration::from_secs(1)).await;
    ///     g.stop().drain("enough");
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.members.stop
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("live", &self.members.live()).field("stop", self.stop()).finish()
    }
}

/// A task with a name that is about to be spawned, see [`Group::task`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::GroupError> {
/// # use evenkeel_task::group;
/// use tokio::time::sleep;
///
/// group(async |g| {
///     let task = g.task("nap");
///     task.spawn(sleep(std::time::Duration::from_secs(1)));
///     Ok(())
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing runs until it is spawned"]
pub struct Task<'g> {
    group: &'g Group,
    name: Option<Cow<'static, str>>,
}

impl Task<'_> {
    /// Spawns it, like [`Group::spawn`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F)
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        let members = &self.group.members;
        if self.try_spawn(future).is_err() {
            members.refused();
        }
    }

    /// Spawns it, or gives its future back, like [`Group::try_spawn`].
    ///
    /// # Errors
    ///
    /// [`Closed`] when the group is stopping or has ended.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_task::GroupError> {
    /// # use evenkeel_task::group;
    /// group(async |g| {
    ///     assert!(g.task("in time").try_spawn(async {}).is_ok());
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_spawn<F>(self, future: F) -> Result<(), Closed<F>>
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        let members = &self.group.members;
        let Some(key) = members.enter(Member::new(self.name, Location::caller())) else {
            return Err(Closed(future));
        };
        let task = tokio::spawn(Child::new(future, key, Arc::clone(members)));
        members.spawned(key, task.abort_handle());
        Ok(())
    }
}

/// The group takes no more tasks; here is the future that was to be spawned.
///
/// # Examples
///
/// Work that is not lost with its group:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{Closed, Group, group};
///
/// async fn hand_over(g: &Group, work: impl Future<Output = ()> + Send + 'static) {
///     if let Err(Closed(work)) = g.try_spawn(work) {
///         work.await;
///     }
/// }
///
/// let g = group(async |g| Ok(g)).await.unwrap();
/// hand_over(&g, async { println!("done here") }).await;
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<F>(pub F);

impl<F> fmt::Debug for Closed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<F> fmt::Display for Closed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the group takes no more tasks")
    }
}

impl<F> Error for Closed<F> {}
