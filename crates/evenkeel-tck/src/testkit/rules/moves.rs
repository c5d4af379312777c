//! A clock in the hands of the test: moved, held, and settled.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TESTKIT-12" alone testkit_12 "A move of the clock takes exactly its time."),
    rule!(Must "TESTKIT-13" alone testkit_13 "A timer that is due within a move fires at its own time."),
    rule!(Must "TESTKIT-14" alone testkit_14 "After a move, the tasks whose timers were due have run."),
    rule!(Should "TESTKIT-15" alone testkit_15 "Many small moves are the same as a large one."),
    rule!(Must "TESTKIT-16" alone testkit_16 "A clock that is held stands still, though timers alone are left."),
    rule!(Must "TESTKIT-17" alone testkit_17 "After a settle all that could run has run, and no time has passed."),
];

fn testkit_12(subject: &Subject) -> Checked {
    needs(subject, Capability::Moves)?;
    let steps = [Step::Move(ms(1500)), Step::Note(1), Step::Move(secs(30)), Step::Note(2)];
    run(subject, secs(60), &steps)?.notes(&[(ms(1500), 1), (ms(31_500), 2)])
}

fn testkit_13(subject: &Subject) -> Checked {
    needs(subject, Capability::Moves)?;
    let timers = [Step::Sleep(ms(100)), Step::Note(1), Step::Sleep(ms(200)), Step::Note(2)];
    let steps = [Step::Spawn(1, timers.into()), Step::Yield(1), Step::Move(secs(1)), Step::Join(1)];
    run(subject, secs(2), &steps)?.notes(&[(ms(100), 1), (ms(300), 2)])
}

fn testkit_14(subject: &Subject) -> Checked {
    needs(subject, Capability::Moves)?;
    let task = vec![Step::Sleep(secs(1)), Step::Yield(10), Step::Note(1)];
    let steps = [Step::Spawn(1, task), Step::Yield(1), Step::Move(secs(1)), Step::Note(2), Step::Join(1)];
    run(subject, secs(2), &steps)?.notes(&[(secs(1), 1), (secs(1), 2)])
}

fn testkit_15(subject: &Subject) -> Checked {
    needs(subject, Capability::Moves)?;
    let ticks = |moves: &[Step]| -> Checked<Vec<(Duration, Event)>> {
        let start = [Step::Spawn(1, vec![Step::Ticks(ms(7), 30)]), Step::Yield(1)];
        let steps: Vec<Step> = start.into_iter().chain(moves.to_vec()).chain([Step::Abort(1)]).collect();
        let ran = run(subject, secs(1), &steps)?;
        ran.passes()?;
        Ok(ran.record.pick(|at, event| Some((at, *event))))
    };
    let (small, large) = (ticks(&vec![Step::Move(ms(1)); 100])?, ticks(&[Step::Move(ms(100))])?);
    // The first tick is at once, and needs no move.
    if small.len() < 2 {
        return Err(Verdict::fail("ticks each 7 ms of 100", format_args!("{small:?}")));
    }
    if small == large {
        return Ok(());
    }
    Err(Verdict::fail(format_args!("the ticks of one move of 100 ms: {large:?}"), format_args!("{small:?}")))
}

fn testkit_16(subject: &Subject) -> Checked {
    needs(subject, Capability::Hold)?;
    let steps = [
        Step::Hold,
        Step::Timeout(ms(1), vec![Step::Thread(ms(20))]),
        Step::Note(1),
        Step::Release,
        Step::Sleep(ms(1)),
        Step::Note(2),
    ];
    run(subject, secs(1), &steps)?.notes(&[(Duration::ZERO, 1), (ms(1), 2)])
}

fn testkit_17(subject: &Subject) -> Checked {
    needs(subject, Capability::Settle)?;
    let task = vec![Step::Yield(50), Step::Note(1), Step::Sleep(ms(1)), Step::Note(2)];
    let steps = [Step::Spawn(1, task), Step::Settle, Step::Note(3), Step::Join(1)];
    run(subject, secs(1), &steps)?.notes(&[(Duration::ZERO, 1), (Duration::ZERO, 3), (ms(1), 2)])
}
