//! Random numbers: those of the system, or those of a seed that a test has set.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    marker::PhantomData,
    rc::Rc,
};

/// The distance of the seeds of two sources: the golden ratio of 2^64, as in SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

thread_local! {
    /// The seed of the next source of this thread, if a test has set one.
    static NEXT_SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A source of random numbers, for jitter and keys that others must not guess.
///
/// Its keys are those of the standard library's maps. On a thread with a [seed](seed_random) it is drawn from that
/// instead, so that a test can be replayed.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    System(RandomState),
    Seed(u64),
}

impl Random {
    /// Creates a source that differs from all others.
    #[must_use]
    pub fn new() -> Self {
        let seed = NEXT_SEED.get();
        Self(match seed {
            None => Source::System(RandomState::new()),
            Some(seed) => {
                NEXT_SEED.set(Some(seed.wrapping_add(STEP)));
                Source::Seed(mix(seed))
            }
        })
    }

    /// Returns a number: the same for the same index.
    #[must_use]
    pub fn number(&self, index: u64) -> u64 {
        match &self.0 {
            Source::System(state) => state.hash_one(index),
            Source::Seed(seed) => mix(seed.wrapping_add(STEP.wrapping_mul(index.wrapping_add(1)))),
        }
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

/// The mixing function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
const fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Draws the random numbers of this thread from a seed until the guard is dropped.
#[must_use = "the numbers are those of the system again when it is dropped"]
pub fn seed_random(seed: u64) -> SeedGuard {
    let first = mix(seed.wrapping_add(STEP));
    SeedGuard { first, before: NEXT_SEED.replace(Some(first)), thread: PhantomData }
}

/// The time in which the random numbers of a thread come from a seed.
#[derive(Debug)]
pub struct SeedGuard {
    first: u64,
    before: Option<u64>,
    /// It stays on its thread.
    thread: PhantomData<Rc<()>>,
}

impl SeedGuard {
    /// Returns whether a source was drawn from the seed.
    #[must_use]
    pub fn was_used(&self) -> bool {
        NEXT_SEED.get() != Some(self.first)
    }
}

impl Drop for SeedGuard {
    fn drop(&mut self) {
        NEXT_SEED.set(self.before);
    }
}
