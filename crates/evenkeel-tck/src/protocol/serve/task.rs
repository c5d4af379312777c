//! Groups for a suite in another process.

use std::time::Duration;

use serde_json::Value;

use super::{
    super::wire::{Members, Object},
    Scene,
};
use crate::{
    probe_task::Script,
    task::{Body, FailureMode, Settings},
};

impl Scene<'_> {
    pub(super) fn group(&mut self, message: &Object) -> Result<(), String> {
        let (id, adapter) = (message.number("id")?, self.server.task.ok_or("nothing of task")?);
        let settings = settings_of(message.get("settings").ok_or("no settings")?)?;
        if let Some(group) = self.configured(id, || adapter.configure(&settings)) {
            self.groups.insert(id, group);
        }
        Ok(())
    }

    pub(super) fn run(&mut self, message: &Object) -> Result<(), String> {
        let (id, group) = (message.number("id")?, message.number("group")?);
        let group = self.groups.get(&group).ok_or_else(|| format!("there is no {group}"))?;
        let tasks = self.tasks.list(&self.events, message, "tasks")?;
        let body = Body::remote(tasks, self.tasks.remote(&self.events, id, &Script::new(0)));
        self.outsides.insert(id, body.outside());
        let run = group.call(body);
        self.keep_run(message, run)
    }

    /// Spawns a task by another one, by the body, or by the handle.
    pub(super) fn spawn(&mut self, message: &Object) -> Result<(), String> {
        let task = self.tasks.task(&self.events, message)?;
        if let Some(by) = message.optional_number("by")? {
            return self.tasks.order(by, crate::probe_task::Order::Spawn(task));
        }
        let run = message.number("run")?;
        self.outsides.get(&run).ok_or_else(|| format!("there is no {run}"))?.spawn_with(|| task);
        Ok(())
    }
}

fn settings_of(settings: &Value) -> Result<Settings, String> {
    let on_failure = match settings.get("on_failure").and_then(Value::as_str) {
        None => FailureMode::Usual,
        Some("stop") => FailureMode::Stop,
        Some("go on") => FailureMode::GoOn,
        Some(other) => return Err(format!("there is no `on_failure` {other:?}")),
    };
    let limit = settings.optional_number("limit")?;
    let time = |name: &str| -> Result<Option<Duration>, String> { settings.optional_time(name) };
    Ok(Settings {
        on_failure,
        limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        deadline: time("deadline")?,
        grace: time("grace")?,
        stop_after: time("stop_after")?,
    })
}
