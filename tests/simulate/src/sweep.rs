//! A range of seeds on all processors.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    Reached, Subject,
    subject::{Ran, run},
};

/// The failures after which a range is given up.
const ENOUGH: usize = 20;

/// A range of seeds, and how it is run.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The first seed.
    pub from: u64,
    /// The number of seeds.
    pub seeds: u64,
    /// Whether each seed is run twice, to compare the traces.
    pub twice: bool,
    /// Whether the first failure ends it.
    pub stops: bool,
}

/// The result of a range.
#[derive(Debug, Default)]
pub struct Summary {
    /// The seeds that were run.
    pub seeds: u64,
    /// The seeds that failed, in ascending order, with the promise that was broken.
    pub failures: Vec<(u64, String)>,
    /// The real time.
    pub elapsed: Duration,
    /// The hashes of all traces in one.
    pub hash: u64,
    /// Counts of events over all seeds.
    pub reached: Reached,
}

impl Summary {
    fn add(&mut self, seed: u64, ran: Ran) {
        self.seeds += 1;
        // Threads add in any order.
        self.hash = self.hash.wrapping_add(ran.hash.wrapping_mul(seed | 1));
        if let Err(why) = ran.result {
            self.failures.push((seed, why));
        }
        for (event, times) in ran.reached {
            *self.reached.entry(event).or_default() += times;
        }
    }

    /// Returns the seeds of a minute.
    #[must_use]
    pub fn seeds_per_minute(&self) -> f64 {
        self.seeds as f64 * 60.0 / self.elapsed.as_secs_f64()
    }
}

/// Runs a range of seeds.
#[expect(clippy::disallowed_methods, reason = "the real time of the whole range is told")]
pub fn sweep<S: Subject>(subject: &S, range: Range) -> Summary {
    let start = Instant::now();
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let summary = Mutex::new(Summary::default());
    let worker = || {
        loop {
            let index = next.fetch_add(1, Relaxed);
            if index >= range.seeds || is_over.load(Relaxed) {
                return;
            }
            let seed = range.from.wrapping_add(index);
            let ran = run_seed(subject, seed, range.twice);
            let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
            summary.add(seed, ran);
            let failed = summary.failures.len();
            if failed >= ENOUGH || range.stops && failed > 0 {
                is_over.store(true, Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(worker);
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.failures.sort();
    summary.elapsed = start.elapsed();
    summary
}

/// Runs one seed, and compares two traces of it if asked to.
fn run_seed<S: Subject>(subject: &S, seed: u64, twice: bool) -> Ran {
    let script = subject.script(seed);
    let mut ran = run(subject, seed, &script, false);
    if twice {
        let again = run(subject, seed, &script, false);
        if again.hash != ran.hash && ran.result.is_ok() {
            ran.result = Err(difference(subject, seed));
        }
    }
    ran
}

/// Returns the first line in which two runs of a seed differ.
fn difference<S: Subject>(subject: &S, seed: u64) -> String {
    let lines = || run(subject, seed, &subject.script(seed), true).lines;
    let first = lines();
    for _ in 0..10 {
        let other = lines();
        if let Some(index) =
            (0..first.len().max(other.len())).find(|index| first.get(*index) != other.get(*index))
        {
            let line = |lines: &[String]| lines.get(index).map_or("its end".to_owned(), Clone::clone);
            return format!(
                "two runs of this seed differ in line {index}:\n  {}\n  {}",
                line(&first),
                line(&other)
            );
        }
    }
    "two runs of this seed differ, and eleven more do not".to_owned()
}
