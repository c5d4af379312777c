//! Some seeds of each program. `cargo xtask simulate` runs more of them.

use evenkeel_simulate::{Range, Subject, harvest::Harvest, limits::Limits, pipeline::Pipelines, run, sweep};

/// Runs each seed twice, and compares the traces to the byte.
fn seeds_twice(subject: &impl Subject, seeds: u64) {
    let summary = sweep(subject, Range { from: 1, seeds, twice: true, stops: false });
    assert!(summary.failures.is_empty(), "{:?}", summary.failures);
    let lines = |seed| run(subject, seed, &subject.script(seed), true).lines;
    assert_eq!(lines(1), lines(1));
    assert_ne!(lines(1), lines(2));
}

#[test]
fn a_hundred_seeds_of_pipelines_have_the_same_trace_twice() {
    seeds_twice(&Pipelines, 100);
}

#[test]
fn a_hundred_seeds_of_limits_have_the_same_trace_twice() {
    seeds_twice(&Limits, 100);
}

/// It is slow without optimization; a soak has a hundred.
#[test]
fn some_seeds_of_harvest_have_the_same_trace_twice() {
    seeds_twice(&Harvest, 5);
}

/// Each kind of fault comes often enough to mean something.
#[test]
fn the_seeds_reach_what_they_are_for() {
    let reached = |summary: evenkeel_simulate::Summary, events: &[&str]| {
        for event in events {
            assert!(
                summary.reached.get(event).is_some_and(|times| *times > 0),
                "{event}: {:?}",
                summary.reached
            );
        }
    };
    let range = |seeds| Range { from: 1, seeds, twice: false, stops: false };
    reached(
        sweep(&Pipelines, range(150)),
        &[
            "aborts",
            "crashes of the broker",
            "dead letters",
            "drains",
            "handed back",
            "kills",
            "leases lost",
            "messages lost",
            "panics",
            "pipelines that failed",
            "power losses",
        ],
    );
    reached(
        sweep(&Limits, range(500)),
        &[
            "buckets forgotten",
            "calls that failed",
            "clock jumps",
            "kills",
            "requests dropped",
            "stale answers",
        ],
    );
}
