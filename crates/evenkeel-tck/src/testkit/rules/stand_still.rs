//! Tests that do not go on, and threads that are blocked.

use super::prelude::*;
use crate::testkit::{
    alone::{BLOCKED, run_in_child},
    program::BLOCKS,
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TESTKIT-18" alone testkit_18 "A test in which nothing can run any more fails."),
    rule!(Must "TESTKIT-19" alone testkit_19 "A test that never rests is ended at its limit of real time."),
    rule!(Must "TESTKIT-20" threads testkit_20 "A test whose thread is blocked for good is ended, and told."),
    rule!(Must "TESTKIT-21" alone testkit_21 "A task that computes for too long without an await fails the test."),
    rule!(Must "TESTKIT-22" alone testkit_22 "A task that often awaits is not taken for a blocked one."),
];

fn testkit_18(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    let steps = [Step::Sleep(secs(1)), Step::Spawn(1, vec![Step::Wait]), Step::Join(1)];
    run(subject, secs(10), &steps)?.fails("its only task waits for good").map(drop)
}

/// The limit of real time for a test that never rests.
const WALL_LIMIT: Duration = ms(200);

fn testkit_19(subject: &Subject) -> Checked {
    let settings = Settings { wall_limit: Some(WALL_LIMIT), lasts: secs(1), ..Settings::default() };
    let ran = run_with(subject, &settings, &[Step::Yield(u32::MAX)])?;
    ran.fails("it yields again and again, for longer than its limit").map(drop)
}

fn testkit_20(subject: &Subject) -> Checked {
    match run_in_child(subject, BLOCKED)? {
        Some((false, told)) => match told.split_once(BLOCKS) {
            Some((_, words)) if !words.trim().is_empty() => Ok(()),
            Some(_) => Err(Verdict::fail("a word on why the process has ended", "none")),
            None => Err(Verdict::fail("that the test runs to its blocking call", "it ends before")),
        },
        Some((true, _)) => Err(Verdict::fail("that the test fails", "it passes")),
        None => Err(Verdict::fail("that the test is ended at its limit", "it goes on")),
    }
}

/// The longest time without an await.
const BLOCK_LIMIT: Duration = ms(100);

fn blocking(subject: &Subject, steps: &[Step]) -> Checked<Ran> {
    let settings = Settings { block_limit: Some(BLOCK_LIMIT), lasts: secs(10), ..Settings::default() };
    run_with(subject, &settings, steps)
}

fn testkit_21(subject: &Subject) -> Checked {
    let computes = Step::Spawn(1, vec![Step::Compute(ms(200))]);
    let ran = blocking(subject, &[Step::Sleep(ms(1)), computes, Step::Join(1), Step::Sleep(ms(1))])?;
    ran.fails("a task computes for 200 ms, and 100 ms are allowed").map(drop)
}

fn testkit_22(subject: &Subject) -> Checked {
    let turns = (0..40).flat_map(|_| [Step::Compute(ms(5)), Step::Sleep(ms(1))]);
    let steps: Vec<Step> = turns.chain([Step::Note(1)]).collect();
    blocking(subject, &steps)?.notes(&[(ms(40), 1)])
}
