//! The handle of a task: its value, and its abort alone.
//!
//! # How it works
//!
//! A task with a handle is a task like the others, with an [`Outcome`] that it shares with its handle. [`Abortable`], around
//! the admission, stores the value there or the reason why there is none, and reads the abort. The outcome is complete, and
//! wakes the handle, when the end has been recorded in the group.
//!
//! - **An abort is a flag and a wake**, as the abort of a group is: the task finds the flag in its next poll, and drops its
//!   future. A task that has a waker there looks at the flag again before it returns `Pending`.
//! - **A value has one owner.** It is moved under the lock, and dropped behind it: by the task if the handle is gone, so
//!   that its destructor belongs to the task, and otherwise by the holder of the handle.
//! - **The handle is ready before the group is**: the outcome is complete before the task leaves the group.

use std::{
    fmt,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::task::coop::poll_proceed;

#[cfg(feature = "inspect")]
use super::waits::HandleWait;
use super::{
    admission::{Admission, TakeOutput, TaskKind},
    child,
    outcome::{NoValue, Outcome},
    registry::TaskKey,
    shared::{Membership, Shared},
    task_entry::{State, TaskEnd, TaskName},
};
use crate::{BoxError, Cause, IntoResult};

/// The handle of a task, see [`Group::spawn_with_handle`](crate::Group::spawn_with_handle); as a future it returns the
/// task's value.
///
/// The task belongs to its group. Dropping the handle leaves it there, and drops the value of a task that has ended. The
/// handle may leave the group; when the group has ended it is ready at once.
///
/// # Errors
///
/// [`NoValue`] if the task has no value. The failure itself is the group's; it is recorded before the handle is ready.
///
/// # Cancel safety
///
/// Dropping a future that awaits `&mut handle` changes nothing: the value stays for the next one.
///
/// # Panics
///
/// When polled after it returned its result.
///
/// # Examples
///
/// The values of tasks as they end; from some ten thousand tasks on take `par_map` of evenkeel-stream, as `FuturesUnordered`
/// polls all handles that are ready again whenever the [budget](tokio::task::coop) of its task is used up:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::GroupError> {
/// use evenkeel_task::{BoxError, group};
/// use futures::stream::{FuturesUnordered, StreamExt};
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// let values = group(async |g| {
///     let task = |takes| async move {
///         sleep(Duration::from_secs(takes)).await;
///         Ok::<_, BoxError>(takes)
///     };
///     let handles: FuturesUnordered<_> = [3, 1, 2].map(|takes| g.spawn_with_handle(task(takes))).into_iter().collect();
///     Ok(handles.filter_map(async |value| value.ok()).collect::<Vec<_>>().await)
/// })
/// .await?;
/// assert_eq!(values, [1, 2, 3]);
/// # Ok(())
/// # }
/// ```
#[must_use = "the task runs in any case; `spawn` is for a task without a handle"]
pub struct TaskHandle<T> {
    progress: Progress<T>,
    #[cfg(feature = "inspect")]
    wait: Option<HandleWait>,
}

enum Progress<T> {
    Spawned(Outcome<T>),
    Rejected,
    Returned,
}

impl<T> TaskHandle<T> {
    pub(super) fn rejected() -> Self {
        Self {
            progress: Progress::Rejected,
            #[cfg(feature = "inspect")]
            wait: None,
        }
    }

    /// Spawns a task into a group that is open.
    #[track_caller]
    pub(super) fn spawn<F>(
        group: Arc<Membership>,
        place: &'static Location<'static>,
        kind: impl TaskKind<F::Output>,
        future: F,
    ) -> Self
    where
        F: Future<Output: IntoResult<Value = T>> + Send + 'static,
        T: Send + 'static,
    {
        let outcome = group.registry.next_outcome();
        let kind = WithHandle { kind, outcome: outcome.clone() };
        #[cfg(feature = "inspect")]
        let waits = Arc::clone(&group.inspection.waits);
        let task = child::spawn(group, place, None, kind, future);
        #[cfg(feature = "inspect")]
        let wait = Some(HandleWait::new(waits, &task));
        drop(task);
        Self {
            progress: Progress::Spawned(outcome),
            #[cfg(feature = "inspect")]
            wait,
        }
    }

    /// Aborts this task alone, at its next await point; the group goes on and counts it as cancelled.
    ///
    /// It does nothing to a task that has ended. The call does not wait; await the handle for that.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_task::GroupError> {
    /// use evenkeel_task::{NoValue, group};
    ///
    /// group(async |g| {
    ///     let endless = g.spawn_with_handle(std::future::pending::<()>());
    ///     endless.abort();
    ///     assert_eq!(endless.await, Err(NoValue::Cancelled));
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort(&self) {
        if let Progress::Spawned(outcome) = &self.progress {
            outcome.abort();
        }
    }

    /// Returns whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.progress {
            Progress::Spawned(outcome) => outcome.is_complete(),
            Progress::Rejected | Progress::Returned => true,
        }
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, NoValue>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &self.progress {
            Progress::Spawned(outcome) => {
                // A loop over handles that are ready lets other tasks run.
                let coop = ready!(poll_proceed(cx));
                let poll = outcome.poll(cx);
                #[cfg(feature = "inspect")]
                if let (Poll::Pending, Some(wait)) = (&poll, &mut self.wait) {
                    wait.begin();
                }
                let result = ready!(poll);
                coop.made_progress();
                result
            }
            Progress::Rejected => Err(NoValue::Cancelled),
            Progress::Returned => panic!("polled after it returned its result"),
        };
        self.progress = Progress::Returned;
        #[cfg(feature = "inspect")]
        if let Some(wait) = &mut self.wait {
            wait.end();
        }
        Poll::Ready(result)
    }
}

impl<T> Drop for TaskHandle<T> {
    fn drop(&mut self) {
        if let Progress::Spawned(outcome) = &self.progress {
            outcome.release();
        }
    }
}

// Not pinned: it holds no future in place.
impl<T> Unpin for TaskHandle<T> {}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// The admission of a task that its handle can abort.
#[derive(Debug)]
struct Abortable<A, T> {
    admission: A,
    outcome: Outcome<T>,
}

/// A task with a handle.
#[derive(Debug)]
struct WithHandle<K, T> {
    kind: K,
    outcome: Outcome<T>,
}

impl<O: IntoResult<Value: Send + 'static>, K: TaskKind<O>> TaskKind<O> for WithHandle<K, O::Value> {
    type Admission<A: TakeOutput<O> + Send + 'static> = Abortable<K::Admission<A>, O::Value>;

    fn admission<A: TakeOutput<O> + Send + 'static>(self, admission: A) -> Self::Admission<A> {
        Abortable { admission: self.kind.admission(admission), outcome: self.outcome }
    }
}

impl<A: Admission, T> Admission for Abortable<A, T> {
    const INITIAL_STATE: State = A::INITIAL_STATE;

    fn must_end(&self, group: &Shared) -> bool {
        self.admission.must_end(group) || self.outcome.is_aborted()
    }

    fn poll_admit(&mut self, group: &Shared, key: TaskKey, cx: &mut Context<'_>) -> Poll<()> {
        self.admission.poll_admit(group, key, cx)
    }

    fn take_name(&mut self) -> Option<TaskName> {
        self.admission.take_name()
    }

    fn on_pending(&self, cx: &Context<'_>) {
        self.outcome.set_task(cx.waker().clone());
    }

    fn on_failure(&self, end: &TaskEnd) {
        let reason = match end {
            TaskEnd::Failed(Cause::Panic(_)) => NoValue::Panicked,
            TaskEnd::Failed(_) => NoValue::Failed,
            TaskEnd::Finished | TaskEnd::Cancelled => NoValue::Cancelled,
        };
        self.outcome.store_reason(reason);
    }

    fn on_recorded(&self) {
        self.outcome.complete();
    }
}

impl<O: IntoResult, A: TakeOutput<O>> TakeOutput<O> for Abortable<A, O::Value> {
    fn take_output(&self, output: O) -> Result<(), BoxError> {
        let unneeded = self.outcome.store(output.into_value()?);
        drop(unneeded);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::group::outcome::Outcomes;

    #[test]
    fn outcomes_come_in_chunks_where_these_are_small_and_will_be_used() {
        let outcomes = Outcomes::default();
        let number = || outcomes.next::<u64>().chunk_len();
        assert!((0..17).all(|_| number() == 8));
        let text = || outcomes.next::<String>().chunk_len();
        assert_eq!([text(), text(), number(), text(), number(), number()], [1, 8, 1, 1, 1, 8]);
        assert_eq!([(); 3].map(|()| outcomes.next::<[u8; 200]>().chunk_len()), [1, 4, 4]);
        assert_eq!([(); 3].map(|()| outcomes.next::<[u8; 4096]>().chunk_len()), [1; 3]);
    }
}
