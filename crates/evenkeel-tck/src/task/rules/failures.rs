//! Tasks that fail, and what becomes of the others.

use crate::{
    Rule,
    duration::secs,
    life::End,
    rule::{Checked, rule},
    task::{
        Adapter, Capability, Settings,
        script::{Scene, task},
        trial::{needs, trial},
    },
};

pub(super) const RULES: &[Rule<dyn Adapter>] = &[
    rule!(Must "TASK-09" task_09 "The error of a task is told."),
    rule!(Must "TASK-10" task_10 "The first failure stops the others at once."),
    rule!(Must "TASK-11" task_11 "The failure that came first is told first.").after("TASK-09"),
    rule!(Must "TASK-12" task_12 "Every error is told, also those of the same instant.").after("TASK-09"),
    rule!(Must "TASK-13" task_13 "A group that collects lets every task end, and tells every error.")
        .after("TASK-09"),
    rule!(Must "TASK-14" task_14 "An error of the body stops the tasks, and is told."),
    rule!(Must "TASK-15" panics task_15 "A panic of the body goes on when all tasks have ended."),
];

/// The settings under which a failure is a failure.
pub(super) fn failing(subject: &dyn Adapter) -> Settings {
    match needs(subject, Capability::FailFast) {
        Ok(()) => Settings::fail_fast(),
        Err(_) => Settings::collecting(),
    }
}

async fn task_09(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([task(1).taking(secs(1)).failing()]);
    let trial = trial(subject, &failing(subject), scene).await?;
    trial.record.equal("tasks told to have failed:", trial.outcome.failed(), vec![1])
}

async fn task_10(subject: &dyn Adapter) -> Checked {
    let scene = Scene::of([task(1), task(2).taking(secs(1)).failing(), task(3)]);
    let trial = trial(subject, &Settings::fail_fast(), scene).await?;
    trial.record.equal("after a failure at 1s, the end of the group at", trial.left(), secs(1))
}

async fn task_11(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([1, 2, 3].map(|number| task(number).taking(secs(1)).failing()));
    let trial = trial(subject, &failing(subject), scene).await?;
    let first = trial.record.ended(End::Error).first().copied();
    trial.record.equal("told first:", trial.outcome.failed().first().copied(), first)
}

async fn task_12(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([1, 2, 3].map(|number| task(number).taking(secs(1)).failing()));
    let trial = trial(subject, &failing(subject), scene).await?;
    let (mut told, mut failed) = (trial.outcome.failed(), trial.record.ended(End::Error));
    told.sort_unstable();
    failed.sort_unstable();
    trial.record.equal("tasks told to have failed:", told, failed)
}

async fn task_13(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Errors)?;
    let failing = |number: u32| task(number).taking(secs(u64::from(number))).failing();
    let scene = Scene::of([failing(1), task(3).taking(secs(3)), failing(2)]);
    let trial = trial(subject, &Settings::collecting(), scene).await?;
    trial.record.equal("the end of the group at", trial.left(), secs(3))?;
    let mut told = trial.outcome.failed();
    told.sort_unstable();
    trial.record.equal("tasks told to have failed:", told, vec![1, 2])
}

async fn task_14(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([task(1), task(2)]).ending(secs(1), End::Error);
    let trial = trial(subject, &Settings::fail_fast(), scene).await?;
    trial.record.equal("after an error at 1s, the end of the group at", trial.left(), secs(1))?;
    trial.record.equal("told to have failed, where 0 is the body:", trial.outcome.failed(), vec![0])
}

async fn task_15(subject: &dyn Adapter) -> Checked {
    let scene = Scene::of([task(1), task(2)]).ending(secs(1), End::Panic);
    let trial = trial(subject, &Settings::usual(), scene).await?;
    trial.record.equal("told to have panicked, where 0 is the body:", trial.outcome.failed(), vec![0])?;
    trial.leaves_nobody()
}
