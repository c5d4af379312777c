//! A program under simulation, and one run of it.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use evenkeel_testkit::World;
use tokio::time::timeout;

use crate::{Random, Reached, Script, Trace};

/// The virtual time in which each run ends: a wait without a bound is a failure.
const LONGEST: Duration = Duration::from_secs(4 * 60 * 60);

/// The real time of one run, as a loop that moves no clock is a failure, too. A run takes milliseconds; a machine may be busy.
const LONGEST_REAL: Duration = Duration::from_secs(300);

/// A program under simulation.
pub trait Subject: Sync {
    /// A fault of the script. Its `Debug` is what a failure shows.
    type Fault: Clone + fmt::Debug + Send;

    /// Returns the name on the command line.
    fn name(&self) -> &'static str;

    /// Draws sizes and faults.
    fn draw(&self, random: &mut Random) -> Script<Self::Fault>;

    /// Runs the program to its end, through the faults of the script; fails with the promise that it broke.
    ///
    /// It runs in a [`World`] of its own, which checks beside it that no task is left and that nobody waits for ever.
    /// Everything random is drawn from the seed: see [`Random::of`].
    fn simulate(
        &self,
        seed: u64,
        script: &Script<Self::Fault>,
        trace: &Trace,
    ) -> impl Future<Output = Result<(), String>>;

    /// Draws the script of a seed.
    fn script(&self, seed: u64) -> Script<Self::Fault> {
        self.draw(&mut Random::new(seed))
    }
}

/// One run: its result, and its trace.
#[derive(Debug)]
pub struct Ran {
    /// The promise that was broken, if one was.
    pub result: Result<(), String>,
    /// The hash of the trace.
    pub hash: u64,
    /// The lines of the trace, if they were kept.
    pub lines: Vec<String>,
    /// Counts of events.
    pub reached: Reached,
}

/// Runs a script in a fresh world.
pub fn run<S: Subject>(subject: &S, seed: u64, script: &Script<S::Fault>, keeps_lines: bool) -> Ran {
    let trace = Trace::new(keeps_lines);
    let simulated = catch_unwind(AssertUnwindSafe(|| {
        // Planted panics are the business of the subject: the program has to catch and to count them.
        let world = World::builder().seed(seed).wall_limit(LONGEST_REAL).allow_panics(usize::MAX);
        world.run(async |_| {
            let simulated = subject.simulate(seed, script, &trace);
            #[cfg(feature = "inspect")]
            let simulated = crate::looks::beside(seed, &trace, simulated);
            match timeout(LONGEST, simulated).await {
                Ok(result) => result,
                Err(_) => {
                    Err(format!("not over after {LONGEST:?} of virtual time: something waits for ever"))
                }
            }
        })
    }));
    let result = simulated.unwrap_or_else(|panic| Err(text(&*panic)));
    Ran { result, hash: trace.hash(), lines: trace.take_lines(), reached: trace.take_reached() }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}
