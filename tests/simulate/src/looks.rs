//! Looks at the program, at random times of its run: no deadlock is found where there is none.
//!
//! That there is none is known from the run, which ends: a deadlock would last until its time is over.

use evenkeel::inspect::{Finding, dump_of};
use tokio::{runtime::Handle, time::sleep};

use crate::{Random, Trace};

/// The looks of a seed draw from a sequence of their own.
const LOOKS: u64 = 0x6c6f_6f6b;

/// The longest pause before the first looks, in milliseconds.
const SHORT: u64 = 4;

/// The longest pause of all.
const LONG: u64 = 60 * 60 * 1_000;

/// Runs a simulation beside looks; a finding that is wrong breaks a promise.
pub(crate) async fn beside<T>(
    seed: u64,
    trace: &Trace,
    simulated: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    tokio::select! {
        biased;
        result = simulated => result,
        finding = look(seed, trace) => Err(format!("this is no deadlock: {finding}")),
    }
}

/// Looks in pauses that grow, so that short and long runs have some of them; returns the first finding that is a deadlock.
async fn look(seed: u64, trace: &Trace) -> Finding {
    let (mut random, mut longest) = (Random::of(seed, &[LOOKS]), SHORT);
    loop {
        sleep(random.millis(longest)).await;
        longest = (longest + longest.div_ceil(8)).min(LONG);
        trace.reached("looks");
        for finding in dump_of(Handle::current().id()).findings {
            if finding.kind.is_deadlock() {
                return finding;
            }
            trace.reached(finding.kind.name());
        }
    }
}
