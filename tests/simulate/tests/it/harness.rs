//! The harness: scripts, traces, kills, and failures that are made smaller.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_simulate::{Process, Random, Range, Script, Subject, Trace, note, run, shrink, sweep};
use evenkeel_testkit::World;
use tokio::{task::yield_now, time::sleep};

/// A program that breaks its promise if it has a fault above this, and at least this many items.
struct Breaks {
    fault: u64,
    items: u64,
}

impl Subject for Breaks {
    type Fault = u64;

    fn name(&self) -> &'static str {
        "breaks"
    }

    fn draw(&self, random: &mut Random) -> Script<u64> {
        let mut script = Script::new();
        script.set("items", random.within(1..=100), 1);
        script.faults = (0..random.below(10)).map(|_| random.below(100)).collect();
        script
    }

    async fn simulate(&self, _: u64, script: &Script<u64>, trace: &Trace) -> Result<(), String> {
        sleep(Duration::from_millis(1)).await;
        note!(trace, "{:?}", script.faults);
        trace.reached("runs");
        let broken = script.faults.iter().find(|fault| **fault >= self.fault);
        match broken {
            Some(fault) if script.size("items") >= self.items => Err(format!("broken by {fault}")),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_range_finds_the_seeds_that_fail_and_counts_the_events_of_all() {
    let subject = Breaks { fault: 97, items: 80 };
    let range = Range { from: 7, seeds: 300, twice: true, stops: false };
    let summary = sweep(&subject, range);
    assert_eq!((summary.seeds, summary.reached["runs"]), (300, 300));
    let fails = |seed: &u64| {
        let script = subject.script(*seed);
        script.size("items") >= 80 && script.faults.iter().any(|fault| *fault >= 97)
    };
    let expected: Vec<u64> = (7..307).filter(fails).collect();
    assert!((1..20).contains(&expected.len()), "{expected:?}");
    assert_eq!(summary.failures.iter().map(|(seed, _)| *seed).collect::<Vec<u64>>(), expected);
    assert_eq!(sweep(&subject, range).hash, summary.hash);
    let stopped = sweep(&subject, Range { stops: true, ..range });
    assert!(stopped.seeds < 300 && !stopped.failures.is_empty());
    // It gives up after a number of failures.
    let all = sweep(&Breaks { fault: 0, items: 1 }, range);
    assert!(all.seeds < 300 && all.failures.len() >= 20);
}

#[test]
fn a_failure_is_made_as_small_as_it_gets() {
    let subject = Breaks { fault: 90, items: 50 };
    let (seed, why) =
        sweep(&subject, Range { from: 1, seeds: 200, twice: false, stops: true }).failures.remove(0);
    let shrunk = shrink(&subject, seed, why);
    assert_eq!((shrunk.script.size("items"), shrunk.script.faults.len()), (50, 1));
    assert_eq!(shrunk.why, format!("broken by {}", shrunk.script.faults[0]));
    let text = shrunk.script.to_string();
    assert_eq!(text, format!("  sizes: items 50\n  fault: {}", shrunk.script.faults[0]));
    assert!(run(&subject, seed, &shrunk.script, false).result.is_err());
}

/// A program with a fault of the simulation itself.
struct Bad(fn() -> String);

impl Subject for Bad {
    type Fault = ();

    fn name(&self) -> &'static str {
        "bad"
    }

    fn draw(&self, _: &mut Random) -> Script<()> {
        Script::new()
    }

    async fn simulate(&self, _: u64, _: &Script<()>, trace: &Trace) -> Result<(), String> {
        note!(trace, "{}", (self.0)());
        match (self.0)().as_str() {
            "hangs" => std::future::pending().await,
            "waits" => loop {
                sleep(Duration::from_secs(60)).await;
            },
            "leaks" => drop(tokio::spawn(std::future::pending::<()>())),
            "panics" => panic!("for a reason"),
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn leaks_panics_and_waits_without_an_end_are_failures() {
    let why = |text: fn() -> String| run(&Bad(text), 1, &Script::new(), false).result.unwrap_err();
    assert!(why(|| "hangs".to_owned()).contains("something waits for ever"));
    assert!(why(|| "waits".to_owned()).contains("something waits for ever"));
    assert!(why(|| "leaks".to_owned()).contains("1 task(s) still alive"));
    assert_eq!(why(|| "panics".to_owned()), "for a reason");
}

#[test]
fn a_trace_that_differs_is_a_failure_that_shows_the_line() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let subject = Bad(|| format!("run {}", CALLS.fetch_add(1, Relaxed)));
    let summary = sweep(&subject, Range { from: 1, seeds: 1, twice: true, stops: false });
    assert!(
        summary.failures[0].1.starts_with("two runs of this seed differ in line 0"),
        "{:?}",
        summary.failures
    );
    let same = Bad(|| "the same".to_owned());
    assert_eq!(sweep(&same, Range { from: 1, seeds: 9, twice: true, stops: false }).failures, []);
}

#[test]
fn a_trace_has_the_virtual_time_of_each_line() {
    World::run(async |_| {
        let trace = Trace::new(true);
        note!(trace, "one");
        sleep(Duration::from_millis(1500)).await;
        note!(trace, "two {}", 2);
        assert_eq!(trace.take_lines(), ["      0.000000 one", "      1.500000 two 2"]);
    });
}

#[test]
fn a_process_has_no_effect_from_its_kill_on() {
    for killed_at in 1..8 {
        World::run(async |_| {
            let (process, effects) = (Process::new(Some(killed_at)), Arc::new(AtomicU32::new(0)));
            let counted = Arc::clone(&effects);
            let work = process.runs(async move {
                for _ in 0..3 {
                    counted.fetch_add(1, Relaxed);
                    yield_now().await;
                }
            });
            let task = tokio::spawn(work);
            process.killed().await;
            sleep(Duration::from_secs(1)).await;
            // Each poll is a step, and so is the result; the task hangs then.
            let expected = u32::try_from(killed_at - 1).unwrap().min(3);
            assert_eq!(effects.load(Relaxed), expected, "killed at step {killed_at}");
            assert!(process.is_dead() && !process.step() && (!task.is_finished() || killed_at > 5));
            task.abort();
        });
        if killed_at == 5 {
            break;
        }
    }
}

#[test]
fn a_process_is_seen_to_reach_a_step() {
    World::run(async |_| {
        let process = Process::new(None);
        let seen = process.clone();
        let waiting = tokio::spawn(async move {
            seen.reaches(3).await;
            seen.steps()
        });
        for _ in 0..2 {
            assert!(process.step());
            yield_now().await;
            assert!(!waiting.is_finished());
        }
        assert!(process.step());
        assert_eq!(waiting.await.unwrap(), 3);
    });
}

#[test]
fn a_size_that_is_set_again_is_replaced() {
    let mut script = Script::<u64>::new();
    script.set("items", 7, 1);
    script.set("items", 2, 1);
    assert_eq!(script.size("items"), 2);
    let smaller: Vec<u64> = script.smaller().iter().map(|script| script.size("items")).collect();
    assert_eq!(smaller, [1]);
}

#[test]
fn random_numbers_of_a_thing_do_not_depend_on_others() {
    let numbers = |thing: &[u64]| {
        let mut random = Random::of(7, thing);
        [(); 4].map(|()| random.number())
    };
    assert_eq!(numbers(&[1, 2]), numbers(&[1, 2]));
    assert_ne!(numbers(&[1, 2]), numbers(&[2, 1]));
    let mut random = Random::new(1);
    assert!((0..1000).all(|_| (3..=5).contains(&random.within(3..=5)) && random.below(7) < 7));
    assert!((0..1000).all(|_| random.millis(9) < Duration::from_millis(10)));
    let happened = (0..10_000).filter(|_| random.happens(250)).count();
    assert!(happened.abs_diff(2500) < 300, "{happened}");
}
