//! Faults of harvest that a seed has found, each with the smallest script that shows it.

use evenkeel_simulate::{
    Reached, Script,
    harvest::{Answer, Fault, Harvest, Moment, NetworkFault, StatementFault},
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
    script.set("passes", 1, 1);
    script
}

fn holds(script: &Script<Fault>) {
    for seed in 1..=2 {
        reached(seed, script);
    }
}

/// Returns the counts of a run in which all promises hold.
fn reached(seed: u64, script: &Script<Fault>) -> Reached {
    let ran = run(&Harvest, seed, script, false);
    assert_eq!(ran.result, Ok(()), "seed {seed}\n{script}");
    ran.reached
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
fn a_store_that_is_lost_for_two_seconds_ends_no_run() {
    let lost = |at, fault| Fault::Network { at, time: 2000, fault, is_database: true };
    for at in (0..600).step_by(100) {
        for fault in [
            Fault::Failover { at, rejects: 2, time: 2000 },
            lost(at, NetworkFault::Refuse),
            lost(at, NetworkFault::Partition),
        ] {
            let mut script = sizes(6, 0, 100);
            script.faults = vec![Fault::Terminate { at }, fault];
            let reached = reached(at, &script);
            assert!(!reached.contains_key("runs that failed"), "{script}");
        }
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

#[test]
fn a_stop_that_leaves_nothing_is_the_end_of_a_complete_run() {
    let mut complete = 0;
    for after in (0..600).step_by(50) {
        let mut script = sizes(30, 0, 400);
        script.faults = vec![Fault::Stop { process: 0, at: Moment::Time(after), again: None }];
        // A run that says that something is left is followed by one that reads it, and not by one that reads all again.
        let reached = reached(1, &script);
        assert!(reached["calls"] <= 3 + 2 * 12 + 1, "{script}");
        complete += u64::from(reached["processes"] == 1 && reached.contains_key("stops at a time"));
    }
    assert!(complete > 0);
}

#[test]
fn a_kill_behind_the_end_of_a_run_costs_nothing() {
    let mut script = sizes(6, 0, 0);
    script.set("users", 2, 0);
    // The last polls are those of its connections, which end.
    let polls = reached(1, &script)["polls"];
    let mut kills = 0;
    for step in polls - 12..=polls {
        script.faults = vec![Fault::Kill { process: 0, step, down: 10 }];
        kills += reached(1, &script).get("kills behind a run").copied().unwrap_or(0);
    }
    assert!(kills > 0);
}

#[test]
fn sessions_end_behind_a_partition_that_begins_at_the_end() {
    let mut script = sizes(6, 0, 0);
    let lines = run(&Harvest, 1, &script, true).lines;
    let end = lines.iter().find(|line| line.contains(" ends: Ok(Complete)")).expect("it is complete");
    let seconds: f64 =
        end.split_whitespace().next().and_then(|time| time.parse().ok()).expect("it has a time");
    // Its connections are cleaned up, and have not ended.
    let (at, fault) = ((seconds * 1000.0) as u64 + 10, NetworkFault::Partition);
    script.faults = vec![Fault::Network { at, time: 2000, fault, is_database: true }];
    reached(1, &script);
}

#[test]
fn a_document_that_is_missing_may_fail_by_the_network_before() {
    let mut script = sizes(3, 86, 0);
    script.faults = (3..27).map(|document| Fault::Missing { document }).collect();
    script.faults.push(Fault::Network {
        at: 150,
        time: 60_000,
        fault: NetworkFault::Refuse,
        is_database: false,
    });
    holds(&script);
}

#[test]
fn rows_that_a_second_run_cannot_read_stay_as_they_are() {
    let mut script = sizes(6, 0, 10);
    script.set("passes", 2, 1);
    // The network ends in the second pass, and comes back when all its retries are used up.
    for at in (300..900).step_by(200) {
        script.faults =
            vec![Fault::Network { at, time: 60_000, fault: NetworkFault::Refuse, is_database: false }];
        holds(&script);
    }
}
