//! The order of a stop.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-23" shutdown_23 "A phase is asked to stop when the one before it has stopped."),
    rule!(Must "SHUTDOWN-24" shutdown_24 "A phase that hangs does not take the time of the next one."),
    rule!(Must "SHUTDOWN-25" shutdown_25 "A clean-up runs when the tasks have ended, and the program ends after it."),
    rule!(Must "SHUTDOWN-26" shutdown_26 "A clean-up runs although a task hangs."),
    rule!(Must "SHUTDOWN-27" panics shutdown_27 "A clean-up that panics is told, and does not cut the others short."),
];

async fn shutdown_23(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).draining(secs(2)), task(2).of_phase(1)]);
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    let asked = run.drained();
    run.equal("phases, the first of which takes 2s, asked at", asked, [1, 3].map(secs).to_vec())?;
    run.ends_at("with a stop at 1s", secs(3))
}

async fn shutdown_24(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).deaf(), task(2).draining(ms(500)).of_phase(1)]);
    let run = run_program(subject, &Settings::stopped(secs(1)).within(secs(10)), scene).await?;
    run.equal("tasks that ended well:", run.ended(End::Ok), vec![2])?;
    run.require(
        run.returned_at() <= secs(11),
        "an end within the grace, at 11s",
        format_args!("{:?}", run.returned_at()),
    )
}

async fn shutdown_25(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).draining(secs(2))]).cleaned_by([task(2).taking(secs(1))]);
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    let began = run.first(&Event::Began(2));
    run.equal("after a task that ends at 3s, the clean-up at", began, Some(secs(3)))?;
    run.ends_at("with a clean-up of 1s", secs(4))
}

async fn shutdown_26(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).deaf()]).cleaned_by([task(2).taking(ms(500))]);
    let run = run_program(subject, &Settings::stopped(secs(1)).within(secs(10)), scene).await?;
    run.equal("clean-ups that ended well:", run.ended(End::Ok), vec![2])
}

async fn shutdown_27(subject: &Subject) -> Checked {
    let panics = task(2).taking(ms(100)).panicking();
    let scene = Scene::of([task(1)]).cleaned_by([panics, task(3).taking(ms(500))]);
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    run.equal("what ended well:", run.ended(End::Ok), vec![1, 3])?;
    run.equal("told to have panicked:", run.outcome.of(FailureKind::Panic), vec![2])
}
