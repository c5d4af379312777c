//! Programs that are dropped.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-35" alone shutdown_35 "A program dropped at any await leaves no task that goes on.")
        .needs(Needs::CANCEL),
];

/// A lifetime so long that a task which is not dropped is still alive an hour after its program was dropped.
const HOURS: Duration = secs(5 * 3600);

fn shutdown_35(subject: &Subject) -> Checked {
    needs(subject, Capability::Tasks)?;
    leaves_no_task(subject, &Settings::stopped(HOURS), |record| {
        Parts::new(Scene::of([1, 2].map(|number| task(number).taking(2 * HOURS))), record)
    })
}
