//! Work in flight that is not a task.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-30" shutdown_30 "A guard keeps the program until it is dropped."),
    rule!(Must "SHUTDOWN-31" shutdown_31 "A guard keeps the program no longer than the grace."),
];

async fn shutdown_30(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1)]).guarded_by([task(2).deaf().taking(secs(4))]);
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    run.ends_at("with a stop at 1s and a guard that is held until 4s", secs(4))
}

async fn shutdown_31(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1)]).guarded_by([task(2).deaf()]);
    let run = run_program(subject, &Settings::stopped(secs(1)).within(secs(5)), scene).await?;
    run.ends_at("with a stop at 1s and a grace of 5s", secs(6))
}
