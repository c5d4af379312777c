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
    future::pending,
    sync::{Arc, Weak},
};

use serde_json::{Value, json};
use tokio::{sync::oneshot, task::coop::unconstrained};

use super::{link::Link, probe::Probe, session::Session, wire::from_time};
use crate::{
    BoxFuture,
    probe_task::{End, FailureKind, Task},
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

/// The connection of a script to the implementation.
#[derive(Clone)]
pub(super) struct ScriptLink {
    link: Weak<Link>,
    pub(super) session: Weak<Session>,
    /// The group or the program that runs.
    run: u64,
}

impl ScriptLink {
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
        let probe = Probe::new(self.session.clone(), id, move |drained, ended| {
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

/// The value that is told, or a wait without end.
async fn told<T>(receiver: oneshot::Receiver<T>) -> T {
    match receiver.await {
        Ok(value) => value,
        Err(_) => pending().await,
    }
}
