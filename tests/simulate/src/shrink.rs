//! A script that fails, made smaller as long as it still fails.

use crate::{Script, Subject, subject::run};

/// The most runs for one script.
const MOST_RUNS: u32 = 500;

/// A script that cannot be made smaller, and the promise that it breaks.
#[derive(Debug)]
pub struct Shrunk<F> {
    /// The script.
    pub script: Script<F>,
    /// The promise that it breaks.
    pub why: String,
    /// The runs that this took.
    pub runs: u32,
}

/// Removes faults and lessens sizes, for as long as the rest fails.
pub fn shrink<S: Subject>(subject: &S, seed: u64, why: String) -> Shrunk<S::Fault> {
    let mut shrunk = Shrunk { script: subject.script(seed), why, runs: 0 };
    while let Some(smaller) = step(subject, seed, &mut shrunk.runs, &shrunk.script) {
        (shrunk.script, shrunk.why) = smaller;
    }
    shrunk
}

/// Returns the first smaller script that fails.
fn step<S: Subject>(
    subject: &S,
    seed: u64,
    runs: &mut u32,
    script: &Script<S::Fault>,
) -> Option<(Script<S::Fault>, String)> {
    script.smaller().into_iter().find_map(|smaller| {
        if *runs == MOST_RUNS {
            return None;
        }
        *runs += 1;
        let why = run(subject, seed, &smaller, false).result.err()?;
        Some((smaller, why))
    })
}
