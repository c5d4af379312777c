//! Groups of tasks that end together.

mod admission;
mod builder;
mod child;
pub(crate) mod current;
mod membership;
mod registry;
mod restart;
mod shared;
mod stop_condition;
mod task;
mod task_entry;
mod task_info;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Weak};

pub use self::builder::GroupBuilder;
use self::membership::Presence;
pub use self::restart::Restart;
use self::shared::Members;
pub use self::task::{Closed, Task};
pub use self::task_info::{State, TaskInfo};
use crate::{BoxError, GroupError, IntoResult, Stop};

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
/// of a poll on another thread ends at its next await point. A group around this one, in whose task or
/// body the future was dropped, waits for the tasks and takes their failures, also those that came before;
/// without one they have nobody to go to. It takes time in proportion to the number of tasks.
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
    Group::builder().run(body)
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
    // A handle keeps no group from its end.
    presence: Weak<Presence>,
}

impl Group {
    /// A group with other rules: a limit, a deadline, a grace, all failures and not the first one.
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
        Task::new(self, None).spawn(future);
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
        Task::new(self, None).try_spawn(future)
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
        Task::new(self, Some(name.into()))
    }

    /// Who is alive in this group, the oldest first: the tasks, and what was left over and is waited for.
    ///
    /// A task is listed from its first poll on; before that it is in the queue of the runtime. It takes time in
    /// proportion to the number of tasks, and their group's locks.
    ///
    /// # Examples
    ///
    /// Why does it take so long?
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_task::GroupError> {
    /// # use evenkeel_task::group;
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    ///
    /// group(async |g| {
    ///     g.task("quick").spawn(sleep(Duration::from_secs(1)));
    ///     g.task("slow").spawn(sleep(Duration::from_secs(60)));
    ///     sleep(Duration::from_secs(30)).await;
    ///     for task in g.live() {
    ///         println!("{task}"); // task 'slow' (src/main.rs:5:20) runs for 30s
    ///     }
    /// #   assert_eq!(g.live().len(), 1);
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn live(&self) -> Vec<TaskInfo> {
        self.members.live()
    }

    /// The stop signal of this group, for its tasks to watch and to give.
    ///
    /// A [drain](Stop::drain) is for the tasks to see: the group itself goes on until they end. An
    /// [abort](Stop::abort) stops the group, with [`Cause::Aborted`](crate::Cause::Aborted) as its failure. The
    /// group gives it itself, when it has told its tasks to abort. A group within a group drains when the outer
    /// one does.
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
        f.debug_struct("Group").field("live", &self.members.live().len()).field("stop", self.stop()).finish()
    }
}
