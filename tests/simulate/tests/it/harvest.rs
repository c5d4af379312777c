//! Faults of harvest that a seed has found, each with the smallest script that shows it.

use evenkeel_simulate::{
    Script,
    harvest::{Answer, Fault, Harvest, NetworkFault, StatementFault},
    run,
};

/// Returns sizes of an ordinary run, and no faults.
fn sizes(concurrency: u64, rate: u64, latency: u64) -> Script<Fault> {
    let mut script = Script::new();
    script.set("users", 12, 0);
    script.set("page size", 5, 1);
    script.set("concurrency", concurrency, 1);
    script.set("rate", rate, 0);
    script.set("latency", latency, 0);
    script.set("latency is known", 0, 0);
    script.set("statement", 500, 0);
    script.set("grace", 1000, 0);
    script
}

fn holds(script: &Script<Fault>) {
    for seed in 1..=2 {
        let ran = run(&Harvest, seed, script, false);
        assert_eq!(ran.result, Ok(()), "seed {seed}\n{script}");
    }
}

#[test]
fn calls_that_were_stuck_do_not_exceed_the_rate_when_they_end() {
    let mut script = sizes(4, 20, 10);
    // The calls of all slots hang for the time of an attempt, while the permits of the others come.
    script.faults =
        (3..8).map(|document| Fault::Answer { document, call: 0, answer: Answer::Stall }).collect();
    holds(&script);
}

#[test]
fn a_failover_ends_no_run() {
    for time in [0, 300, 1400] {
        let mut script = sizes(6, 0, 100);
        script.faults = vec![Fault::Failover { at: 150, rejects: 2, time }];
        holds(&script);
    }
}

#[test]
fn one_fault_of_the_store_at_any_statement_ends_no_run() {
    let faults = [
        StatementFault::Conflict,
        StatementFault::Killed,
        StatementFault::Reset,
        StatementFault::LostAnswer,
        StatementFault::HalfAnswer,
    ];
    for (number, fault) in (1..=60).step_by(3).zip(faults.into_iter().cycle()) {
        let mut script = sizes(6, 0, 10);
        script.faults = vec![Fault::Statement { number, fault }];
        let ran = run(&Harvest, 1, &script, false);
        assert_eq!(ran.result, Ok(()), "{script}");
    }
}

#[test]
fn a_network_that_comes_back_costs_no_document_that_is_stored() {
    for (index, fault) in
        [NetworkFault::Reset, NetworkFault::Refuse, NetworkFault::Partition].into_iter().enumerate()
    {
        let mut script = sizes(6, 0, 100);
        let at = 100 * (index as u64 + 1);
        script.faults = vec![
            Fault::Network { at, time: 1000, fault, is_database: false },
            Fault::Kill { process: 0, step: 150, down: 100 },
        ];
        holds(&script);
    }
}
