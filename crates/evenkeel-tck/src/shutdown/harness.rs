//! Runs one program with the implementation under test.

use std::time::Duration;

use super::{Adapter, Capability, Outcome, Parts, ReportedFailure, Settings, script::Scene};
use crate::{
    probe_task::{Finished, Record, TaskOutcome},
    rule::Checked,
    subject::{configure, needs, where_needed},
};

/// A program that has ended.
pub(crate) type FinishedProgram = Finished<Outcome>;

impl TaskOutcome for Outcome {
    const SUBJECT: &'static str = "program";

    fn panicked(message: &str) -> Self {
        Self::telling([ReportedFailure::panic(message)])
    }
}

/// Runs one program.
pub(crate) async fn run_program(
    subject: &dyn Adapter,
    settings: &Settings,
    scene: Scene,
) -> Checked<FinishedProgram> {
    let program = configure(subject, settings)?;
    scene_needs(&scene).try_for_each(|capability| needs(subject, capability))?;
    let record = Record::start();
    FinishedProgram::end(program.call(Parts::new(scene, &record)), record).await
}

impl FinishedProgram {
    /// The rule asks that the program ended at this time.
    pub(crate) fn ends_at(&self, when: &str, at: Duration) -> Checked {
        self.equal(&format!("{when}, the end of the program at"), self.returned_at(), at)
    }
}

fn scene_needs(scene: &Scene) -> impl Iterator<Item = Capability> {
    where_needed([
        (!scene.clean_ups.is_empty(), Capability::CleanUps),
        (!scene.guards.is_empty(), Capability::Guards),
        (scene.tasks.iter().any(|script| script.phase > 0), Capability::Phases),
        (scene.tasks.iter().any(|script| script.is_vital), Capability::Vital),
        (scene.tasks.iter().any(|script| !script.starts.is_empty()), Capability::Start),
    ])
}
