//! The handle of a group, which spawns its tasks.
//!
//! The files in `group/`, in reading order:
//!
//! | file | contents |
//! |---|---|
//! | `builder` | `group`, its settings, and how a group runs |
//! | `task`, `restart` | a task before it is spawned; when a task that failed is started again |
//! | `shared` | the core of a group, and the memberships in it |
//! | `registry`, `task_entry` | the tasks that are alive, and the entry of each |
//! | `child`, `admission` | the future of a task; the condition under which it may run |
//! | `handle`, `outcome` | the handle of a task, for its value and its abort; what the two share |
//! | `finish` | a group that a value can end early |
//! | `probe` | the events of a task for the timelines of evenkeel-testkit |
//! | `current` | the group whose task or body the thread is polling |
//! | `stop_condition` | abort and deadline |
//! | `waits`, `inspect` | the waits for tasks of a group; the group in the dumps of evenkeel-inspect |
//! | `loom`, `loom_tests` | the registry and the outcomes in every interleaving |

mod admission;
pub(crate) mod builder;
pub(crate) mod child;
pub(crate) mod current;
mod finish;
mod handle;
#[cfg(feature = "inspect")]
mod inspect;
mod loom;
#[cfg(test)]
mod loom_tests;
mod outcome;
mod probe;
mod registry;
mod restart;
mod shared;
mod stop_condition;
mod task;
mod task_entry;
#[cfg(feature = "inspect")]
mod waits;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Weak},
};

use self::{
    admission::Unnamed,
    shared::{Membership, Shared},
};
pub use self::{
    finish::FinishGroup,
    handle::TaskHandle,
    outcome::NoValue,
    restart::Restart,
    task::{Rejected, Task},
    task_entry::{State, TaskInfo},
};
use crate::{IntoResult, Stop};

/// The handle of a group, which spawns tasks into it; its body and its tasks may clone and keep it.
///
/// A task returns `()` or a `Result`, see [`IntoResult`]. Its error or panic stops the group; its value is
/// dropped, unless it is spawned [with a handle](Self::spawn_with_handle). After the group has begun to stop, or has
/// ended, nothing is spawned any more.
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
    shared: Arc<Shared>,
    // Weak: a handle does not keep the group from its end.
    membership: Weak<Membership>,
}

impl Group {
    /// Spawns a task without a name; errors identify it by the place of this call.
    ///
    /// It returns nothing to await: [`spawn_with_handle`](Self::spawn_with_handle) returns a handle, which can be awaited
    /// for the value of the task and aborted.
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
        self.spawn_as(Unnamed, future);
    }

    /// Spawns a task without a name, and returns a handle that can be awaited for its value and aborted alone.
    ///
    /// In all else it is a task like those of [`spawn`](Self::spawn): its error or panic stops the group, which waits for
    /// it also when the handle is dropped. The handle says why there is no value: [`NoValue`]. When the group is stopping
    /// or has ended, the future is dropped, counted as cancelled, and so says the handle.
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
    /// async fn fetch(id: u32) -> Result<u32, std::io::Error> {
    ///     Ok(id * id)
    /// }
    ///
    /// let sum = group(async |g| {
    ///     let (one, two) = (g.spawn_with_handle(fetch(3)), g.spawn_with_handle(fetch(4)));
    ///     Ok(one.await? + two.await?)
    /// });
    /// assert_eq!(sum.await?, 25);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("spawn_value", "join", "start_soon"))]
    #[track_caller]
    pub fn spawn_with_handle<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future<Output: IntoResult<Value = T>> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with_handle_as(Unnamed, future)
    }

    /// Spawns a task without a name, or returns its future.
    ///
    /// # Errors
    ///
    /// [`Rejected`] when the group is stopping or has ended.
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
    /// let rejected = g.try_spawn(async { Ok::<_, BoxError>(7) }).unwrap_err();
    /// assert_eq!(rejected.0.await.unwrap(), 7);
    /// # }
    /// ```
    #[track_caller]
    pub fn try_spawn<F>(&self, future: F) -> Result<(), Rejected<F>>
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        self.try_spawn_as(Unnamed, future)
    }

    /// Returns a task with a name, to be spawned: errors identify it by this name.
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
        Task { group: self, name: Box::new(name.into()) }
    }

    /// Describes the tasks that are alive in this group, the oldest first, and the detached work that it waits for.
    ///
    /// A task is listed from its first poll on; before that it is in the queue of the runtime. The call takes time in
    /// proportion to the number of tasks, and the locks of the group.
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
        self.shared.registry.live()
    }

    /// Returns the stop signal of this group, for its tasks to watch and to send.
    ///
    /// A [drain](Stop::drain) is for the tasks to see: the group itself goes on until they end. An
    /// [abort](Stop::abort) stops the group, with [`Cause::Aborted`](crate::Cause::Aborted) as its failure. A group that
    /// stops sends the abort itself, when it has told its tasks to abort. A group within a group drains when the outer
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
    #[doc(alias("abort_all", "cancel", "shutdown"))]
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.shared.stop
    }

    /// Stops the group without a failure: the task that calls it has the result.
    pub(crate) fn cancel_rest(&self) {
        self.shared.cancel_rest();
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("live", &self.shared.registry.live().len())
            .field("stop", self.stop())
            .finish()
    }
}
