//! A process of the simulation: it starts a pipeline, and starts it again when it has ended before its source did.

use std::{collections::VecDeque, future::pending, sync::Arc};

use evenkeel_pipeline::{DrainReport, PipelineError, Running};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Shared,
    incarnation::Incarnation,
    plan::{Fault, ms},
    shapes::{STAGES_OF, start},
};
use crate::note;

/// The place of a process, which has one incarnation after the other.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<Shared>,
    index: u64,
    incarnations: u64,
    /// The steps at which incarnations are killed, and their downtime.
    kills: VecDeque<(u64, u64)>,
    events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: Instant,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Fault(Fault),
    Resume,
}

/// The end of an incarnation.
enum End {
    Killed,
    Aborted,
    Ended(Result<DrainReport, PipelineError>),
    Drained(Result<DrainReport, PipelineError>),
}

impl Slot {
    pub(super) fn new(shared: Arc<Shared>, index: u64, faults: &[Fault]) -> Self {
        let mut slot =
            Self { index, incarnations: 0, kills: VecDeque::new(), events: VecDeque::new(), shared };
        for fault in faults.iter().filter(|fault| fault.process() == Some(index)) {
            match *fault {
                Fault::Kill { step, down, .. } => slot.kills.push_back((step, down)),
                fault => slot.plan(slot.shared.at(fault.time()), What::Fault(fault)),
            }
        }
        slot
    }

    fn plan(&mut self, at: Instant, what: What) {
        let place = self.events.partition_point(|event| event.at <= at);
        self.events.insert(place, Event { at, what });
    }

    /// Runs pipelines until all is done.
    pub(super) async fn live(mut self) {
        loop {
            let number = self.index * 100 + self.incarnations;
            self.incarnations += 1;
            let kill = self.kills.pop_front();
            let run = Incarnation::new(Arc::clone(&self.shared), number, kill.map(|(step, _)| step));
            let running = match start(&run) {
                Ok(running) => running,
                Err(error) => return self.shared.checks.fail(format!("it does not start: {error}")),
            };
            note!(self.shared.trace, "process {number} starts");
            let was_broken = match self.until_end(&run, running).await {
                End::Killed => {
                    self.shared.trace.reached("kills");
                    note!(self.shared.trace, "process {number} was killed");
                    sleep(ms(kill.map_or(0, |(_, down)| down))).await;
                    true
                }
                End::Aborted => {
                    self.shared.trace.reached("aborts");
                    // A task that is woken at this instant is dropped behind its turn.
                    sleep(ms(1)).await;
                    true
                }
                End::Drained(result) => {
                    self.shared.trace.reached("drains");
                    self.check_end(&run, result);
                    true
                }
                End::Ended(result) => self.check_end(&run, result),
            };
            if !was_broken {
                let stored: usize = self.shared.brokers.iter().map(|broker| broker.snapshot().stored).sum();
                if stored > 0 && self.shared.plan.forgets {
                    // The power was lost when the source had ended: settled messages come again.
                    continue;
                }
                self.shared.checks.that(stored == 0, || {
                    format!("process {number} has ended, and there are {stored} messages left")
                });
                return;
            }
        }
    }

    /// Checks the report of a pipeline that has ended; returns whether a fault has ended it.
    fn check_end(&self, run: &Incarnation, result: Result<DrainReport, PipelineError>) -> bool {
        let checks = &self.shared.checks;
        let (report, error) = match &result {
            Ok(report) => (report, None),
            Err(error) => (error.report(), Some(error)),
        };
        run.compare(report, false);
        if let Some(error) = error {
            let text = error.to_string();
            let is_planted = text.contains("the queue was deleted") || text.contains("planted in a pull");
            checks.that(is_planted, || format!("process {}: {error}", run.number));
            note!(self.shared.trace, "process {} failed: {error}", run.number);
            self.shared.trace.reached("pipelines that failed");
        }
        error.is_some()
    }

    async fn until_end(&mut self, run: &Arc<Incarnation>, mut running: Running) -> End {
        loop {
            let next = self.events.front().map(|event| event.at);
            let next = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = run.process.killed() => {
                    run.compare(&running.snapshot().counts, true);
                    return End::Killed;
                }
                result = &mut running => {
                    run.has_ended();
                    if result.is_ok() {
                        run.is_idle(&running.snapshot());
                    }
                    return End::Ended(result);
                }
                () = next => {}
            }
            let Some(Event { what, .. }) = self.events.pop_front() else { continue };
            note!(self.shared.trace, "process {}: {what:?}", run.number);
            match what {
                What::Resume => {
                    run.set_paused(false);
                    running.resume();
                }
                What::Fault(Fault::Pause { time, .. }) => {
                    self.shared.trace.reached("pauses");
                    run.set_paused(true);
                    running.pause();
                    self.plan(Instant::now() + ms(time), What::Resume);
                }
                What::Fault(Fault::SetLimit { stage, limit, .. }) => {
                    let stages = STAGES_OF[self.shared.plan.shape.min(6) as usize];
                    if stage < stages {
                        run.set_limit(stage as usize, limit);
                    }
                    let is_known = running.set_limit(&format!("stage{stage}"), limit as usize);
                    self.shared
                        .checks
                        .that(is_known == (stage < stages), || format!("stage {stage}: {is_known}"));
                }
                What::Fault(Fault::Drain { within, .. }) => return self.drain(run, running, within).await,
                What::Fault(Fault::Abort { .. }) => {
                    run.compare(&running.snapshot().counts, false);
                    run.has_ended();
                    drop(running);
                    return End::Aborted;
                }
                What::Fault(Fault::Cut { time, .. }) => run.link.cut(Instant::now() + ms(time)),
                What::Fault(Fault::Stall { time, .. }) => run.link.stall(Instant::now() + ms(time)),
                What::Fault(Fault::Delete { .. }) => run.link.delete(),
                What::Fault(Fault::PanicInPull { .. }) => run.link.panic(),
                What::Fault(Fault::Kill { .. } | Fault::Crash { .. } | Fault::PowerLoss { .. }) => {}
            }
        }
    }

    async fn drain(&self, run: &Arc<Incarnation>, running: Running, within: u64) -> End {
        let start = Instant::now();
        tokio::select! {
            biased;
            () = run.process.killed() => End::Killed,
            result = running.drain(ms(within)) => {
                run.has_ended();
                run.drained(ms(within), start.elapsed());
                End::Drained(result)
            }
        }
    }
}
