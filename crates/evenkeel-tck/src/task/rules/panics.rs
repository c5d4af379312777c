//! Tasks that panic.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-16" panics task_16 "The panic of a task is told, or goes on in the caller."),
    rule!(Must "TASK-17" panics task_17 "A panic stops the others as an error does.").after("TASK-16"),
    rule!(Must "TASK-18" panics task_18 "Every panic is reported, also panics of the same instant.")
        .after("TASK-16"),
    rule!(Must "TASK-19" panics task_19 "A panic in the destructor of a task that is stopped is told, or goes on."),
    rule!(Must "TASK-20" panics task_20 "A panic after the first failure is told beside it.")
        .after("TASK-09"),
];

/// The rule asks that the outcome tells every panic.
fn tells_all(run: &Finished) -> Checked {
    run.equal("tasks told to have panicked:", run.outcome.of(FailureKind::Panic), sorted(run.panicked()))
}

async fn task_16(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).taking(secs(1)).panicking(), task(2).taking(secs(2))]);
    let run = run_group(subject, &Settings::usual(), scene).await?;
    tells_all(&run)
}

async fn task_17(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1), task(2).taking(secs(1)).panicking(), task(3)]);
    let run = run_group(subject, &Settings::fail_fast(), scene).await?;
    run.ends_at("after a panic at 1s", secs(1))?;
    run.leaves_nobody()
}

async fn task_18(subject: &Subject) -> Checked {
    let scene = Scene::of([1, 2, 3].map(|number| task(number).taking(secs(1)).panicking()));
    let run = run_group(subject, &Settings::usual(), scene).await?;
    tells_all(&run)
}

async fn task_19(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).panicking_on_drop(), task(2)]);
    let run = run_group(subject, &Settings::stopped(secs(1)), scene).await?;
    run.equal("tasks that panicked:", run.panicked(), vec![1])?;
    tells_all(&run)
}

async fn task_20(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([task(1).taking(secs(1)).failing(), task(2).panicking_on_drop()]);
    let run = run_group(subject, &Settings::fail_fast(), scene).await?;
    run.equal("tasks told to have failed:", sorted(run.outcome.failed()), vec![1, 2])
}
