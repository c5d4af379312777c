//! The future of a group or a program in another process.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use serde_json::{Value, json};

use super::{
    answer::{Answer, Wait},
    link::Handler,
    probe,
    session::Session,
    tasks::KINDS,
    wire::{Members, Object},
};
use crate::probe_task::{Outcome, ReportedFailure};

/// The future of a group or a program, which its events wake.
pub(super) struct Run {
    wait: Wait<Outcome>,
    events: Arc<RunEvents>,
}

/// Its events. Those of its body, or of its readiness, have the same id.
struct RunEvents {
    body: Option<Arc<dyn Handler>>,
    answer: Arc<Answer<Outcome>>,
    has_ended: AtomicBool,
}

impl Run {
    /// Makes it with a message that has everything but its id, and the task that awaits it.
    pub(super) fn new(
        session: &Arc<Session>,
        id: u64,
        mut message: Value,
        body: Option<Arc<dyn Handler>>,
    ) -> Self {
        let answer = Arc::new(Answer::default());
        let events = Arc::new(RunEvents { body, answer: answer.clone(), has_ended: AtomicBool::new(false) });
        session.link.handle(id, events.clone());
        message["do"] = "run".into();
        message["id"] = id.into();
        message["by"] = probe::current().into();
        session.link.send(message);
        Self { wait: Wait::new(session.clone(), id, answer), events }
    }
}

impl Future for Run {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.wait.poll(cx)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.wait.leave());
        if !self.events.has_ended.load(Relaxed) {
            self.wait.session().link.send(json!({"do": "cancel", "id": self.wait.id()}));
        }
    }
}

impl Handler for RunEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        if name == "end" {
            if !event.flag("cancelled") {
                self.answer.put(outcome_of(event)?);
            }
            self.has_ended.store(true, Relaxed);
        } else if let Some(body) = &self.body {
            body.event(name, event)?;
        } else {
            return Err(format!("it has no body, and no event {name:?}"));
        }
        // A group that is cut at each await is cut behind each event.
        self.answer.wake();
        Ok(())
    }

    fn broken(&self) {
        self.answer.wake();
    }
}

fn outcome_of(event: &Object) -> Result<Outcome, String> {
    let failures = event.get("failures").and_then(Value::as_array).ok_or("no list `failures`")?;
    let failures = failures.iter().map(failure_of).collect::<Result<Vec<_>, _>>()?;
    let mut outcome = Outcome::telling(failures);
    if let Some(counts) = event.get("counts").filter(|counts| !counts.is_null()) {
        outcome = outcome.counting(counts.small("finished")? as usize, counts.small("cancelled")? as usize);
    }
    if event.is_there("code") {
        outcome = outcome.exiting(event.small("code")?.try_into().map_err(|_| "`code` is too large")?);
    }
    Ok(outcome)
}

fn failure_of(failure: &Value) -> Result<ReportedFailure, String> {
    let kind = failure.text("kind")?;
    let known = KINDS.iter().find(|(_, name)| *name == kind);
    let mut told = ReportedFailure::new(known.ok_or_else(|| format!("there is no failure {kind:?}"))?.0);
    if failure.is_there("task") {
        told.task = Some(failure.small("task")?);
    }
    let name = if failure.is_there("name") { Some(failure.text("name")?) } else { None };
    Ok(told.of(name))
}
