//! The times that a call looks at.

use std::{future::pending, time::Duration};

use evenkeel_tck::retry::Settings;
use tokio::time::{Instant, sleep_until};

use super::Fault;

pub(super) struct Clock {
    fault: Fault,
    began: Instant,
    wall: std::time::Instant,
    /// The total time.
    total: Option<Duration>,
    /// When it is over.
    pub(super) end: Option<Instant>,
    /// When the call must have ended.
    pub(super) deadline: Option<Instant>,
    stop: Option<Instant>,
    /// When the first attempt of the series began.
    series: Instant,
    /// When the last attempt failed.
    failed: Instant,
}

impl Clock {
    /// For a call that was made at this time.
    #[expect(clippy::disallowed_methods, reason = "a fault reads the wall clock")]
    pub(super) fn start(fault: Fault, settings: &Settings, made: Instant) -> Self {
        let began = Instant::now();
        let total = settings.total_timeout;
        let total = total.filter(|_| fault != Fault::TakesTheDeadlineAlone || settings.deadline.is_none());
        let deadline =
            settings.deadline.filter(|_| fault != Fault::TakesTheTotalTimeAlone || total.is_none());
        Self {
            fault,
            began,
            wall: std::time::Instant::now(),
            total,
            end: total.and_then(|total| after(fault, began, total)),
            deadline: match fault {
                Fault::CountsFromTheFirstPoll => deadline.map(|at| began + at.duration_since(made)),
                _ => deadline,
            },
            stop: settings.stop_after.map(|after| began + after),
            series: began,
            failed: began,
        }
    }

    /// Whether the call must have ended, after these waits.
    pub(super) fn is_over(&self, slept: Duration) -> bool {
        let total = self.total.filter(|_| self.fault != Fault::LooksAfterFailuresOnly);
        total.is_some_and(|total| self.used(slept) > total)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether a wait of this time is pointless, because it ends too late.
    pub(super) fn is_too_long(&self, delay: Duration, is_asked: bool, slept: Duration) -> bool {
        let total = self.total.filter(|_| !is_asked || self.fault != Fault::ObeysBeyondTheTotalTime);
        let outlasts_total = total.is_some_and(|total| match self.fault {
            Fault::LooksAfterFailuresOnly => self.used(slept) >= total,
            _ => self.used(slept).saturating_add(delay) > total,
        });
        let end = Instant::now().checked_add(delay);
        outlasts_total
            || self.deadline.is_some_and(|deadline| match self.fault {
                Fault::WaitsBeyondTheDeadline => false,
                Fault::ObeysBeyondTheDeadline if is_asked => false,
                Fault::WaitsUpToTheDeadline => end.is_none_or(|end| end > deadline),
                _ => end.is_none_or(|end| end >= deadline),
            })
    }

    /// Whether the failure of an attempt that began then is the first of a series.
    pub(super) fn is_healthy(&mut self, begun: Instant, period: Option<Duration>) -> bool {
        let before = std::mem::replace(&mut self.failed, Instant::now());
        let lasted = match self.fault {
            Fault::BeginsAnewEarly => begun.elapsed() + Duration::from_secs(1),
            Fault::CountsTheWaits => before.elapsed(),
            Fault::CountsOtherAttempts => self.series.elapsed(),
            _ => begun.elapsed(),
        };
        let is_healthy = period.is_some_and(|period| lasted >= period);
        if is_healthy {
            self.begin_anew();
        }
        is_healthy
    }

    fn begin_anew(&mut self) {
        let now = Instant::now();
        match self.fault {
            Fault::RenewsTheTotalTime => {
                self.began = now;
                self.end = self.total.map(|total| now + total);
            }
            Fault::RenewsTheDeadline => self.deadline = self.deadline.map(|at| now + (at - self.began)),
            _ => {}
        }
        self.series = now;
    }

    /// The part of the total time that is over.
    #[expect(clippy::disallowed_methods, reason = "a fault reads the wall clock")]
    fn used(&self, slept: Duration) -> Duration {
        match self.fault {
            Fault::ReadsTheWallClock => self.wall.elapsed(),
            Fault::SumsUpDelays => slept,
            Fault::HalvesTheElapsedTime => self.began.elapsed() / 2,
            _ => self.began.elapsed(),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| Instant::now() >= stop)
    }

    pub(super) async fn stopped(&self) {
        match self.stop {
            Some(stop) => sleep_until(stop).await,
            None => pending().await,
        }
    }
}

/// None if the clock cannot express it.
pub(super) fn after(fault: Fault, now: Instant, time: Duration) -> Option<Instant> {
    match fault {
        Fault::PanicsOnLongLimits => Some(now + time),
        _ => now.checked_add(time),
    }
}
