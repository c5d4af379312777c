//! Panics of a test and of its tasks, and tests within runtimes.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TESTKIT-30" alone testkit_30 "A panic of the test fails it, with its text."),
    rule!(Must "TESTKIT-31" alone testkit_31 "A panic of a task that nobody joins fails the test."),
    rule!(Must "TESTKIT-32" alone testkit_32 "A panic that the test expects and joins does not fail it."),
    rule!(Must "TESTKIT-33" alone testkit_33 "A test inside a runtime is refused, or runs as it should.")
        .needs(Needs::BESIDE),
];

const TEXT: &str = "the stock is negative";

fn testkit_30(subject: &Subject) -> Checked {
    needs(subject, Capability::Tests)?;
    let ran = run(subject, secs(2), &[Step::Sleep(secs(1)), Step::Panic(TEXT.to_owned())])?;
    let told = ran.fails("it panics")?;
    ran.record.require(told.contains(TEXT), format_args!("{TEXT:?}"), format_args!("{told:?}"))
}

fn testkit_31(subject: &Subject) -> Checked {
    needs(subject, Capability::Tests)?;
    let ran =
        run(subject, secs(2), &[Step::Spawn(1, vec![Step::Panic(TEXT.to_owned())]), Step::Sleep(secs(1))])?;
    ran.fails("a task of it has panicked").map(drop)
}

fn testkit_32(subject: &Subject) -> Checked {
    needs(subject, Capability::Tests)?;
    let settings = Settings { panics: 1, lasts: secs(1), ..Settings::default() };
    let ran =
        run_with(subject, &settings, &[Step::Spawn(1, vec![Step::Panic(TEXT.to_owned())]), Step::Join(1)])?;
    ran.has(&[(Duration::ZERO, Event::Panicked(1))])
}

fn testkit_33(subject: &Subject) -> Checked {
    needs(subject, Capability::Tests)?;
    let kit = configure(subject, &Settings { lasts: secs(2), ..Settings::default() })?;
    let outer = runtime(Builder::new_current_thread().enable_all())?;
    let ran = outer.block_on(async { run_on(&*kit, &[Step::Sleep(secs(1)), Step::Note(1)]) });
    // A kit that refuses it says so.
    match &ran.failure {
        Some(text) => ran.record.require(!text.is_empty(), "a word on why", "none"),
        None => ran.notes(&[(secs(1), 1)]),
    }
}
