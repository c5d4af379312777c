//! Calls that block a thread, in real time.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-44" threads task_44 "When a group has ended because it was stopped, so have its blocking calls."),
    rule!(Should "TASK-45" threads task_45 "A blocking call sees that its group is stopped."),
];

/// A group that is stopped while its only call runs.
fn stopped(subject: &Subject, call: Script) -> Checked<Finished> {
    needs(subject, Capability::Blocking)?;
    let runtime = runtime(Builder::new_current_thread().enable_time())?;
    let group = configure_on(&runtime, subject, &Settings::stopped(ms(60)))?;
    runtime.block_on(async { Finished::of(&group, |record| Body::new(Scene::of([call]), record)).await })
}

fn task_44(subject: &Subject) -> Checked {
    stopped(subject, task(1).blocking(false).taking(ms(150)))?.leaves_nobody()
}

fn task_45(subject: &Subject) -> Checked {
    needs(subject, Capability::BlockingSignal)?;
    // It ends with the signal, for which a slow machine has this time.
    let run = stopped(subject, task(1).blocking(true).taking(secs(5)))?;
    let seen = run.first(&Event::Drained(1, None));
    run.require(seen.is_some(), "a call that sees the signal", "none")
}
