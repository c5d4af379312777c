//! Runs one program with the implementation under test.

use super::{Capability, Parts, Settings, parts::Scene};
use crate::{
    Adapter,
    adapter::{configure, needs, where_needed},
    probe_task::{Finished, Script},
    verdict::Checked,
};

/// Runs one program.
pub(crate) async fn run_program(
    subject: &dyn Adapter<Settings>,
    settings: &Settings,
    scene: Scene,
) -> Checked<Finished> {
    let program = configure(subject, settings)?;
    scene_needs(&scene).try_for_each(|capability| needs(subject, capability))?;
    Finished::of(&program, |record| Parts::new(scene, record)).await
}

/// The capabilities that an implementation needs for these parts.
fn scene_needs(scene: &Scene) -> impl Iterator<Item = Capability> + use<> {
    let any = |has: fn(&Script) -> bool| scene.tasks.iter().any(has);
    where_needed([
        (!scene.clean_ups.is_empty(), Capability::CleanUps),
        (!scene.guards.is_empty(), Capability::Guards),
        (any(|script| script.phase > 0), Capability::Phases),
        (any(|script| script.is_vital), Capability::Vital),
        (any(|script| !script.spawns.is_empty()), Capability::Start),
    ])
}
