//! The virtual clock, which moves by itself.

use std::thread;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TESTKIT-01" alone testkit_01 "A sleep ends exactly when it is due."),
    rule!(Should "TESTKIT-02" alone testkit_02 "A sleep costs no real time, however long it is."),
    rule!(Must "TESTKIT-03" alone testkit_03 "Timers fire in the order of their deadlines."),
    rule!(Should "TESTKIT-04" alone testkit_04 "Timers that are due at one time fire in the order in which they were set."),
    rule!(Must "TESTKIT-05" alone testkit_05 "The clock stands still while a task can run."),
    rule!(Must "TESTKIT-06" alone testkit_06 "The clock stands still while a blocking call runs."),
    rule!(Must "TESTKIT-07" alone testkit_07 "The clock stands still while bytes are on their way over the loopback."),
    rule!(Must "TESTKIT-08" alone testkit_08 "An interval keeps its times, whatever else has timers."),
    rule!(Must "TESTKIT-09" alone testkit_09 "Weeks after the start, a sleep is as exact as at the start.")
        .after("TESTKIT-02"),
    rule!(Must "TESTKIT-10" alone testkit_10 "A test begins at zero, with nothing of the test before it."),
    rule!(Must "TESTKIT-11" threads testkit_11 "Tests beside each other have clocks of their own."),
];

/// Shorter than the longest timer of Node, 2^31 ms.
const WEEKS: Duration = secs(20 * 24 * 60 * 60);

fn testkit_01(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    let steps = [ms(1), ms(999), secs(9)].into_iter().zip(1..);
    let steps = steps.flat_map(|(time, number)| [Step::Sleep(time), Step::Note(number)]);
    let ran = run(subject, secs(11), &steps.collect::<Vec<_>>())?;
    ran.notes(&[(ms(1), 1), (secs(1), 2), (secs(10), 3)])
}

fn testkit_02(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    let ran = run(subject, WEEKS + secs(1), &[Step::Sleep(WEEKS), Step::Note(1)])?;
    ran.notes(&[(WEEKS, 1)])
}

fn testkit_03(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    let sleeper =
        |seconds| Step::Spawn(seconds, vec![Step::Sleep(secs(seconds.into())), Step::Note(seconds)]);
    let mut steps: Vec<Step> = [3, 1, 4, 2].map(sleeper).into();
    steps.push(Step::Sleep(secs(5)));
    run(subject, secs(6), &steps)?.notes(&[(secs(1), 1), (secs(2), 2), (secs(3), 3), (secs(4), 4)])
}

fn testkit_04(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    let sleeper = |number| Step::Spawn(number, vec![Step::Sleep(secs(1)), Step::Note(number)]);
    let steps: Vec<Step> = (1..=8).map(sleeper).chain([Step::Sleep(secs(2))]).collect();
    let wanted: Vec<_> = (1..=8).map(|number| (secs(1), number)).collect();
    run(subject, secs(3), &steps)?.notes(&wanted)
}

/// Work within a millisecond: none of it takes virtual time, so it is in time.
fn in_time(subject: &Subject, work: Vec<Step>) -> Checked {
    run(subject, secs(1), &[Step::Timeout(ms(1), work), Step::Note(1)])?.notes(&[(Duration::ZERO, 1)])
}

fn testkit_05(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    in_time(subject, vec![Step::Yield(1000)])
}

fn testkit_06(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    in_time(subject, vec![Step::Blocking(ms(20))])
}

fn testkit_07(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    needs(subject, Capability::Sockets)?;
    in_time(subject, vec![Step::Loopback(1 << 20)])
}

fn testkit_08(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    let beside = (0..30).flat_map(|_| [Step::Sleep(ms(30)), Step::Yield(3)]).collect();
    let steps = [Step::Spawn(1, beside), Step::Ticks(ms(100), 10), Step::Join(1)];
    let wanted: Vec<_> = (0..10).map(|tick| (ms(100) * tick, Event::Tick(tick))).collect();
    run(subject, secs(2), &steps)?.has(&wanted)
}

/// Clocks of floats have no nanoseconds then; microseconds they have.
fn testkit_09(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    let steps = [Step::Sleep(WEEKS), Step::Note(1), Step::Sleep(ms(1)), Step::Note(2)];
    let ran = run(subject, WEEKS + secs(1), &steps)?;
    ran.passes()?;
    let micros = |time: Duration| (time + Duration::from_nanos(500)).as_micros();
    let times = ran.record.pick(|at, _| Some(micros(at)));
    ran.record.equal("microseconds", times, vec![micros(WEEKS), micros(WEEKS + ms(1))])
}

fn testkit_10(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    // Whether the kit fails it for what it leaves is another rule's matter.
    let left = run(subject, secs(9), &[Step::Spawn(1, vec![Step::Sleep(secs(6)), Step::Note(7)])])?;
    let events = |ran: &Ran| ran.record.pick(|_, event| Some(*event)).len();
    let before = events(&left);
    let next = run(subject, secs(10), &[Step::Note(1), Step::Sleep(secs(9)), Step::Note(2)])?;
    next.has(&[noted(Duration::ZERO, 1), noted(secs(9), 2)])?;
    next.record.equal("events of the test before, during this one:", events(&left) - before, 0)
}

fn testkit_11(subject: &Subject) -> Checked {
    needs(subject, Capability::VirtualTime)?;
    let test = |step: Duration| {
        let steps = (1..=20).flat_map(|number| [Step::Sleep(step), Step::Note(number)]);
        let wanted: Vec<_> = (1..=20).map(|number| (step * number, number)).collect();
        run(subject, secs(10), &steps.collect::<Vec<_>>())?.notes(&wanted)
    };
    let verdicts: Vec<Checked> = thread::scope(|scope| {
        let tests: Vec<_> = (1..=4).map(|number| scope.spawn(move || test(ms(7) * number))).collect();
        let join = |test: thread::ScopedJoinHandle<'_, Checked>| {
            test.join().unwrap_or_else(|payload| Err(Verdict::fail("no panic", panic_message(&*payload))))
        };
        tests.into_iter().map(join).collect()
    });
    verdicts.into_iter().collect()
}
