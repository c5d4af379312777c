//! Tasks that fail, and the effect on the others.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-09" task_09 "The error of a task is told."),
    rule!(Must "TASK-10" task_10 "The first failure stops the others at once."),
    rule!(Must "TASK-11" task_11 "The failure that came first is told first.").after("TASK-09"),
    rule!(Must "TASK-12" task_12 "Every error is reported, also errors of the same instant.")
        .after("TASK-09"),
    rule!(Must "TASK-13" task_13 "A group that collects lets every task end, and tells every error.")
        .after("TASK-09"),
    rule!(Must "TASK-14" task_14 "An error of the body stops the tasks, and is told."),
    rule!(Must "TASK-15" panics task_15 "A panic of the body goes on when all tasks have ended."),
];

/// The settings under which a failure stops the group, or is told at its end.
pub(super) fn failing(subject: &Subject) -> Settings {
    match needs(subject, Capability::FailFast) {
        Ok(()) => Settings::fail_fast(),
        Err(_) => Settings::collecting(),
    }
}

async fn task_09(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([task(1).taking(secs(1)).failing()]);
    let run = run_group(subject, &failing(subject), scene).await?;
    run.equal("tasks told to have failed:", run.outcome.failed(), vec![1])
}

async fn task_10(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1), task(2).taking(secs(1)).failing(), task(3)]);
    let run = run_group(subject, &Settings::fail_fast(), scene).await?;
    run.ends_at("after a failure at 1s", secs(1))
}

async fn task_11(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([1, 2, 3].map(|number| task(number).taking(secs(1)).failing()));
    let run = run_group(subject, &failing(subject), scene).await?;
    let first = run.ended(End::Error).first().copied();
    run.equal("told first:", run.outcome.failed().first().copied(), first)
}

async fn task_12(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([1, 2, 3].map(|number| task(number).taking(secs(1)).failing()));
    let run = run_group(subject, &failing(subject), scene).await?;
    let (told, failed) = (run.outcome.failed(), run.ended(End::Error));
    run.equal("tasks told to have failed:", sorted(told), sorted(failed))
}

async fn task_13(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let failing = |number: u32| task(number).taking(secs(u64::from(number))).failing();
    let scene = Scene::of([failing(1), task(3).taking(secs(3)), failing(2)]);
    let run = run_group(subject, &Settings::collecting(), scene).await?;
    run.equal("the end of the group at", run.returned_at(), secs(3))?;
    run.equal("tasks told to have failed:", sorted(run.outcome.failed()), vec![1, 2])
}

async fn task_14(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([task(1), task(2)]).ending(secs(1), End::Error);
    let run = run_group(subject, &Settings::fail_fast(), scene).await?;
    run.ends_at("after an error at 1s", secs(1))?;
    run.equal("told to have failed, where 0 is the body:", run.outcome.failed(), vec![0])
}

async fn task_15(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1), task(2)]).ending(secs(1), End::Panic);
    let run = run_group(subject, &Settings::usual(), scene).await?;
    run.equal("told to have panicked, where 0 is the body:", run.outcome.failed(), vec![0])?;
    run.leaves_nobody()
}
