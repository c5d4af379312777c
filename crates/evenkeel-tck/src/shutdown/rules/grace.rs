//! Tasks that do not stop in their time.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-07" shutdown_07 "The program ends when the grace is over, which counts from the stop."),
    rule!(Must "SHUTDOWN-08" shutdown_08 "When the program has ended, no task is alive."),
    rule!(Must "SHUTDOWN-09" shutdown_09 "A second stop ends the grace at once."),
    rule!(Must "SHUTDOWN-10" shutdown_10 "When the program has ended by a second stop, no task is alive."),
];

/// A stop at 10 s, with five seconds of grace.
fn graceful() -> Settings {
    Settings::stopped(secs(10)).within(secs(5))
}

/// A stop at 10 s, and another one at 12 s.
fn twice() -> Settings {
    Settings { again_after: Some(secs(12)), ..graceful() }
}

async fn shutdown_07(subject: &Subject) -> Checked {
    let run = run_program(subject, &graceful(), Scene::of([task(1).deaf(), task(2)])).await?;
    run.ends_at("with a stop at 10s and a grace of 5s", secs(15))
}

async fn shutdown_08(subject: &Subject) -> Checked {
    needs(subject, Capability::Tasks)?;
    let run = run_program(subject, &graceful(), Scene::of([task(1).deaf(), task(2)])).await?;
    run.leaves_nobody()
}

async fn shutdown_09(subject: &Subject) -> Checked {
    let run = run_program(subject, &twice(), Scene::of([task(1).deaf(), task(2)])).await?;
    run.ends_at("with stops at 10s and at 12s", secs(12))
}

async fn shutdown_10(subject: &Subject) -> Checked {
    needs(subject, Capability::Tasks)?;
    let run = run_program(subject, &twice(), Scene::of([task(1).deaf(), task(2)])).await?;
    run.leaves_nobody()
}
