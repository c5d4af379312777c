//! The information in the outcome and in the signal.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-20" shutdown_20 "Tasks that hung are reported, and nothing else."),
    rule!(Must "SHUTDOWN-21" panics shutdown_21 "The exit code is 0 after a clean stop, and not after an error, a panic or a hang."),
    rule!(Must "SHUTDOWN-22" shutdown_22 "A task that sees the stop sees the reason."),
];

async fn shutdown_20(subject: &Subject) -> Checked {
    needs(subject, Capability::Hung)?;
    let scene = Scene::of([task(1).deaf(), task(2), task(3).deaf(), task(4).draining(secs(2))]);
    let run = run_program(subject, &Settings::stopped(secs(1)).within(secs(5)), scene).await?;
    run.equal("tasks told to have hung:", run.outcome.of(FailureKind::Hung), vec![1, 3])
}

async fn shutdown_21(subject: &Subject) -> Checked {
    needs(subject, Capability::ExitCode)?;
    let mut cases = vec![("a clean stop", task(1), true)];
    cases.push(("an error", task(1).taking(secs(1)).failing(), false));
    cases.push(("a panic", task(1).taking(secs(1)).panicking(), false));
    if needs(subject, Capability::Grace).is_ok() {
        cases.push(("a hang", task(1).deaf(), false));
    }
    for (what, first, is_clean) in cases {
        let run = run_program(subject, &Settings::stopped(secs(5)), Scene::of([first, task(2)])).await?;
        let code = run.outcome.code;
        run.require(
            code.is_some_and(|code| (code == 0) == is_clean),
            format_args!("after {what}, an exit code that is {}0", if is_clean { "" } else { "not " }),
            format_args!("{code:?}"),
        )?;
    }
    Ok(())
}

async fn shutdown_22(subject: &Subject) -> Checked {
    needs(subject, Capability::Reason)?;
    let run = run_program(subject, &Settings::stopped(secs(1)), Scene::of([task(1)])).await?;
    run.drains_for_a_reason()
}
