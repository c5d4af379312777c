//! Tasks that are about to be spawned.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::admission::{AtOnce, Turn};
use super::child::{Child, Entry};
use super::membership::Presence;
use super::task_entry::{Label, Member};
use super::{Group, Restart, State};
use crate::IntoResult;

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

impl<'g> Task<'g> {
    pub(super) fn new(group: &'g Group, name: Option<Cow<'static, str>>) -> Self {
        Self { group, name }
    }

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
        if let Err(refused) = self.try_spawn(future) {
            // First, as its destructor may panic.
            members.refused();
            drop(refused);
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
        let Some((group, label)) = self.enter() else { return Err(Closed(future)) };
        launch(group, Entry::None(label), future);
        Ok(())
    }

    /// Lets it in, unless the group is closed.
    #[track_caller]
    fn enter(self) -> Option<(Arc<Presence>, Label)> {
        let group = self.group.presence.upgrade().filter(|group| group.is_open())?;
        Some((group, Label { name: self.name.map(Box::new), place: Location::caller() }))
    }

    /// Spawns work that is started again when it fails or panics, as `restart` says.
    ///
    /// An end without a failure is its end. When it is given up its last failure is the task's, with the
    /// [number of restarts](crate::Failure::restarts). A group that drains or stops starts nothing again. When
    /// the group is stopping or has ended, nothing is spawned, which counts as cancelled.
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
        let members = &self.group.members;
        match self.enter() {
            Some((group, label)) => {
                // At once: it has to know its key.
                let state = if group.turns.is_some() { State::Waiting } else { State::Running };
                let key = group.enter(Member::new(label).in_state(state));
                launch(group, key.into(), restart.keep(work, Arc::clone(members), key));
            }
            None => members.refused(),
        }
    }
}

#[track_caller]
fn launch<F>(group: Arc<Presence>, entry: Entry, future: F)
where
    F: Future<Output: IntoResult> + Send + 'static,
{
    drop(match &group.turns {
        None => tokio::spawn(Child::new(future, AtOnce, entry, group)),
        Some(turns) => tokio::spawn(Child::new(future, Turn::new(turns), entry, group)),
    });
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
