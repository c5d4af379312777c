//! Runs one group with the implementation under test.

use super::{Body, Capability, Settings, body::Scene};
use crate::{
    Adapter,
    adapter::{configure, needs},
    probe_task::Finished,
    verdict::Checked,
};

/// Runs one group.
pub(crate) async fn run_group(
    subject: &dyn Adapter<Settings>,
    settings: &Settings,
    scene: Scene,
) -> Checked<Finished> {
    if !scene.is_plain() {
        needs(subject, Capability::Body)?;
    }
    Finished::of(&configure(subject, settings)?, |record| Body::new(scene, record)).await
}
