//! The handle of a pipeline that runs.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_base::far_future;
use evenkeel_task::{Background, BoxError};
use tokio::time::Instant;

use crate::{
    DrainReport, PipelineSnapshot, in_hand::InHand, orders::OrderSender, stage::Stage, status::Status,
};

/// A pipeline that runs; as a future it waits for its end: that of the source and of every item.
///
/// # Cancel safety
///
/// Dropping a future that awaits `&mut running` changes nothing. Dropping the handle aborts all work at its next await
/// point; what was in hand is not settled, and delivered again when its leases run out.
#[must_use = "dropping it aborts the work"]
pub struct Running {
    task: Background<Result<DrainReport, PipelineError>>,
    shared: Shared,
}

pub(crate) struct Shared {
    pub(crate) orders: OrderSender,
    /// One for each source.
    pub(crate) in_hand: Vec<Arc<InHand>>,
    pub(crate) stages: Vec<Arc<Stage>>,
    pub(crate) status: Status,
    pub(crate) started: Instant,
}

impl Shared {
    fn report(&self) -> DrainReport {
        self.in_hand.iter().map(|in_hand| in_hand.report()).sum()
    }
}

impl Running {
    pub(crate) const fn new(task: Background<Result<DrainReport, PipelineError>>, shared: Shared) -> Self {
        Self { task, shared }
    }

    /// Stops pulling, and finishes all that is in hand, within the time; aborts the rest then, and hands it back without
    /// an attempt. With `Duration::ZERO` all is handed back at once.
    ///
    /// Handing back takes up to five seconds more if the server does not answer.
    ///
    /// # Errors
    ///
    /// As for the [end of the pipeline](PipelineError), whose report is in the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the handle, which aborts all work.
    pub async fn drain(self, within: Duration) -> Result<DrainReport, PipelineError> {
        let now = Instant::now();
        let by = now.checked_add(within).unwrap_or_else(|| far_future(now));
        self.shared.orders.send_modify(|orders| orders.drain_by = Some(by));
        self.await
    }

    /// Stops pulling until [`resume`](Running::resume); items in hand go on.
    ///
    /// A message that comes to the server meanwhile is for other workers.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Pulls again after a [`pause`](Running::pause).
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, is_paused: bool) {
        self.shared.in_hand.iter().for_each(|in_hand| in_hand.set_paused(is_paused));
        self.shared.orders.send_modify(|orders| orders.is_paused = is_paused);
    }

    /// Changes the limit of a stage; work that runs above a lower one goes on. Returns whether there is such a stage.
    ///
    /// A limit above the [window](crate::Pipeline::window) is bounded by it, or by the sum of the limits at the start if that
    /// is larger: behind a [split](crate::Pipeline::flat_map) there may be more parts than items.
    ///
    /// # Panics
    ///
    /// If the limit is zero: [`pause`](Running::pause) stops pulls.
    #[track_caller]
    #[must_use = "it says whether there is such a stage"]
    pub fn set_limit(&self, stage: &str, limit: usize) -> bool {
        assert!(limit > 0, "the limit of a stage must not be zero");
        let stage = self.shared.stages.iter().find(|known| *known.name == *stage);
        if let Some(stage) = stage {
            stage.set_limit(limit.try_into().unwrap_or(u32::MAX));
        }
        stage.is_some()
    }

    /// Returns the numbers now.
    #[must_use]
    pub fn snapshot(&self) -> PipelineSnapshot {
        let Shared { in_hand, stages, status, started, .. } = &self.shared;
        PipelineSnapshot::new(
            in_hand.iter().map(|in_hand| in_hand.numbers()).sum(),
            stages,
            status,
            started.elapsed(),
        )
    }
}

impl Future for Running {
    type Output = Result<DrainReport, PipelineError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx).map(|output| match output {
            Ok(output) => output,
            Err(panic) => Err(PipelineError::new(panic.into(), self.shared.report())),
        })
    }
}

/// Before its tasks are aborted, so that none of them takes the drop of another one's items for a failure.
impl Drop for Running {
    fn drop(&mut self) {
        self.shared.in_hand.iter().for_each(|in_hand| in_hand.abandon());
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}

/// The reason for which a pipeline has ended before its source did: a permanent error or a panic of the source, with the
/// report.
///
/// # Examples
///
/// ```no_run
/// # async fn f(running: evenkeel_pipeline::Running) {
/// if let Err(error) = running.await {
///     eprintln!("{error}; {}", error.report());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct PipelineError {
    error: BoxError,
    report: DrainReport,
}

impl PipelineError {
    pub(crate) const fn new(error: BoxError, report: DrainReport) -> Self {
        Self { error, report }
    }

    /// Returns what became of every delivery.
    #[must_use]
    pub const fn report(&self) -> &DrainReport {
        &self.report
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pipeline has ended: {}", self.error)
    }
}

impl Error for PipelineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
