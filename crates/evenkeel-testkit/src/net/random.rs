//! Pseudorandom numbers, the same on every machine.

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Returns a number from zero to `most`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // The high half of the product scales to the range without the bias of a remainder.
        let share = (u128::from(mix(self.0)) * (u128::from(most) + 1)) >> 64;
        u64::try_from(share).expect("a share is no more than the whole")
    }
}

/// Derives the seed of one source from the seed of all: by a name, and a number.
pub(super) fn seed_of(seed: u64, name: &str, number: u64) -> u64 {
    let named = name.bytes().fold(mix(seed), |seed, byte| mix(seed ^ u64::from(byte)));
    mix(named ^ number)
}

/// Spreads a number over all 64 bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
