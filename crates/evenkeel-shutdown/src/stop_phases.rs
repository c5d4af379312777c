//! The stop of a run, one phase after the other.
//!
//! # How it works
//!
//! [`run_to_stop`] is the body of the run's group. It waits until the program is asked to stop or all tasks have
//! ended, sets readiness to false, lets the pre-stop delay pass, and stops the phases in order. A phase goes
//! through two steps: `Draining` (its tasks have been asked to drain, its guards are waited for) and `CleaningUp`
//! (its clean-ups run). [`Deadlines`](crate::deadlines::Deadlines) says how long a step may last, counted from the
//! request to stop. A step that is over its time is aborted, and the next one starts, unless no step is left: then
//! the whole run is aborted.
//!
//! **Invariant**: every step gets at least its reserve, however long the steps before it take, and at the end of the
//! grace period all is aborted.
//!
//! - **A phase moves on under the lock in which it was found empty**, so nothing can be registered in between. Work
//!   that comes later is rejected, or belongs to the next step.
//! - **An abort that comes at the instant at which a wait is done wins**, so that no clean-up starts after an abort.
//! - **Aborted tasks end at their next poll.** One that blocks its thread has none, so the next phase waits only
//!   for a tenth of its own reserve.
//! - **The deadline of a step moves** while it waits, as work that is registered for later steps adds reserves. So
//!   the allowance is computed again after every change.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Kind, Reason,
    phase::PhaseStep,
    run::{Run, WaitEnd},
    state::State,
    systemd,
};

/// The time for a look at what stands still, before it is aborted.
#[cfg(feature = "inspect")]
const LOOK_AHEAD: Duration = Duration::from_millis(200);

/// Waits until the run is asked to stop or its tasks have ended, and stops everything in it.
pub(crate) async fn run_to_stop(run: &Arc<Run>, notifies_systemd: bool) {
    let ended = |state: &mut State| state.unfinished_tasks() == 0;
    run.wait(run.stop.draining(), |_| None, ended).await;
    if notifies_systemd {
        systemd::notify("STOPPING=1");
    }
    run.set_ready(false);
    if run.state().close_if_empty() {
        return;
    }
    run.drain(Reason::Ended);

    let phases = StopPhases { run, since: run.stop_requested_at() };
    // A program that was stopped before it began has never been ready: no load balancer has to notice.
    let pre_stop = if run.state().stopped_before_begin { Duration::ZERO } else { run.deadlines().pre_stop };
    if phases.wait(|_| pre_stop, ended).await == WaitEnd::Aborted || !phases.stop_all().await {
        run.state().close_all();
        run.abort_tasks(|_, _| true);
    }
}

struct StopPhases<'r> {
    run: &'r Arc<Run>,
    since: Instant,
}

impl StopPhases<'_> {
    /// Waits until `done`, until the allowance is over, counted from the request to stop, or until the abort.
    async fn wait(
        &self,
        allowance: impl Fn(&State) -> Duration,
        done: impl Fn(&mut State) -> bool,
    ) -> WaitEnd {
        let left = |state: &State| Some(allowance(state).saturating_sub(self.since.elapsed()));
        let end = self.run.wait(self.run.stop.aborting(), left, done).await;
        // `done` may be true at the instant of the abort: nothing more is to start then.
        if self.run.stop.is_aborting() { WaitEnd::Aborted } else { end }
    }

    /// Waits as `wait` does for a step; shortly before its time is over, it looks at what stands still.
    #[cfg(feature = "inspect")]
    async fn wait_and_look(
        &self,
        allowance: impl Fn(&State) -> Duration,
        done: impl Fn(&mut State) -> bool,
    ) -> WaitEnd {
        let ahead = |state: &State| (state.deadlines.grace / 10).min(LOOK_AHEAD);
        match self.wait(|state| allowance(state).saturating_sub(ahead(state)), &done).await {
            WaitEnd::TimedOut => self.run.look(),
            end => return end,
        }
        self.wait(allowance, done).await
    }

    /// Stops the phases in order, and returns whether none was left out because of an abort.
    async fn stop_all(&self) -> bool {
        let phases = self.run.state().phases.len();
        for phase in 0..phases {
            #[cfg(feature = "inspect")]
            self.run.inspection.begin_step();
            self.run.state().phases[phase].step = PhaseStep::Draining;
            self.run.drain_tasks(|task| task.registration.phase == phase);
            if !self.finish_step(phase, PhaseStep::Draining).await {
                return false;
            }
            #[cfg(feature = "inspect")]
            self.run.inspection.begin_step();
            let clean_ups = self.run.state().clean_ups(phase);
            // A clean-up without any time left is not started, so that it is not reported as hanging.
            if !clean_ups.is_empty() && self.since.elapsed() >= self.run.deadlines().grace {
                self.run.abort("the grace period is over");
                return false;
            }
            clean_ups.into_iter().for_each(|index| self.run.start(index));
            if !self.finish_step(phase, PhaseStep::CleaningUp).await {
                return false;
            }
        }
        true
    }

    /// Waits for the end of a step, and aborts it when the rest of the grace period is reserved for later steps.
    ///
    /// Returns false if the whole run is aborted.
    async fn finish_step(&self, phase: usize, step: PhaseStep) -> bool {
        let deadlines = self.run.deadlines();
        let allowance = |state: &State| {
            deadlines.grace.saturating_sub(deadlines.reserved_after(&state.phases, phase, step))
        };
        let done = |state: &mut State| state.phases[phase].advance_if_empty(step);
        #[cfg(feature = "inspect")]
        let end = self.wait_and_look(allowance, done).await;
        #[cfg(not(feature = "inspect"))]
        let end = self.wait(allowance, done).await;
        match end {
            WaitEnd::Done => return true,
            WaitEnd::Aborted => return false,
            WaitEnd::TimedOut => {}
        }
        let Some(next) = deadlines.next_reserve(&self.run.state().phases, phase, step) else {
            self.run.abort("the grace period is over");
            return false;
        };
        self.run.state().close(phase, step.next());
        let kind = if step == PhaseStep::Draining { Kind::Task } else { Kind::CleanUp };
        self.run.abort_tasks(|_, task| task.registration.kind == kind && task.registration.phase == phase);
        // An aborted task ends when it is polled, unless it blocks its thread: the others do not wait for that.
        let until = self.since.elapsed().saturating_add(next / 10);
        self.wait(|_| until, |state| state.phases[phase].unfinished(kind) == 0).await != WaitEnd::Aborted
    }
}
