//! Tasks, values and calls that outlive a test.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TESTKIT-23" alone testkit_23 "A task that is alive at the end of the test fails it."),
    rule!(Must "TESTKIT-24" alone testkit_24 "So does a task that another one has spawned."),
    rule!(Must "TESTKIT-25" alone testkit_25 "A task that was joined or aborted is no leak."),
    rule!(Should "TESTKIT-26" alone testkit_26 "A task that ends by itself, a second later, is no leak."),
    rule!(Should "TESTKIT-27" alone testkit_27 "The failure tells how many tasks are left."),
    rule!(Must "TESTKIT-28" alone testkit_28 "All that tasks keep is dropped when the test has ended.")
        .needs(Needs::CANCEL),
    rule!(Must "TESTKIT-29" alone testkit_29 "A blocking call does not outlive its test unseen."),
];

/// A task that waits for good.
fn waits(number: u32) -> Step {
    Step::Spawn(number, vec![Step::Wait])
}

fn testkit_23(subject: &Subject) -> Checked {
    needs(subject, Capability::Leaks)?;
    run(subject, secs(1), &[waits(1), Step::Yield(1)])?.fails("a task is left").map(drop)
}

fn testkit_24(subject: &Subject) -> Checked {
    needs(subject, Capability::Leaks)?;
    let ran = run(subject, secs(1), &[Step::Spawn(1, vec![waits(2)]), Step::Join(1)])?;
    ran.fails("a task of its task is left").map(drop)
}

fn testkit_25(subject: &Subject) -> Checked {
    needs(subject, Capability::Leaks)?;
    let ends = Step::Spawn(1, vec![Step::Sleep(secs(1))]);
    let steps = [ends, Step::Join(1), waits(2), Step::Yield(1), Step::Abort(2), Step::Note(1)];
    run(subject, secs(2), &steps)?.notes(&[(secs(1), 1)])
}

fn testkit_26(subject: &Subject) -> Checked {
    needs(subject, Capability::Leaks)?;
    let ends = Step::Spawn(1, vec![Step::Sleep(secs(1)), Step::Note(1)]);
    // A kit that aborts it has no leak either, and the last words of the task are not said.
    run(subject, secs(2), &[ends, Step::Yield(1)])?.notes(&[(secs(1), 1)])
}

fn testkit_27(subject: &Subject) -> Checked {
    needs(subject, Capability::Leaks)?;
    let steps: Vec<Step> = (1..=17).map(waits).chain([Step::Yield(1)]).collect();
    let ran = run(subject, secs(1), &steps)?;
    let told = ran.fails("17 tasks are left")?;
    ran.record.require(told.contains("17"), "the number of tasks, 17", format_args!("{told:?}"))
}

fn testkit_28(subject: &Subject) -> Checked {
    needs(subject, Capability::Tests)?;
    let ran = run(subject, secs(1), &[Step::Spawn(1, vec![Step::Keep, Step::Wait]), Step::Yield(3)])?;
    let dropped = ran.record.pick(|_, event| (*event == Event::Dropped).then_some(())).len();
    ran.record.equal("values dropped:", dropped, 1)
}

fn testkit_29(subject: &Subject) -> Checked {
    needs(subject, Capability::Tests)?;
    let ran = run(subject, secs(1), &[Step::LeftBlocking(ms(300)), Step::Yield(1)])?;
    let ended = ran.record.pick(|_, event| (*event == Event::BlockingEnded).then_some(())).len();
    let is_seen = ended == 1 || ran.failure.is_some();
    ran.record.require(
        is_seen,
        "that the test waits for the call, or fails",
        "it passes, and the call goes on",
    )
}
