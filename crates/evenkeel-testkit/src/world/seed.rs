//! The seed of a world, and the note that lets a failure be replayed.

use std::{
    env,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

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

    /// The seed that the environment asks for, or a fresh one.
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

    /// Says how to replay, if the test fails while the note lives, and if it used the seed at all.
    pub(crate) fn note(&self) -> Note<'_> {
        Note(self)
    }
}

#[derive(Debug)]
pub(crate) struct Note<'a>(&'a Seed);

impl Drop for Note<'_> {
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
