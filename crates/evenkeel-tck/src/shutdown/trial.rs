use std::time::Duration;

use tokio::time::timeout;

use super::{Adapter, Capability, Outcome, Parts, Program, Settings, Told, adapter::Run, script::Scene};
use crate::{
    Verdict,
    duration::WEEK,
    life::{Event, Record, caught},
    rule::Checked,
};

/// A program that has ended.
pub(crate) struct Trial {
    pub(crate) outcome: Outcome,
    pub(crate) record: Record,
}

/// Runs one program.
pub(crate) async fn trial(subject: &dyn Adapter, settings: &Settings, scene: Scene) -> Checked<Trial> {
    let program = configure(subject, settings)?;
    scene_needs(&scene).try_for_each(|capability| needs(subject, capability))?;
    let record = Record::start();
    Trial::end(program.call(Parts::new(scene, &record)), record).await
}

impl Trial {
    /// Waits for the end of a program. A panic that goes on there is told.
    pub(crate) async fn end(run: Run, record: Record) -> Checked<Self> {
        let end = {
            let record = record.clone();
            async move {
                let outcome = caught(run).await;
                record.note(Event::Left);
                outcome.unwrap_or_else(|panic| Outcome::telling([Told::panic(&panic)]))
            }
        };
        match timeout(WEEK, end).await {
            Ok(outcome) => Ok(Self { outcome, record }),
            Err(_) => Err(record.failure(format!("an end within {WEEK:?}"), "none")),
        }
    }

    /// When the program ended.
    pub(crate) fn left(&self) -> Duration {
        self.record.left().unwrap_or_default()
    }

    /// The rule asks that the program ended at this time.
    pub(crate) fn ends_at(&self, when: &str, at: Duration) -> Checked {
        self.record.equal(&format!("{when}, the end of the program at"), self.left(), at)
    }

    /// The rule asks that no task is left when the program has ended.
    pub(crate) fn leaves_nobody(&self) -> Checked {
        let alive = self.record.alive_at_the_end();
        self.record.equal("when the program has ended, tasks alive:", alive, Vec::new())
    }
}

fn scene_needs(scene: &Scene) -> impl Iterator<Item = Capability> {
    let needed = [
        (!scene.clean_ups.is_empty(), Capability::CleanUps),
        (!scene.guards.is_empty(), Capability::Guards),
        (scene.tasks.iter().any(|script| script.phase > 0), Capability::Phases),
        (scene.tasks.iter().any(|script| script.is_vital), Capability::Vital),
        (scene.tasks.iter().any(|script| !script.starts.is_empty()), Capability::Start),
    ];
    needed.into_iter().filter_map(|(is_needed, capability)| is_needed.then_some(capability))
}

/// Goes no further where the implementation does not have what the rule is about.
pub(crate) fn needs(subject: &dyn Adapter, capability: Capability) -> Checked {
    subject.supports(capability).map_err(|why| Verdict::Unsupported(format!("{capability}: {why}")))
}

pub(crate) fn configure(subject: &dyn Adapter, settings: &Settings) -> Checked<Program> {
    settings.needs().try_for_each(|capability| needs(subject, capability))?;
    Ok(subject.program(settings)?)
}
