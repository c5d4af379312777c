//! Programs in another process: the settings as JSON, and the parts.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    link::Handler,
    probe::Probe,
    process::Process,
    run::Run,
    session::Session,
    tasks::ScriptLink,
    wire::{Object, from_time},
};
use crate::{
    Adapter, AdapterError, Configured,
    probe_task::End,
    shutdown::{Capability, Outcome, Parts, Settings},
};

impl Adapter<Settings> for Process {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        self.claims("shutdown", &capability.to_string())
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Parts, Outcome>, AdapterError> {
        let session = self.session()?;
        let program = session.configure("program", settings_of(settings))?;
        Ok(Configured::new(move |parts: Parts| run_of(&session, program, parts)))
    }
}

fn settings_of(settings: &Settings) -> Value {
    json!({
        "stop_after": settings.stop_after.map(from_time),
        "again_after": settings.again_after.map(from_time),
        "grace": settings.grace.map(from_time),
        "pre_stop": settings.pre_stop.map(from_time),
        "alone_after": settings.alone_after.map(from_time),
        "signals": settings.signals,
    })
}

/// The future of a program, not yet polled.
fn run_of(session: &Arc<Session>, program: u64, parts: Parts) -> Run {
    let link = &session.link;
    let id = link.id();
    let way = ScriptLink::new(session, id);
    let start_up = parts.start_up_takes_time().then(|| {
        let (id, takes, way) = (link.id(), parts.start_up(), way.clone());
        let probe = Probe::new(way.session.clone(), id, move |_, ended| {
            let ends = way.ends(id, ended);
            Box::pin(async move {
                takes.await;
                ends(End::Ok).await;
            })
        });
        link.handle(id, probe);
        id
    });
    let not_ready = Readiness(Box::new(parts.readiness_probe()));
    let list = |tasks: Vec<_>| tasks.into_iter().filter_map(|task| way.task(task)).collect::<Vec<_>>();
    let message = json!({
        "program": program, "start_up": start_up,
        "tasks": list(parts.tasks), "clean_ups": list(parts.clean_ups), "guards": list(parts.guards),
    });
    Run::new(session, id, message, Some(Arc::new(not_ready)))
}

/// The readiness probe outside of the program.
struct Readiness(Box<dyn Fn() + Send + Sync>);

impl Handler for Readiness {
    fn event(&self, name: &str, _: &Object) -> Result<(), String> {
        if name != "not ready" {
            return Err(format!("a program has no event {name:?}"));
        }
        (self.0)();
        Ok(())
    }
}
