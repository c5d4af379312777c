//! Runs one group with the implementation under test.

use super::{Adapter, Body, Capability, Outcome, ReportedFailure, Settings, script::Scene};
use crate::{
    probe_task::{Finished, Record, TaskOutcome},
    rule::Checked,
    subject::{configure, needs},
};

/// A group that has ended.
pub(crate) type FinishedGroup = Finished<Outcome>;

impl TaskOutcome for Outcome {
    const SUBJECT: &'static str = "group";

    fn panicked(message: &str) -> Self {
        Self::telling([ReportedFailure::panic(message)])
    }
}

/// Runs one group.
pub(crate) async fn run_group(
    subject: &dyn Adapter,
    settings: &Settings,
    scene: Scene,
) -> Checked<FinishedGroup> {
    if !Body::is_plain(&scene) {
        needs(subject, Capability::Body)?;
    }
    let group = configure(subject, settings)?;
    let record = Record::start();
    FinishedGroup::end(group.call(Body::new(scene, &record)), record).await
}
