//! The load balancer in front of the program.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-28" shutdown_28 "Tasks are asked to stop when the pre-stop delay is over."),
    rule!(Must "SHUTDOWN-29" shutdown_29 "The program is not ready any more at once, before the delay."),
];

/// A stop at 1 s, with three seconds before the tasks are asked.
fn delayed() -> Settings {
    Settings { pre_stop: Some(secs(3)), ..Settings::stopped(secs(1)) }
}

async fn shutdown_28(subject: &Subject) -> Checked {
    let run = run_program(subject, &delayed(), Scene::of([task(1), task(2)])).await?;
    run.equal("with a stop at 1s, tasks asked at", run.drained(), vec![secs(4); 2])
}

async fn shutdown_29(subject: &Subject) -> Checked {
    needs(subject, Capability::Readiness)?;
    let run = run_program(subject, &delayed(), Scene::of([task(1)])).await?;
    let turned_away = run.first(&Event::TurnedAway);
    run.equal("with a stop at 1s, not ready any more at", turned_away, Some(secs(1)))
}
