//! Tasks that are about to be spawned.

use std::{error::Error, fmt, panic::Location, sync::Arc, time::Duration};

use super::{
    Group,
    admission::{TaskKind, Unnamed},
    child,
    handle::TaskHandle,
    restart::Restart,
    shared::Membership,
    task_entry::{State, TaskName},
};
use crate::IntoResult;

/// A task with a name that is about to be spawned, see [`Group::task`](crate::Group::task).
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
    pub(super) group: &'g Group,
    pub(super) name: TaskName,
}

impl Task<'_> {
    /// Spawns it, like [`Group::spawn`](crate::Group::spawn).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F)
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        self.group.spawn_as(self.name, future);
    }

    /// Spawns it for a caller at another place, which is its place in dumps and events.
    #[doc(hidden)]
    pub fn spawn_from<F>(self, place: &'static Location<'static>, future: F)
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        self.group.spawn_from(place, self.name, future);
    }

    /// Spawns it, or returns its future, like [`Group::try_spawn`](crate::Group::try_spawn).
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
    pub fn try_spawn<F>(self, future: F) -> Result<(), Rejected<F>>
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        self.group.try_spawn_as(self.name, future)
    }

    /// Spawns it and returns a handle for its value, like
    /// [`Group::spawn_with_handle`](crate::Group::spawn_with_handle).
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
    /// let port = group(async |g| Ok(g.task("port").spawn_with_handle(async { "80".parse::<u16>() }).await?));
    /// assert_eq!(port.await?, 80);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_with_handle<F, T>(self, future: F) -> TaskHandle<T>
    where
        F: Future<Output: IntoResult<Value = T>> + Send + 'static,
        T: Send + 'static,
    {
        self.group.spawn_with_handle_as(self.name, future)
    }

    /// Spawns work that is started again when it fails or panics, as `restart` says.
    ///
    /// The task ends when a run of the work ends without a failure. When the work is given up its last failure is the
    /// task's, with the [number of restarts](crate::Failure::restarts). A group that drains or stops starts nothing
    /// again. When the group is stopping or has ended, nothing is spawned, which counts as cancelled.
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
    /// use evenkeel_task::Restart;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    ///
    /// let runs = Arc::new(AtomicU32::new(0));
    /// let count = runs.clone();
    /// group(async |g| {
    ///     let restart = Restart::new(std::iter::repeat(Duration::from_secs(1)));
    ///     g.task("feed").supervise(restart, async move || {
    ///         if count.fetch_add(1, Ordering::Relaxed) < 3 { Err("connection lost") } else { Ok(()) }
    ///     });
    ///     Ok(())
    /// })
    /// .await?;
    /// assert_eq!(runs.load(Ordering::Relaxed), 4);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn supervise<D, F, Fut>(self, restart: Restart<D>, work: F)
    where
        D: IntoIterator<Item = Duration, IntoIter: Send> + Clone + Send + 'static,
        F: FnOnce() -> Fut + Clone + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        let Self { group: handle, name } = self;
        let Some(group) = handle.join() else { return handle.shared.registry.count_rejected() };
        // Registered before its first poll: it needs its key to count its restarts.
        let (place, shared) = (Location::caller(), Arc::clone(&handle.shared));
        let state = if group.slots.is_some() { State::Waiting } else { State::Running };
        let key = group.registry.insert(Some(name), place, state);
        #[cfg(feature = "inspect")]
        let work = restart.supervise(work, shared, key, place);
        #[cfg(not(feature = "inspect"))]
        let work = restart.supervise(work, shared, key);
        drop(child::spawn(group, place, Some(key), Unnamed, work));
    }
}

/// Tasks of each kind.
impl Group {
    /// Returns a membership for a task, unless the group is closed.
    #[inline(always)]
    fn join(&self) -> Option<Arc<Membership>> {
        self.membership.upgrade().filter(|group| group.is_open())
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn spawn_as<F>(&self, kind: impl TaskKind<F::Output>, future: F)
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        self.spawn_from(Location::caller(), kind, future);
    }

    #[inline(always)]
    fn spawn_from<F>(&self, place: &'static Location<'static>, kind: impl TaskKind<F::Output>, future: F)
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        match self.join() {
            Some(group) => drop(child::spawn(group, place, None, kind, future)),
            None => self.reject(future),
        }
    }

    #[track_caller]
    pub(super) fn try_spawn_as<F>(&self, kind: impl TaskKind<F::Output>, future: F) -> Result<(), Rejected<F>>
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        let Some(group) = self.join() else { return Err(Rejected(future)) };
        drop(child::spawn(group, Location::caller(), None, kind, future));
        Ok(())
    }

    #[track_caller]
    pub(super) fn spawn_with_handle_as<F, T>(
        &self,
        kind: impl TaskKind<F::Output>,
        future: F,
    ) -> TaskHandle<T>
    where
        F: Future<Output: IntoResult<Value = T>> + Send + 'static,
        T: Send + 'static,
    {
        match self.join() {
            Some(group) => TaskHandle::spawn(group, Location::caller(), kind, future),
            None => {
                self.reject(future);
                TaskHandle::rejected()
            }
        }
    }

    #[cold]
    fn reject<F>(&self, future: F) {
        // Counted first, as the destructor of the future may panic.
        self.shared.registry.count_rejected();
        drop(future);
    }
}

/// The group takes no more tasks; the field is the future that was to be spawned.
///
/// # Examples
///
/// Work that is not lost with its group:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{Group, Rejected, group};
///
/// async fn hand_over(g: &Group, work: impl Future<Output = ()> + Send + 'static) {
///     if let Err(Rejected(work)) = g.try_spawn(work) {
///         work.await;
///     }
/// }
///
/// let g = group(async |g| Ok(g)).await.unwrap();
/// hand_over(&g, async { println!("done here") }).await;
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rejected<F>(pub F);

impl<F> fmt::Debug for Rejected<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rejected(..)")
    }
}

impl<F> fmt::Display for Rejected<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the group takes no more tasks")
    }
}

impl<F> Error for Rejected<F> {}
