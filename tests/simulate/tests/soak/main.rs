//! Ten thousand seeds of each program. It prints figures, and is run in release by `cargo xtask soak`.

use evenkeel_simulate::{
    Range, Subject, Summary,
    harvest::{EVENTS, Harvest},
    limits::Limits,
    pipeline::Pipelines,
    sweep,
};

const SEEDS: u64 = 10_000;

#[expect(clippy::print_stdout, reason = "the figures are what a soak is for")]
fn ten_thousand_seeds(subject: &impl Subject) -> Summary {
    let summary = sweep(subject, Range { from: 1, seeds: SEEDS, twice: false, stops: false });
    let name = subject.name();
    println!("{name}: {SEEDS} seeds, {:.0} per minute; {:?}", summary.seeds_per_minute(), summary.reached);
    assert!(summary.failures.is_empty(), "{name}: {:?}", summary.failures);
    summary
}

#[test]
#[ignore = "soak"]
fn ten_thousand_seeds_of_pipelines() {
    let _summary = ten_thousand_seeds(&Pipelines);
}

#[test]
#[ignore = "soak"]
fn ten_thousand_seeds_of_limits() {
    let _summary = ten_thousand_seeds(&Limits);
}

#[test]
#[ignore = "soak"]
fn ten_thousand_seeds_of_harvest() {
    let reached = ten_thousand_seeds(&Harvest).reached;
    let missed: Vec<_> =
        EVENTS.iter().filter(|event| reached.get(**event).is_none_or(|times| *times == 0)).collect();
    assert!(missed.is_empty(), "no seed has {missed:?}");
}

#[test]
#[ignore = "soak"]
fn a_hundred_seeds_of_harvest_have_the_same_trace_twice() {
    let summary = sweep(&Harvest, Range { from: 1, seeds: 100, twice: true, stops: false });
    assert!(summary.failures.is_empty(), "{:?}", summary.failures);
}
