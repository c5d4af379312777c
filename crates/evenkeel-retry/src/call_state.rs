//! The state of one call that has not succeeded at once: its times, its token, its timer and its wait.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use evenkeel_base::{Random, poll_timer};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{BudgetPermit, edges::WaitEntry};

/// The resolution of tokio's timers.
const TICK: Duration = Duration::from_millis(1);

pin_project! {
    /// The state of a call that has not succeeded at once.
    pub(crate) struct CallState {
        // The source of the seed and the key, once one of them is needed.
        random: Option<Random>,
        // The end of the total time, or none if it has no end; unknown until first asked.
        pub(crate) total: Option<Option<Instant>>,
        // The caller's own deadline.
        pub(crate) deadline: Option<Instant>,
        // The end of the next attempt, or none if it has no end; known if the attempt was described before it began.
        pub(crate) limit: Option<Option<Instant>>,
        // The time at which the attempt was first pending.
        pub(crate) pending_since: Option<Instant>,
        first_failure: Option<Instant>,
        // The time at which the clock was first read.
        pub(crate) began: Option<Instant>,
        // The next attempt's token: dropping it returns it to the budget.
        pub(crate) permit: Option<BudgetPermit>,
        pub(crate) wait: WaitKind,
        // The wait in the dumps of evenkeel-inspect.
        pub(crate) entry: WaitEntry,
        // One timer for the time limits of attempts and the delays between them.
        #[pin]
        timer: Option<Sleep>,
    }
}

/// The event that ends the wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitKind {
    Nothing,
    Yield,
    Timer,
}

impl CallState {
    pub(crate) const fn new() -> Self {
        Self {
            random: None,
            total: None,
            deadline: None,
            limit: None,
            pending_since: None,
            first_failure: None,
            began: None,
            permit: None,
            wait: WaitKind::Nothing,
            entry: WaitEntry::NONE,
            timer: None,
        }
    }

    /// Begins an attempt; false if the time of the call is over.
    #[cold]
    #[inline(never)]
    pub(crate) fn begin(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        // Taken before the check: a late call returns its token.
        let permit = this.permit.take();
        if earlier(this.total.flatten(), *this.deadline).is_some_and(|end| Instant::now() >= end) {
            return false;
        }
        if let Some(permit) = permit {
            permit.spend();
        }
        // The attempt before may have been dropped while it was pending, and its timer may still run.
        *this.pending_since = None;
        *this.wait = WaitKind::Nothing;
        true
    }

    /// Records a failure; true if the attempt lived at least for `reset_after`, so that the count starts again.
    pub(crate) fn record_failure(self: Pin<&mut Self>, reset_after: Duration, now: Instant) -> bool {
        let this = self.project();
        *this.limit = None;
        let since = this.pending_since.take();
        let healthy = since.is_some_and(|since| now.duration_since(since) >= reset_after);
        if healthy || this.first_failure.is_none() {
            *this.first_failure = Some(now);
        }
        healthy
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn poll_wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        match (*this.wait, this.timer.as_pin_mut()) {
            (WaitKind::Timer, Some(timer)) => {
                let waited = poll_delay_timer(timer, cx);
                if waited.is_pending() {
                    this.entry.polled_here();
                }
                ready!(waited);
            }
            (WaitKind::Yield, _) => {
                *this.wait = WaitKind::Nothing;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ => {}
        }
        *this.wait = WaitKind::Nothing;
        *this.entry = WaitEntry::NONE;
        Poll::Ready(())
    }

    /// Ends the call: returns its token, the time since the first failure, and the total time.
    #[cold]
    #[inline(never)]
    pub(crate) fn end(self: Pin<&mut Self>) -> (Duration, Duration) {
        let this = self.project();
        *this.permit = None;
        let now = Instant::now();
        let since = |then: &Option<Instant>| then.map_or(Duration::ZERO, |then| now.duration_since(then));
        (since(this.first_failure), since(this.began))
    }

    /// Returns the end of the delay in force.
    #[cfg(feature = "inspect")]
    pub(crate) fn waits_until(self: Pin<&Self>) -> Option<Instant> {
        let this = self.project_ref();
        this.timer.as_pin_ref().filter(|_| *this.wait == WaitKind::Timer).map(|timer| timer.deadline())
    }

    /// Draws a random number of this call: the same for the same `index`.
    pub(crate) fn random(self: Pin<&mut Self>, index: u64) -> u64 {
        self.project().random.get_or_insert_with(Random::new).number(index)
    }

    pub(crate) fn wait_until(self: Pin<&mut Self>, at: Instant) {
        // Tokio rounds up to its next tick, which `Instant` must be able to express.
        let at = if at.checked_add(TICK).is_some() { at } else { at - TICK };
        let mut this = self.project();
        match this.timer.as_mut().as_pin_mut() {
            Some(timer) => timer.reset(at),
            None => this.timer.set(Some(tokio::time::sleep_until(at))),
        }
        *this.wait = WaitKind::Timer;
    }
}

/// Polls the timer of a delay, out of line: a retry without delay does not pay for its frame.
#[inline(never)]
fn poll_delay_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    poll_timer(timer, cx)
}

/// Returns the earlier of two times, where `None` is never.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
