//! The seed of a world, and the message that says how to replay a failure.

use std::{
    env,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use evenkeel_base::{SeedGuard, seed_random};

const VARIABLE: &str = "EVENKEEL_SEED";

/// The seed of one world.
#[derive(Debug)]
pub(crate) struct Seed {
    value: u64,
    used: AtomicBool,
}

impl Seed {
    pub(crate) fn new(value: u64) -> Self {
        Seed { value, used: AtomicBool::new(false) }
    }

    /// Returns whether the environment sets the seed.
    #[cfg(feature = "timeline")]
    pub(crate) fn is_in_env() -> bool {
        env::var_os(VARIABLE).is_some()
    }

    /// Reads the seed from the environment, or makes a fresh one.
    #[track_caller]
    pub(crate) fn from_env() -> Self {
        let value = match env::var(VARIABLE) {
            Ok(text) => match text.parse() {
                Ok(seed) => seed,
                Err(_) => panic!("{VARIABLE} is not a number below 2^64: {text:?}"),
            },
            Err(_) => RandomState::new().hash_one(()),
        };
        Self::new(value)
    }

    pub(crate) fn get(&self) -> u64 {
        self.used.store(true, Ordering::Relaxed);
        self.value
    }

    /// Draws the random numbers of our crates on this thread from the seed until the guard is dropped.
    pub(crate) fn reaches_random_numbers(&self) -> RandomSeed<'_> {
        RandomSeed { seed: self, guard: seed_random(self.value) }
    }

    /// Returns a guard that prints how to replay, if the test fails while it lives and has used the seed.
    pub(crate) fn print_on_panic(&self) -> ReplayHint<'_> {
        ReplayHint(self)
    }
}

/// Counts the seed as used if a random number was drawn from it.
#[derive(Debug)]
pub(crate) struct RandomSeed<'a> {
    seed: &'a Seed,
    guard: SeedGuard,
}

impl Drop for RandomSeed<'_> {
    fn drop(&mut self) {
        self.seed.used.fetch_or(self.guard.was_used(), Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct ReplayHint<'a>(&'a Seed);

impl Drop for ReplayHint<'_> {
    #[expect(clippy::print_stderr, reason = "the test harness shows it beside the panic")]
    fn drop(&mut self) {
        if thread::panicking() && self.0.used.load(Ordering::Relaxed) {
            eprintln!(
                "replay with {VARIABLE}={} (it does not reach `select!` without `biased;`, the order of a HashMap, other \
                 threads and processes)",
                self.0.value
            );
        }
    }
}
