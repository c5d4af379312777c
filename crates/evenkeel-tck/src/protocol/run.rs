//! The future of a group or a program in another process.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    link::Handler,
    probe,
    process::Session,
    tasks::KINDS,
    wire::{Members, Object},
};
use crate::probe_task::{Outcome, ReportedFailure};

/// The future of a group or a program, which its events wake.
pub(super) struct Run {
    session: Arc<Session>,
    events: Arc<RunEvents>,
    has_started: bool,
}

/// Its events. Those of its body, or of its readiness, have the same id.
struct RunEvents {
    id: u64,
    body: Option<Arc<dyn Handler>>,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    outcome: Option<Outcome>,
    has_ended: bool,
    waker: Option<Waker>,
}

impl Run {
    /// Makes it with a message that has everything but its id, and the task that awaits it.
    pub(super) fn new(
        session: &Arc<Session>,
        id: u64,
        mut message: Value,
        body: Option<Arc<dyn Handler>>,
    ) -> Self {
        let events = Arc::new(RunEvents { id, body, state: Mutex::default() });
        session.link.handle(id, events.clone());
        message["do"] = "run".into();
        message["id"] = id.into();
        message["by"] = probe::current().into();
        session.link.send(message);
        Self { session: session.clone(), events, has_started: false }
    }
}

impl Future for Run {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let link = &self.session.link;
        if link.is_broken() {
            link.unwind();
        }
        if !self.has_started {
            // It begins with its first poll, and not when the world is idle.
            link.send_now(json!({"do": "start", "id": self.events.id}));
            self.has_started = true;
        }
        let waker = cx.waker().clone();
        let (outcome, old) = {
            let mut state = lock(&self.events.state);
            match state.outcome.take() {
                Some(outcome) => (Some(outcome), state.waker.take()),
                None => (None, state.waker.replace(waker)),
            }
        };
        drop(old);
        outcome.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let (waker, has_ended) = {
            let mut state = lock(&self.events.state);
            (state.waker.take(), state.has_ended)
        };
        drop(waker);
        if !has_ended {
            self.session.link.send(json!({"do": "cancel", "id": self.events.id}));
        }
    }
}

impl RunEvents {
    fn wake(&self) {
        let waker = lock(&self.state).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Handler for RunEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        if name == "end" {
            let outcome = if event.flag("cancelled") { None } else { Some(outcome_of(event)?) };
            let mut state = lock(&self.state);
            state.has_ended = true;
            state.outcome = outcome;
        } else if let Some(body) = &self.body {
            body.event(name, event)?;
        } else {
            return Err(format!("it has no body, and no event {name:?}"));
        }
        // A group that is cut at each await is cut behind each event.
        self.wake();
        Ok(())
    }

    fn broken(&self) {
        self.wake();
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
