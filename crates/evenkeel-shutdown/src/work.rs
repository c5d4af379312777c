//! The code of a task or a clean-up before it is spawned.

#[cfg(feature = "inspect")]
use std::sync::OnceLock;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[cfg(feature = "inspect")]
use evenkeel_inspect::TaskId;
use evenkeel_task::{BoxError, IntoResult, Stop};

/// The boxed future of a task or a clean-up.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Creates the future of work that has not been started.
pub(crate) type Start = Box<dyn FnOnce(Stop) -> Work + Send>;

pub(crate) fn task<F, Fut>(task: F) -> Start
where
    F: FnOnce(Stop) -> Fut + Send + 'static,
    Fut: Future<Output: IntoResult> + Send + 'static,
{
    // The closure is called inside the block, so that its panic counts as a panic of the task.
    Box::new(move |stop| Box::pin(async move { task(stop).await.into_result() }))
}

pub(crate) fn clean_up<F, Fut>(clean_up: F) -> Start
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output: IntoResult> + Send + 'static,
{
    Box::new(move |_stop| Box::pin(async move { clean_up().await.into_result() }))
}

/// Tells whether the work is being polled or dropped right now, which shows who blocks a thread.
///
/// Relaxed ordering suffices, because the flag protects no data: its reader looks for work that has been on its
/// thread for seconds.
#[derive(Clone, Default)]
pub(crate) struct PollFlag(Arc<Flag>);

#[derive(Default)]
struct Flag {
    is_polled: AtomicBool,
    #[cfg(feature = "inspect")]
    task: OnceLock<TaskId>,
}

impl PollFlag {
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_polled.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, is_polled: bool) {
        #[cfg(feature = "inspect")]
        self.0.task.get_or_init(TaskId::current);
        self.0.is_polled.store(is_polled, Ordering::Relaxed);
    }

    /// Returns the task, once it was polled.
    #[cfg(feature = "inspect")]
    pub(crate) fn task(&self) -> Option<TaskId> {
        self.0.task.get().copied()
    }
}
