//! Runs against an exact model of their promises.

use std::time::Duration;

use evenkeel_shutdown::{BoxError, Outcome, Reason, Shutdown};
use evenkeel_testkit::{World, took};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use crate::{Alive, alive, ms, throw};

// The times exclude that two events of different kinds ever come at the same instant: tasks end at whole
// seconds, the program is stopped at half ones, a drain takes 3 ms more than a multiple of 10, the grace period 7.

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Finished,
    Failed,
    Panicked,
    Aborted,
    /// Aborted without a drain before.
    NotReached,
}

#[derive(Clone, Debug)]
struct Task {
    /// When it ends by itself, and how.
    at: Duration,
    end: End,
    /// How long it takes to drain, if it listens.
    drains_in: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Program {
    tasks: Vec<Task>,
    drain_at: Duration,
    abort_at: Duration,
    grace: Duration,
}

fn program() -> impl Strategy<Value = Program> {
    let end = prop_oneof![4 => Just(End::Finished), 1 => Just(End::Failed), 1 => Just(End::Panicked)];
    let drains_in = prop::option::of((0..300_u64).prop_map(|n| ms(n * 10 + 3)));
    let task = (end, drains_in).prop_map(|(end, drains_in)| Task { at: ms(0), end, drains_in });
    // The order in which the tasks end.
    let tasks = prop::collection::vec(task, 0..8).prop_flat_map(|tasks| {
        let order = Just((1..=tasks.len() as u64).collect::<Vec<_>>()).prop_shuffle();
        (Just(tasks), order).prop_map(|(mut tasks, order)| {
            tasks.iter_mut().zip(order).for_each(|(task, second)| task.at = ms(second * 1000));
            tasks
        })
    });
    (tasks, 0..10_u64, 0..20_u64, 0..400_u64).prop_map(|(tasks, drain, abort, grace)| Program {
        tasks,
        drain_at: ms(drain * 1000 + 500),
        abort_at: ms(abort * 1000 + 250),
        grace: ms(grace * 10 + 7),
    })
}

#[derive(Debug, PartialEq)]
struct Expected {
    took: Duration,
    reason: Reason,
    tasks: Vec<(End, Duration)>,
}

fn model(program: &Program) -> Expected {
    let failed = |task: &&Task| task.end != End::Finished;
    let first =
        program.tasks.iter().enumerate().filter(|(_, task)| failed(task)).min_by_key(|(_, task)| task.at);
    let mut drain = (program.drain_at, Reason::Stopped("drain".into()));
    if program.abort_at < drain.0 {
        drain = (program.abort_at, Reason::Stopped("abort".into()));
    }
    if let Some((index, task)) = first.filter(|(_, task)| task.at < drain.0) {
        drain = (task.at, Reason::Failed(index.to_string().into()));
    }
    let abort = program.abort_at.min(drain.0 + program.grace);
    let ends = |task: &Task| {
        let mut end = (task.end, task.at);
        if let Some(drains_in) = task.drains_in.filter(|drains_in| drain.0 + *drains_in < end.1) {
            end = (End::Finished, drain.0 + drains_in);
        }
        let aborted = if abort == drain.0 { End::NotReached } else { End::Aborted };
        if abort < end.1 { (aborted, abort) } else { end }
    };
    let tasks: Vec<_> = program.tasks.iter().map(ends).collect();
    let took = tasks.iter().map(|(_, at)| *at).max().unwrap_or_default();
    // A failure is its own drain, also when it is the last thing to happen.
    let reason = if drain.0 <= took { drain.1 } else { Reason::Ended };
    Expected { took, reason, tasks }
}

async fn run(program: Program) -> Expected {
    let left = Alive::default();
    let (mut shutdown, stop) = Shutdown::manual();
    shutdown = shutdown.grace(program.grace);
    for (index, task) in program.tasks.into_iter().enumerate() {
        let left = left.clone();
        shutdown = shutdown.task(index.to_string(), async move |stop| {
            let _left = left;
            let by_itself = sleep(task.at);
            let drained = async {
                stop.draining().await;
                match task.drains_in {
                    Some(time) => sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = by_itself => match task.end {
                    End::Failed => Err::<(), BoxError>("failed".into()),
                    End::Panicked => throw("panicked"),
                    _ => Ok(()),
                },
                () = drained => Ok(()),
            }
        });
    }
    let triggers = async {
        let drain = async {
            sleep(program.drain_at).await;
            stop.drain("drain");
        };
        let abort = async {
            sleep(program.abort_at).await;
            stop.abort("abort");
        };
        tokio::join!(drain, abort);
        std::future::pending::<()>().await;
    };
    let (report, took) = tokio::select! {
        done = took(timeout(ms(1_000_000), shutdown.run())) => done,
        () = triggers => unreachable!(),
    };
    let report = report.expect("a run ends");
    assert_eq!(alive(&left), 0, "a destructor has not run");
    let ends = report.tasks.iter().map(|task| {
        let end = match task.outcome {
            Outcome::Finished => End::Finished,
            Outcome::Failed(_) => End::Failed,
            Outcome::Panicked(_) => End::Panicked,
            Outcome::Aborted => End::Aborted,
            Outcome::NotReached => End::NotReached,
            _ => unreachable!(),
        };
        (end, task.after)
    });
    let tasks: Vec<_> = ends.collect();
    let clean = tasks.iter().all(|(end, _)| *end == End::Finished);
    assert_eq!(report.exit_code(), u8::from(!clean));
    assert_eq!(report.hung().count(), tasks.iter().filter(|(end, _)| *end == End::Aborted).count());
    Expected { took, reason: report.reason, tasks }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_run_does_what_the_model_does(program in program()) {
        let expected = model(&program);
        prop_assert_eq!(World::run(async |_| run(program).await), expected);
    }
}
