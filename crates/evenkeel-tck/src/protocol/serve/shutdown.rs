//! Programs for a suite in another process.

use serde_json::{Value, json};

use super::{
    super::wire::{Members, Object},
    Scene,
};
use crate::{
    probe_task::Script,
    shutdown::{Parts, Settings},
};

impl Scene<'_> {
    pub(super) fn program(&mut self, message: &Object) -> Result<(), String> {
        let (id, adapter) = (message.number("id")?, self.server.shutdown.ok_or("nothing of shutdown")?);
        let settings = settings_of(message.get("settings").ok_or("no settings")?)?;
        if let Some(program) = self.configured(id, || adapter.configure(&settings)) {
            self.programs.insert(id, program);
        }
        Ok(())
    }

    pub(super) fn run_program(&mut self, message: &Object) -> Result<(), String> {
        let (id, program) = (message.number("id")?, message.number("program")?);
        let program = self.programs.get(&program).ok_or_else(|| format!("there is no {program}"))?;
        let (tasks, events) = (&mut self.tasks, &self.events);
        let start_up = message.optional_number("start_up")?;
        let start_up = start_up.map(|id| tasks.remote(events, id, &Script::new(0)));
        let mut list = |name: &str| tasks.list(events, message, name);
        let parts = [list("tasks")?, list("clean_ups")?, list("guards")?];
        let told = self.events.clone();
        let not_ready = move || told.note(json!({"event": "not ready", "id": id}));
        let run = program.call(Parts::remote(parts, start_up, not_ready));
        self.keep_run(message, run)
    }
}

fn settings_of(settings: &Value) -> Result<Settings, String> {
    Ok(Settings {
        stop_after: settings.optional_time("stop_after")?,
        again_after: settings.optional_time("again_after")?,
        grace: settings.optional_time("grace")?,
        pre_stop: settings.optional_time("pre_stop")?,
        alone_after: settings.optional_time("alone_after")?,
        signals: settings.flag("signals"),
    })
}
