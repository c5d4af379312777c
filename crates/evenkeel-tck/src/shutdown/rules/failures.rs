//! Tasks that fail, before the stop and because of it.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-11" shutdown_11 "The error of a task is told."),
    rule!(Must "SHUTDOWN-12" shutdown_12 "A task that fails stops the others."),
    rule!(Must "SHUTDOWN-13" panics shutdown_13 "The panic of a task is told, or goes on in the caller."),
    rule!(Must "SHUTDOWN-14" panics shutdown_14 "A task that panics stops the others."),
    rule!(Must "SHUTDOWN-15" panics shutdown_15 "A panic during the stop does not cut the others short."),
    rule!(Must "SHUTDOWN-16" panics shutdown_16 "A panic during the stop is told.").after("SHUTDOWN-13"),
    rule!(Must "SHUTDOWN-17" shutdown_17 "An error during the stop is told.").after("SHUTDOWN-11"),
    rule!(Must "SHUTDOWN-18" panics shutdown_18 "A panic in the destructor of a task that hung is told.")
        .after("SHUTDOWN-08"),
    rule!(Must "SHUTDOWN-19" shutdown_19 "The end of a vital task stops the others, though it ends well."),
];

/// A program that is asked to stop at 5 s, whose first task ends before that.
async fn with(subject: &Subject, first: Script) -> Checked<Finished> {
    run_program(subject, &Settings::stopped(secs(5)), Scene::of([first, task(2)])).await
}

/// A program that nobody asks to stop, whose first task ends at 1 s.
async fn stopped_by(subject: &Subject, first: Script) -> Checked {
    let run =
        run_program(subject, &Settings::unstopped(), Scene::of([first.taking(secs(1)), task(2)])).await?;
    run.equal("task 2 asked at", run.drained(), vec![secs(1)])?;
    run.ends_at("with a task that ends at 1s", secs(1))
}

async fn shutdown_11(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let run = with(subject, task(1).taking(secs(1)).failing()).await?;
    run.equal("tasks told to have failed:", run.outcome.of(FailureKind::Error), vec![1])
}

async fn shutdown_12(subject: &Subject) -> Checked {
    needs(subject, Capability::FailFast)?;
    stopped_by(subject, task(1).failing()).await
}

async fn shutdown_13(subject: &Subject) -> Checked {
    needs(subject, Capability::Tasks)?;
    let run = with(subject, task(1).taking(secs(1)).panicking()).await?;
    run.equal("tasks told to have panicked:", run.outcome.of(FailureKind::Panic), vec![1])
}

async fn shutdown_14(subject: &Subject) -> Checked {
    needs(subject, Capability::FailFast)?;
    stopped_by(subject, task(1).panicking()).await
}

async fn shutdown_15(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).answering(End::Panic), task(2).draining(secs(2))]);
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    run.equal("tasks that ended well:", run.ended(End::Ok), vec![2])?;
    run.ends_at("with a stop at 1s and a task that takes 2s for it", secs(3))
}

async fn shutdown_16(subject: &Subject) -> Checked {
    needs(subject, Capability::Tasks)?;
    let run = with(subject, task(1).answering(End::Panic)).await?;
    run.equal("tasks told to have panicked:", run.outcome.of(FailureKind::Panic), vec![1])
}

async fn shutdown_17(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let run = with(subject, task(1).answering(End::Error)).await?;
    run.equal("tasks told to have failed:", run.outcome.of(FailureKind::Error), vec![1])
}

async fn shutdown_18(subject: &Subject) -> Checked {
    needs(subject, Capability::Tasks)?;
    let scene = Scene::of([task(1).deaf().panicking_on_drop(), task(2)]);
    let run = run_program(subject, &Settings::stopped(secs(1)).within(secs(5)), scene).await?;
    run.equal("tasks told to have panicked:", run.outcome.of(FailureKind::Panic), vec![1])
}

async fn shutdown_19(subject: &Subject) -> Checked {
    stopped_by(subject, task(1).vital()).await
}
