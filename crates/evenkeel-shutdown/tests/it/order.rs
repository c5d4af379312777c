//! Stops in phases against an exact model of the time that each step has.

use std::{collections::BTreeMap, time::Duration};

use evenkeel_shutdown::{Outcome, Shutdown};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::sleep;

use crate::{
    fixtures::{Stray, carry, work},
    ms,
};

// Work takes 3 ms more than a multiple of 10, what is reserved are multiples of 10, and the abort comes at 7: with at
// most eight steps no two of these ever come at the same instant.

/// The time that the parts of a phase need to stop; `None` never ends.
#[derive(Clone, Debug)]
struct Phase {
    reserve: Duration,
    tasks: Vec<Option<Duration>>,
    guards: Vec<Option<Duration>>,
    clean_ups: Vec<Option<Duration>>,
}

#[derive(Clone, Debug)]
struct Program {
    pre_stop: Duration,
    /// More than the reserve.
    spare: Duration,
    phases: Vec<Phase>,
    /// After the request to stop, if it comes.
    abort: Option<Duration>,
}

const ASKED: Duration = ms(1_000);

impl Program {
    fn grace(&self) -> Duration {
        let reserved = self.phases.iter().map(|phase| 2 * phase.reserve).sum::<Duration>();
        self.pre_stop + reserved + self.spare
    }
}

fn program() -> impl Strategy<Value = Program> {
    let needs = || prop_oneof![4 => (0..200_u64).prop_map(|n| Some(ms(n * 10 + 3))), 1 => Just(None)];
    let some = move || prop::collection::vec(needs(), 0..3);
    let phase = (1..100_u64, some(), some(), some()).prop_map(|(reserve, tasks, guards, clean_ups)| Phase {
        reserve: ms(reserve * 10),
        tasks,
        guards,
        clean_ups,
    });
    let abort = prop::option::weighted(0.3, (0..300_u64).prop_map(|n| ms(n * 10 + 7)));
    (0..50_u64, 0..200_u64, prop::collection::vec(phase, 1..=4), abort).prop_map(
        |(pre_stop, spare, phases, abort)| Program {
            pre_stop: ms(pre_stop * 10),
            spare: ms(spare * 10),
            phases,
            abort,
        },
    )
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Finished,
    Aborted,
    Held,
    NotReached,
}

/// The outcome and the age of everything, and the time of the end.
#[derive(Debug, Default, PartialEq)]
struct Stopped {
    ends: BTreeMap<String, (End, Duration)>,
    at: Duration,
}

fn model(program: &Program) -> Stopped {
    let abort = program.abort.unwrap_or(Duration::MAX);
    let mut stopped = Stopped::default();
    // The steps that are not empty: their parts, and their reserves.
    let mut steps = Vec::new();
    for (index, phase) in program.phases.iter().enumerate() {
        let named = |kind: &'static str, needs: &[Option<Duration>]| -> Vec<_> {
            needs.iter().enumerate().map(|(n, needs)| (kind, format!("{index} {kind} {n}"), *needs)).collect()
        };
        let mut drain = named("task", &phase.tasks);
        // The task that takes the guards.
        drain.push(("task", format!("{index} carrier"), Some(ms(0))));
        drain.extend(named("guard", &phase.guards));
        steps.push((drain, phase.reserve));
        if !phase.clean_ups.is_empty() {
            steps.push((named("clean-up", &phase.clean_ups), phase.reserve));
        }
    }
    let mut now = program.pre_stop.min(abort);
    for (index, (parts, _)) in steps.iter().enumerate() {
        let reserved: Duration = steps[index + 1..].iter().map(|(_, reserve)| *reserve).sum();
        let until = (program.grace() - reserved).min(abort);
        let begun = now;
        for (kind, name, needs) in parts {
            let end = needs.map_or(Duration::MAX, |needs| begun.saturating_add(needs));
            let (how, at) = match *kind {
                _ if begun == abort => (End::NotReached, begun),
                "guard" if end > until => (End::Held, until),
                _ if end > until => (End::Aborted, until),
                _ => (End::Finished, end),
            };
            now = now.max(at);
            // Clean-ups begin with their step, tasks and guards with the program.
            let after = if *kind == "clean-up" { at - begun } else { ASKED + at };
            if (*kind, how) != ("guard", End::Finished) {
                stopped.ends.insert(name.clone(), (how, after));
            }
        }
    }
    stopped.at = ASKED + now;
    stopped
}

async fn run(program: Program, world: World) -> Stopped {
    let stray = Stray::default();
    let (mut shutdown, stop) = Shutdown::manual();
    shutdown = shutdown.grace(program.grace()).pre_stop(program.pre_stop);
    for (index, phase) in program.phases.into_iter().enumerate() {
        shutdown = shutdown.phase(index.to_string()).reserve(phase.reserve);
        let (handle, stray) = (shutdown.handle(), stray.clone());
        let named = |kind: &'static str, needs: Vec<Option<Duration>>| -> Vec<_> {
            needs.into_iter().enumerate().map(|(n, needs)| (format!("{index} {kind} {n}"), needs)).collect()
        };
        for (name, needs) in named("task", phase.tasks) {
            shutdown = shutdown.task(name, async move |stop| {
                stop.draining().await;
                work(needs).await;
            });
        }
        let guards = named("guard", phase.guards);
        shutdown = shutdown
            .task(format!("{index} carrier"), async move |stop| carry(handle, stop, guards, stray).await);
        for (name, needs) in named("clean-up", phase.clean_ups) {
            shutdown = shutdown.on_stop(name, async move || work(needs).await);
        }
    }
    let triggers = async {
        sleep(ASKED).await;
        stop.drain("drain");
        if let Some(abort) = program.abort {
            sleep(abort).await;
            stop.abort("abort");
        }
    };
    let running = async {
        let report = shutdown.run().await;
        (report, world.elapsed())
    };
    let ((report, at), ()) = tokio::join!(running, triggers);
    let hung = report.hung().count();
    let ends: BTreeMap<_, _> = report
        .tasks
        .into_iter()
        .map(|task| {
            let end = match task.outcome {
                Outcome::Finished => End::Finished,
                Outcome::Aborted => End::Aborted,
                Outcome::Held => End::Held,
                Outcome::NotReached => End::NotReached,
                outcome => panic!("{outcome}"),
            };
            (task.name.into_owned(), (end, task.after))
        })
        .collect();
    assert_eq!(ends.values().filter(|(end, _)| matches!(end, End::Aborted | End::Held)).count(), hung);
    Stopped { ends, at }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_stop_does_what_the_model_does(program in program()) {
        let expected = model(&program);
        prop_assert_eq!(World::run(async |world| run(program, world).await), expected);
    }
}
