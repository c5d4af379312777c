//! A group that a value can end early.
//!
//! The value lies beside the group, which has no type of its own for it. [`Shared::finish`] decides under the lock of the
//! group whether the value is the result. The caller is a member of the group while it stores the value, so the group
//! cannot end in between.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;

use super::Group;

/// The handle of a group that [`finish`](Self::finish) can end early with a value; as a reference it is its [`Group`].
///
/// It is the argument of the body of [`GroupBuilder::run_until_finished`](crate::GroupBuilder::run_until_finished). Clones
/// are the same group, and tasks may keep them.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::GroupError> {
/// use evenkeel_task::{BoxError, FinishGroup, Group};
///
/// async fn search(part: u32, g: FinishGroup<Option<u32>>) -> Result<(), BoxError> {
///     if part == 7 {
///         g.finish(Some(part * part));
///     }
///     Ok(())
/// }
///
/// let found = Group::builder().run_until_finished(async |g| {
///     (0..100).for_each(|part| g.spawn(search(part, g.clone())));
///     Ok(None)
/// });
/// assert_eq!(found.await?, Some(49));
/// # Ok(())
/// # }
/// ```
pub struct FinishGroup<R> {
    group: Group,
    value: Arc<FinishValue<R>>,
}

/// The value that has ended a group.
pub(super) type FinishValue<R> = Mutex<Option<R>>;

impl<R> FinishGroup<R> {
    pub(super) fn new(group: Group, value: Arc<FinishValue<R>>) -> Self {
        Self { group, value }
    }

    /// Ends the group early: the body and the tasks that are left are stopped, and the group returns `Ok(value)`.
    ///
    /// They are stopped as after a failure: the body is dropped, with a [grace](crate::GroupBuilder::grace) the tasks are
    /// drained first, then they are aborted. A task that calls it is one of them, and ends at its next await point.
    ///
    /// Returns whether the value is the result of the group. It is not, and is dropped here, when something came first:
    /// another value, a failure, an [abort](crate::Stop::abort) of the group's stop signal, the deadline, the end of the
    /// group or the drop of its future. With [`collect_all`](crate::GroupBuilder::collect_all) the group is stopped also
    /// after failures, and returns them.
    ///
    /// Errors that come after the value do not replace it; the tasks were told to stop. A panic does: the group returns
    /// it as its error, and a panic of the body goes on in the caller of the group.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_task::GroupError> {
    /// # use evenkeel_task::Group;
    /// let run = Group::builder().run_until_finished(async |g| {
    ///     g.spawn(std::future::pending::<()>());
    ///     assert!(g.finish("first"));
    ///     assert!(!g.finish("second"));
    ///     Ok("body")
    /// });
    /// assert_eq!(run.await?, "first");
    /// # Ok(())
    /// # }
    /// ```
    pub fn finish(&self, value: R) -> bool {
        // Held until the value is stored: the group waits for its members.
        let Some(member) = self.group.membership.upgrade() else { return false };
        let is_result = member.finish();
        if is_result {
            *lock(&self.value) = Some(value);
        }
        is_result
    }
}

impl<R> Deref for FinishGroup<R> {
    type Target = Group;

    fn deref(&self) -> &Group {
        &self.group
    }
}

impl<R> Clone for FinishGroup<R> {
    fn clone(&self) -> Self {
        Self { group: self.group.clone(), value: Arc::clone(&self.value) }
    }
}

impl<R> fmt::Debug for FinishGroup<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FinishGroup").field(&self.group).finish()
    }
}
