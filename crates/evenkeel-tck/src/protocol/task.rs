//! Groups of tasks in another process: the settings as JSON, and the body.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{probe::Probe, process::Process, run::Run, session::Session, tasks::ScriptLink, wire::from_time};
use crate::{
    Adapter, AdapterError, Configured,
    task::{Body, Capability, FailureMode, Outcome, Settings},
};

impl Adapter<Settings> for Process {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        self.claims("task", &capability.to_string())
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
        let session = self.session()?;
        let group = session.configure("group", settings_of(settings))?;
        let has = |capability| Adapter::<Settings>::supports(self, capability).is_ok();
        let (has_body, has_handle) = (has(Capability::Body), has(Capability::Handle));
        Ok(Configured::new(move |body: Body| run_of(&session, group, body, has_body, has_handle)))
    }
}

fn settings_of(settings: &Settings) -> Value {
    json!({
        "on_failure": match settings.on_failure {
            FailureMode::Usual => Value::Null,
            FailureMode::Stop => "stop".into(),
            FailureMode::GoOn => "go on".into(),
        },
        "limit": settings.limit,
        "deadline": settings.deadline.map(from_time),
        "grace": settings.grace.map(from_time),
        "stop_after": settings.stop_after.map(from_time),
    })
}

/// The future of a group, not yet polled.
fn run_of(session: &Arc<Session>, group: u64, mut body: Body, has_body: bool, has_handle: bool) -> Run {
    let id = session.link.id();
    let way = ScriptLink::new(session, id);
    if has_handle {
        let way = way.clone();
        body.hand_out(move |task| way.spawn(task, None));
    }
    if !has_body {
        let tasks: Vec<_> = body.tasks().into_iter().filter_map(|task| way.task(task)).collect();
        return Run::new(session, id, json!({"group": group, "tasks": tasks}), None);
    }
    let spawns = way.clone();
    let probe = Probe::new(way.session.clone(), id, move |_, ended| {
        body.begins_elsewhere();
        let ends = way.ends(id, ended);
        Box::pin(async move { drop(body.play(move |task| spawns.spawn(task, Some(id)), ends).await) })
    });
    Run::new(session, id, json!({"group": group}), Some(probe))
}
