//! The numbers of a pipeline that runs.

use std::{fmt, sync::Arc, time::Duration};

use crate::{DrainReport, StageSnapshot, Warning, in_hand::Numbers, stage::Stage, status::Status};

/// The numbers of a pipeline now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PipelineSnapshot {
    /// The time since its start.
    pub elapsed: Duration,
    /// Each stage, in order.
    pub stages: Vec<StageSnapshot>,
    /// The items that may be in hand.
    pub window: usize,
    /// The items in hand that are not decided.
    pub in_hand: usize,
    /// The sum of their sizes in bytes.
    pub bytes: usize,
    /// The items that are decided, and not confirmed by the server.
    pub unsettled: usize,
    /// Whether pulls are paused.
    pub is_paused: bool,
    /// The account of all deliveries so far; those in hand are in `unfinished`, the unsettled in `unconfirmed`.
    pub counts: DrainReport,
    /// The warnings of the source's check.
    pub warnings: Vec<Warning>,
    /// The errors of the source and of the dead letter sink that passed.
    pub errors: u64,
    /// The last one of them.
    pub last_error: Option<String>,
}

/// The place that holds a pipeline up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bottleneck {
    /// Items wait for the limit of a stage.
    Stage {
        /// Its name.
        name: String,
        /// The items, or batches, that wait.
        queued: usize,
        /// The items, or batches, in flight.
        in_flight: u64,
    },
    /// The server confirms decisions later than they are made.
    Settle {
        /// The decisions that wait for an answer.
        unsettled: usize,
    },
    /// All items that may be in hand are in flight: the window is too small for the limits.
    Window {
        /// The items in hand.
        items: usize,
    },
    /// The pipeline waits for the source.
    Source,
    /// Pulls are paused.
    Paused,
}

impl PipelineSnapshot {
    pub(crate) fn new(numbers: Numbers, stages: &[Arc<Stage>], status: &Status, elapsed: Duration) -> Self {
        let (errors, last_error) = status.errors();
        Self {
            elapsed,
            stages: stages.iter().map(|stage| stage.snapshot()).collect(),
            window: numbers.window,
            in_hand: numbers.in_hand,
            bytes: numbers.bytes,
            unsettled: numbers.unsettled,
            is_paused: numbers.is_paused,
            counts: numbers.counts,
            warnings: status.warnings(),
            errors,
            last_error,
        }
    }

    /// Returns the place that holds the pipeline up: the stage with the most items that wait for it, or what else keeps
    /// items from coming.
    #[must_use]
    pub fn bottleneck(&self) -> Bottleneck {
        let busiest = self.stages.iter().filter(|stage| stage.queued > 0).max_by_key(|stage| stage.queued);
        if let Some(StageSnapshot { name, queued, in_flight, .. }) = busiest {
            return Bottleneck::Stage { name: name.clone(), queued: *queued, in_flight: *in_flight };
        }
        if self.unsettled > self.window {
            Bottleneck::Settle { unsettled: self.unsettled }
        } else if self.in_hand >= self.window {
            Bottleneck::Window { items: self.in_hand }
        } else if self.is_paused {
            Bottleneck::Paused
        } else {
            Bottleneck::Source
        }
    }

    /// Returns the items, or batches, that a stage has done per second since an earlier snapshot.
    #[must_use]
    pub fn rate_since(&self, earlier: &Self, stage: &str) -> Option<f64> {
        let done = |snapshot: &Self| {
            snapshot.stages.iter().find(|known| known.name == stage).map(|stage| stage.done + stage.failed)
        };
        let time = self.elapsed.checked_sub(earlier.elapsed).filter(|time| !time.is_zero())?;
        Some(done(self)?.saturating_sub(done(earlier)?) as f64 / time.as_secs_f64())
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage { name, queued, in_flight } => {
                write!(f, "stage `{name}`: {queued} wait for it, {in_flight} are in flight")
            }
            Self::Settle { unsettled } => write!(f, "the source: {unsettled} decisions wait for its answer"),
            Self::Window { items } => write!(f, "the window: all {items} items are in flight"),
            Self::Source => f.write_str("the source: the stages wait for items"),
            Self::Paused => f.write_str("pulls are paused"),
        }
    }
}
