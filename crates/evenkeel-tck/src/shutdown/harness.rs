//! Runs one program with the implementation under test.

use super::{Parts, Settings, parts::Scene};
use crate::{
    Adapter,
    adapter::{configure, needs},
    probe_task::Finished,
    rule::Checked,
};

/// Runs one program.
pub(crate) async fn run_program(
    subject: &dyn Adapter<Settings>,
    settings: &Settings,
    scene: Scene,
) -> Checked<Finished> {
    let program = configure(subject, settings)?;
    scene.needs().try_for_each(|capability| needs(subject, capability))?;
    Finished::of(&program, |record| Parts::new(scene, record)).await
}
