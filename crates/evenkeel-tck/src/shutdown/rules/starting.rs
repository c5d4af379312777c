//! Tasks that come late, and tasks that go early.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-32" shutdown_32 "A task that is started during the stop is asked to stop at once."),
    rule!(Must "SHUTDOWN-33" shutdown_33 "A task that is started during the stop is waited for."),
    rule!(Must "SHUTDOWN-34" shutdown_34 "One task can be stopped alone, and the others go on."),
];

async fn shutdown_32(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).draining(secs(2)).spawning(vec![task(2).draining(secs(1))])]);
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    run.equal("with a stop at 1s, tasks asked at", run.drained(), vec![secs(1); 2])
}

async fn shutdown_33(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).spawning(vec![task(2).deaf().taking(secs(2))])]);
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    run.ends_at("with a stop at 1s, and a task of 2s that is started then", secs(3))
}

async fn shutdown_34(subject: &Subject) -> Checked {
    let settings = Settings { alone_after: Some(secs(2)), ..Settings::stopped(secs(5)) };
    let run = run_program(subject, &settings, Scene::of([task(1), task(2)])).await?;
    let asked = run.drained();
    run.equal("stopped alone at 2s, and with the program at 5s,", asked, [2, 5].map(secs).to_vec())
}
