//! Tasks for a suite in another process, in groups and in programs: they wait for its orders, and tell their steps.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    super::{
        tasks::{ENDS, KINDS},
        wire::{Members, Object},
    },
    Events, Scene,
};
use crate::{
    BoxFuture,
    probe_task::{Order, Orders, Outcome, Remote, ReportedFailure, Script, Step, Task, catch_panic},
};

/// The tasks, the bodies and the groups of a rule.
#[derive(Default)]
pub(super) struct Tasks {
    orders: HashMap<u64, Arc<Orders>>,
    /// The groups that a task awaits, each with its task until it is started.
    nested: HashMap<u64, Option<Nested>>,
}

type Nested = (u64, BoxFuture<'static, ()>);

impl Tasks {
    /// Makes something that waits for orders, and tells its steps.
    pub(super) fn remote(&mut self, events: &Arc<Events>, id: u64, facts: &Script) -> Remote {
        let (events, orders) = (events.clone(), Arc::new(Orders::default()));
        self.orders.insert(id, orders.clone());
        Remote::new(facts.number, facts.panics_on_drop, orders, move |step| {
            let (name, reason) = match step {
                Step::Began => ("began", None),
                Step::Drained(reason) => ("drained", reason),
                Step::Ended => ("ended", None),
                Step::Dropped => ("dropped", None),
            };
            events.note(json!({"event": name, "id": id, "reason": reason}));
        })
    }

    /// A task with the facts of a message.
    pub(super) fn task(&mut self, events: &Arc<Events>, message: &impl Members) -> Result<Task, String> {
        let mut facts = Script::new(message.small("task")?);
        facts.panics_on_drop = message.flag("panics_when_dropped");
        facts.shield = message.optional_time("shield")?;
        facts.phase = message.optional_number("phase")?.unwrap_or_default() as usize;
        facts.is_vital = message.flag("vital");
        let remote = self.remote(events, message.number("id")?, &facts);
        Ok(Task::remote(facts, remote))
    }

    /// The tasks of a list of a message.
    pub(super) fn list(
        &mut self,
        events: &Arc<Events>,
        message: &Object,
        name: &str,
    ) -> Result<Vec<Task>, String> {
        let tasks = message.get(name).and_then(Value::as_array);
        tasks.into_iter().flatten().map(|task| self.task(events, task)).collect()
    }

    pub(super) fn order(&self, id: u64, order: Order) -> Result<(), String> {
        self.orders.get(&id).ok_or_else(|| format!("there is no {id}"))?.give(order);
        Ok(())
    }
}

impl Scene<'_> {
    pub(super) fn look(&self, message: &Object) -> Result<(), String> {
        self.tasks.order(message.number("id")?, Order::Look)
    }

    /// All of them wake before one runs.
    pub(super) fn results(&self, message: &Object) -> Result<(), String> {
        let results = message.get("of").and_then(Value::as_array).ok_or("no list `of`")?;
        results.iter().try_for_each(|result| {
            let outcome = result.text("outcome")?;
            let end = ENDS.iter().find(|(_, name)| *name == outcome);
            let (end, _) = end.ok_or_else(|| format!("there is no outcome {outcome:?}"))?;
            self.tasks.order(result.number("id")?, Order::End(*end))
        })
    }

    /// Keeps the future of a group or a program until it is started.
    pub(super) fn keep_run(
        &mut self,
        message: &Object,
        run: BoxFuture<'static, Outcome>,
    ) -> Result<(), String> {
        let (id, events) = (message.number("id")?, self.events.clone());
        let whole = async move {
            let ended = catch_panic(run).await;
            let outcome =
                ended.unwrap_or_else(|message| Outcome::telling([ReportedFailure::panic(&message)]));
            events.note(end_of(id, &outcome));
        };
        match message.optional_number("by")? {
            Some(by) => {
                self.tasks.nested.insert(id, Some((by, Box::pin(whole))));
            }
            None => {
                self.work.insert(id, super::Work::new(whole));
            }
        }
        Ok(())
    }

    /// Starts or cancels a group that a task awaits; `None` if there is no such group.
    pub(super) fn nested(&mut self, id: u64, starts: bool) -> Option<Result<(), String>> {
        let nested = self.tasks.nested.get_mut(&id)?.take();
        // The task that awaits it drops it, once it is started.
        let Some((by, run)) = nested else { return Some(Ok(())) };
        if starts {
            return Some(self.tasks.order(by, Order::Await(run)));
        }
        drop(run);
        self.events.note(json!({"event": "end", "id": id, "cancelled": true}));
        Some(Ok(()))
    }
}

fn end_of(id: u64, outcome: &Outcome) -> Value {
    let failures = outcome.failures.iter().map(|failure| {
        let kind = KINDS.iter().find(|(known, _)| *known == failure.kind).map(|(_, name)| *name);
        json!({"kind": kind, "task": failure.task, "name": failure.name})
    });
    json!({
        "event": "end", "id": id, "failures": failures.collect::<Vec<_>>(), "code": outcome.code,
        "counts": outcome.counts.map(|(finished, cancelled)| json!({"finished": finished, "cancelled": cancelled})),
    })
}
