//! Groups and programs in another process: their tasks live there, and the scripts of their tasks are here.
//!
//! # How it works
//!
//! A [`Probe`] is a task, or the body of a group. The implementation has it, and tells its steps. The script begins with the event
//! `began`, and runs here as a task of the suite; its end is sent as a result, and is recorded with the event `ended`, when the
//! implementation has run the task to that end. With the event `dropped` the script is dropped, wherever it stands. So the record
//! has what happened there, and not what the suite meant to happen.
//!
//! Results of one instant are sent as one message: whether a group that stops at the first still sees the others is its own affair.

use std::{
    cell::Cell,
    future::pending,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    task::{AbortHandle, coop::unconstrained, spawn_local},
};

use super::{
    link::{Handler, Link},
    process::Session,
    wire::{Members, Object, from_time},
};
use crate::{
    BoxFuture,
    probe_task::{End, FailureKind, Outcome, ReportedFailure, Task},
};

/// The kinds of failures, with their names in the protocol.
pub(super) const KINDS: [(FailureKind, &str); 5] = [
    (FailureKind::Error, "error"),
    (FailureKind::Panic, "panic"),
    (FailureKind::Deadline, "deadline"),
    (FailureKind::Stopped, "stopped"),
    (FailureKind::Hung, "hung"),
];

/// The ends of a task, with their names in the protocol.
pub(super) const ENDS: [(End, &str); 3] = [(End::Ok, "ok"), (End::Error, "error"), (End::Panic, "panic")];

thread_local! {
    /// The task whose script is polled.
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

type Playing = BoxFuture<'static, ()>;

/// The way of a script to the implementation.
#[derive(Clone)]
pub(super) struct Way {
    link: Weak<Link>,
    session: Weak<Session>,
    /// The group or the program that runs.
    run: u64,
}

impl Way {
    pub(super) fn new(session: &Arc<Session>, run: u64) -> Self {
        Self { link: Arc::downgrade(&session.link), session: Arc::downgrade(session), run }
    }

    fn send(&self, message: Value) {
        if let Some(link) = self.link.upgrade() {
            link.send(message);
        }
    }

    /// Spawns a task, by another one, by the body, or by nobody: through the handle.
    pub(super) fn spawn(&self, task: Task, by: Option<u64>) {
        let Some(mut message) = self.task(task) else { return };
        message["do"] = "spawn".into();
        message["run"] = self.run.into();
        message["by"] = by.into();
        self.send(message);
    }

    /// The facts of a task, whose events are heard from now on.
    pub(super) fn task(&self, mut task: Task) -> Option<Value> {
        let (link, way) = (self.link.upgrade()?, self.clone());
        let id = link.id();
        let script = task.script();
        let facts = json!({
            "id": id, "task": script.number, "shield": script.shield.map(from_time),
            "panics_when_dropped": script.panics_on_drop, "phase": script.phase, "vital": script.is_vital,
        });
        let probe = Probe::new(self, id, move |drained, ended| {
            task.begins_elsewhere();
            let look = {
                let way = way.clone();
                async move {
                    way.send(json!({"do": "look", "id": id}));
                    told(drained).await
                }
            };
            let (spawns, ends) = (way.clone(), way.ends(id, ended));
            Box::pin(
                async move { drop(task.play(look, move |task| spawns.spawn(task, Some(id)), ends).await) },
            )
        });
        link.handle(id, probe);
        Some(facts)
    }

    /// Sends the result of a task, and waits until the task has come to that end.
    pub(super) fn ends(
        &self,
        id: u64,
        ended: oneshot::Receiver<()>,
    ) -> impl FnOnce(End) -> BoxFuture<'static, ()> + Send + use<> {
        let link = self.link.clone();
        move |end| {
            Box::pin(async move {
                let name = ENDS.iter().find(|(known, _)| *known == end).map(|(_, name)| *name);
                if let Some(link) = link.upgrade() {
                    link.send_item("results", json!({"id": id, "outcome": name}));
                }
                // However many end in one poll.
                unconstrained(told(ended)).await;
            })
        }
    }
}

/// What is told, or nothing at all.
async fn told<T>(receiver: oneshot::Receiver<T>) -> T {
    match receiver.await {
        Ok(value) => value,
        Err(_) => pending().await,
    }
}

/// A task or a body whose life is in the implementation.
pub(super) struct Probe {
    id: u64,
    session: Weak<Session>,
    this: Weak<Self>,
    state: Mutex<State>,
}

struct State {
    life: Life,
    drain: Option<oneshot::Sender<Option<String>>>,
    end: Option<oneshot::Sender<()>>,
    running: Option<AbortHandle>,
}

enum Life {
    /// It has not begun.
    Waiting(Box<dyn FnOnce() -> Playing + Send>),
    Running(Playing),
    /// The script is taken out, to be polled.
    Polled,
    Over,
}

impl Probe {
    pub(super) fn new(
        way: &Way,
        id: u64,
        begin: impl FnOnce(oneshot::Receiver<Option<String>>, oneshot::Receiver<()>) -> Playing + Send + 'static,
    ) -> Arc<Self> {
        let (drain, drained) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let life = Life::Waiting(Box::new(move || begin(drained, ended)));
        let state = State { life, drain: Some(drain), end: Some(end), running: None };
        Arc::new_cyclic(|this| Self {
            id,
            session: way.session.clone(),
            this: this.clone(),
            state: Mutex::new(state),
        })
    }

    fn begin(&self) -> Result<(), String> {
        let waiting = mem::replace(&mut lock(&self.state).life, Life::Polled);
        let Life::Waiting(begin) = waiting else {
            lock(&self.state).life = waiting;
            return Err("it begins twice, or after its end".to_owned());
        };
        let playing = begin();
        let (Some(probe), Some(session)) = (self.this.upgrade(), self.session.upgrade()) else {
            return Ok(());
        };
        let running = spawn_local(Running { probe, _session: session }).abort_handle();
        let mut state = lock(&self.state);
        state.life = Life::Running(playing);
        state.running = Some(running);
        Ok(())
    }

    /// The implementation has run it to the end of its script.
    fn ended(&self) -> Result<(), String> {
        let end = lock(&self.state).end.take();
        let _ = end.map(|end| end.send(()));
        if self.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Err("it ends without a result".to_owned());
        }
        self.leave();
        Ok(())
    }

    /// The implementation has let go of it.
    fn dropped(&self) -> Result<(), String> {
        let life = mem::replace(&mut lock(&self.state).life, Life::Over);
        if matches!(life, Life::Over) {
            return Err("it is dropped after its end".to_owned());
        }
        drop(life);
        self.leave();
        Ok(())
    }

    fn leave(&self) {
        let running = lock(&self.state).running.take();
        if let Some(running) = running {
            running.abort();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let life = mem::replace(&mut lock(&self.state).life, Life::Polled);
        let Life::Running(mut playing) = life else {
            let is_over = matches!(life, Life::Over);
            lock(&self.state).life = life;
            return if is_over { Poll::Ready(()) } else { Poll::Pending };
        };
        let outer = CURRENT.replace(Some(self.id));
        let polled = playing.as_mut().poll(cx);
        CURRENT.set(outer);
        let next = if polled.is_pending() { Life::Running(playing) } else { Life::Over };
        let mut state = lock(&self.state);
        // It may have been dropped meanwhile.
        let unused =
            if matches!(state.life, Life::Polled) { mem::replace(&mut state.life, next) } else { next };
        drop(state);
        drop(unused);
        polled
    }
}

impl Handler for Probe {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        match name {
            "began" => self.begin(),
            "drained" => {
                let reason =
                    if event.is_there("reason") { Some(event.text("reason")?.to_owned()) } else { None };
                let drain = lock(&self.state).drain.take();
                let _ = drain.map(|drain| drain.send(reason));
                Ok(())
            }
            "ended" => self.ended(),
            "dropped" => self.dropped(),
            other => Err(format!("a task has no event {other:?}")),
        }
    }
}

/// A script that runs until its end, or until the implementation lets go of the task. The link is driven as long.
struct Running {
    probe: Arc<Probe>,
    _session: Arc<Session>,
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.probe.poll(cx)
    }
}

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
        message["by"] = CURRENT.get().into();
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
