//! The stop of a run, one phase after the other.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep};

use crate::run::Run;
use crate::state::{State, Step};
use crate::{Kind, Reason, systemd};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Done,
    /// The time was over.
    Overdue,
    /// The signal came.
    Called,
}

/// Waits until the run is asked to stop or its tasks have ended, and brings everything in it to an end.
pub(crate) async fn drive(run: &Arc<Run>, system: bool) {
    let ended = |state: &mut State| state.tasks() == 0;
    run.wait(run.stop.draining(), |_| None, ended).await;
    if system {
        systemd::notify("STOPPING=1");
    }
    run.ready(false);
    if run.state().close_if_empty() {
        return;
    }
    run.drain(Reason::Ended);

    let stopping = Stopping { run, since: run.asked_at() };
    // Nobody has seen a program ready that was stopped before it began.
    let pre_stop = if run.state().is_early { Duration::ZERO } else { run.plan().pre_stop };
    if stopping.wait(|_| pre_stop, ended).await == Waited::Called || !stopping.phases().await {
        run.state().close_all();
        run.cut(|_, _| true);
    }
}

struct Stopping<'r> {
    run: &'r Arc<Run>,
    since: Instant,
}

impl Stopping<'_> {
    /// Waits, as long as an allowance lasts that counts from the request to stop, or until the abort.
    async fn wait(
        &self,
        allowance: impl Fn(&State) -> Duration,
        done: impl Fn(&mut State) -> bool,
    ) -> Waited {
        let left = |state: &State| Some(allowance(state).saturating_sub(self.since.elapsed()));
        let waited = self.run.wait(self.run.stop.aborting(), left, done).await;
        // What ends in the same moment is no reason to begin anything more.
        if self.run.stop.is_aborting() { Waited::Called } else { waited }
    }

    /// Stops the phases, and says whether all of them had their turn.
    async fn phases(&self) -> bool {
        let phases = self.run.state().phases.len();
        for phase in 0..phases {
            self.run.state().phases[phase].step = Step::Draining;
            self.run.ask(|entry| entry.given.phase == phase);
            if !self.step(phase, Step::Draining).await {
                return false;
            }
            let clean_ups = self.run.state().clean_ups(phase);
            // What has no time at all does not begin, and so does not hang.
            if !clean_ups.is_empty() && self.since.elapsed() >= self.run.plan().grace {
                self.run.abort("the grace period is over");
                return false;
            }
            clean_ups.into_iter().for_each(|index| self.run.launch(index));
            if !self.step(phase, Step::Cleaning).await {
                return false;
            }
        }
        true
    }

    /// Takes a phase to the end of a step, and cuts that short when what is left is reserved for the others.
    async fn step(&self, phase: usize, step: Step) -> bool {
        let plan = self.run.plan();
        let allowance =
            |state: &State| plan.grace.saturating_sub(plan.reserved_after(&state.phases, phase, step));
        match self.wait(allowance, |state| state.phases[phase].pass(step)).await {
            Waited::Done => return true,
            Waited::Called => return false,
            Waited::Overdue => {}
        }
        let Some(next) = plan.next_reserve(&self.run.state().phases, phase, step) else {
            self.run.abort("the grace period is over");
            return false;
        };
        self.run.state().close(phase, step.next());
        let kind = if step == Step::Draining { Kind::Task } else { Kind::CleanUp };
        self.run.cut(|_, entry| entry.given.kind == kind && entry.given.phase == phase);
        // They end as soon as they are polled, unless one blocks its thread: the others do not wait for that.
        let until = self.since.elapsed().saturating_add(next / 10);
        self.wait(|_| until, |state| state.phases[phase].alive(kind) == 0).await != Waited::Called
    }
}

impl Run {
    /// Waits until the state is as wanted, the time is over that is left (none for ever), or the signal comes.
    pub(crate) async fn wait(
        &self,
        signal: impl Future<Output = ()>,
        left: impl Fn(&State) -> Option<Duration>,
        done: impl Fn(&mut State) -> bool,
    ) -> Waited {
        let mut signal = pin!(signal);
        loop {
            let mut changed = self.changed.watch();
            let left = {
                let mut state = self.state();
                if done(&mut state) {
                    return Waited::Done;
                }
                left(&state)
            };
            let mut over = pin!(left.filter(|left| !left.is_zero()).map(sleep));
            let waited = poll_fn(|cx| {
                if signal.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(Waited::Called));
                }
                if left.is_some_and(|left| left.is_zero()) {
                    return Poll::Ready(Some(Waited::Overdue));
                }
                if changed.poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                match over.as_mut().as_pin_mut() {
                    // Not by the budget of the task: another future in it may use that up each time.
                    Some(over) => pin!(unconstrained(over)).poll(cx).map(|()| Some(Waited::Overdue)),
                    None => Poll::Pending,
                }
            })
            .await;
            if let Some(waited) = waited {
                return waited;
            }
        }
    }
}
