//! The rules on a real clock, for servers that have one.
//!
//! A rule is the same function in virtual and in real time. On a real clock each of its seconds takes a time of its own,
//! far less than a second for most; what happens may be late, as far as servers and schedulers are, and hardly early.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use evenkeel_base::lock;
use tokio::{runtime::Builder, time::timeout};

use super::{SUITE, Settings};
use crate::{
    Adapter, Finding, Report, Rule, Verdict,
    clock::Clock,
    rule::{Check, verdict_of},
    runtime::runtime,
    verdict::Checked,
};

/// The real time of a second, in milliseconds, of rules without a need of their own.
const SECOND: u64 = 200;

/// The same for rules that take long in virtual time, and for those whose times are not only those of the rule: a client
/// waits longer between two looks at a full server, and gives up a server that is away after seconds. The longest are first.
const SECONDS: [(&str, u64); 25] = [
    ("PIPELINE-24", 50),
    ("PIPELINE-77", 1000),
    ("PIPELINE-51", 100),
    ("PIPELINE-82", 60),
    ("PIPELINE-25", 60),
    ("PIPELINE-32", 60),
    ("PIPELINE-33", 60),
    ("PIPELINE-34", 60),
    ("PIPELINE-35", 60),
    ("PIPELINE-36", 60),
    ("PIPELINE-83", 200),
    ("PIPELINE-84", 100),
    ("PIPELINE-85", 100),
    ("PIPELINE-75", 100),
    ("PIPELINE-74", 200),
    ("PIPELINE-44", 200),
    ("PIPELINE-87", 150),
    ("PIPELINE-18", 1000),
    ("PIPELINE-26", 500),
    ("PIPELINE-27", 150),
    ("PIPELINE-28", 150),
    ("PIPELINE-29", 150),
    ("PIPELINE-30", 150),
    ("PIPELINE-50", 150),
    ("PIPELINE-91", 150),
];

/// The longest time of a rule.
const LIMIT: Duration = Duration::from_secs(100);

/// The tries: how many rules at the same time at most, and how much more slowly.
const TRIES: [(usize, u32); 3] = [(usize::MAX, 1), (4, 2), (2, 4)];

/// Tests an implementation whose clock is real, as many rules at a time as this, each with its own server or queue.
///
/// A machine may be busy, so that a rule that does not hold is tried again, among fewer and more slowly: as often as `tries`
/// allows it, which is three times at most. Its last verdict counts; those of rules without a try are not in the report.
///
/// # Panics
/// If called inside a runtime.
pub fn run_in_real_time(
    subject: &(dyn Adapter<Settings> + 'static),
    at_a_time: usize,
    tries: impl Fn(&Rule<Settings>) -> usize,
) -> Report {
    let rules: Vec<_> = SUITE.rules().filter(|rule| tries(rule) > 0).collect();
    let mut verdicts = vec![Verdict::fail("a try", "none"); rules.len()];
    for (number, (most, slower)) in TRIES.into_iter().enumerate() {
        let is_tried = |index: &usize| verdicts[*index].failed() && tries(rules[*index]) > number;
        let tried: Vec<usize> = (0..rules.len()).filter(is_tried).collect();
        let again: Vec<_> = tried.iter().map(|index| rules[*index]).collect();
        let checked = check_all(&again, subject, at_a_time.min(most), slower);
        for (index, verdict) in tried.into_iter().zip(checked) {
            verdicts[index] = verdict;
        }
    }
    let finding = |(rule, verdict): (&'static Rule<Settings>, _)| Finding {
        id: rule.id,
        level: rule.level,
        tier: rule.tier,
        text: rule.text,
        verdict,
    };
    Report { findings: rules.into_iter().zip(verdicts).map(finding).collect() }
}

fn check_all(
    rules: &[&'static Rule<Settings>],
    subject: &(dyn Adapter<Settings> + 'static),
    at_a_time: usize,
    slower: u32,
) -> Vec<Verdict> {
    let place = |index: &usize| SECONDS.iter().position(|(id, _)| *id == rules[*index].id);
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(|index| place(index).unwrap_or(SECONDS.len()));
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        while let Some(&index) = order.get(next.fetch_add(1, Relaxed)) {
            let second = place(&index).map_or(SECOND, |place| SECONDS[place].1);
            let clock = Clock::real(Duration::from_millis(second), slower);
            let verdict = check(rules[index], subject, clock);
            lock(&verdicts).push((index, verdict));
        }
    };
    thread::scope(|scope| {
        for _ in 0..at_a_time.min(rules.len()) {
            scope.spawn(worker);
        }
    });
    let mut verdicts = std::mem::take(&mut *lock(&verdicts));
    verdicts.sort_by_key(|(index, _)| *index);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

fn check(rule: &Rule<Settings>, subject: &(dyn Adapter<Settings> + 'static), clock: Clock) -> Verdict {
    verdict_of(catch_unwind(AssertUnwindSafe(|| -> Checked {
        let (Check::InWorld(check) | Check::WithPanics(check)) = rule.check else {
            return Err(Verdict::Untested("it makes the time itself".to_owned()));
        };
        let checked = runtime(Builder::new_current_thread().enable_all())?
            .block_on(async { timeout(LIMIT, clock.run(check(subject))).await });
        checked.unwrap_or(Err(Verdict::Hung(LIMIT)))
    })))
}
