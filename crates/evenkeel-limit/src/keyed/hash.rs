//! The hash of a key.

use std::hash::{Hash, Hasher};

use evenkeel_base::Random;
use siphasher::sip::SipHasher13;

/// Hashes with the keyed function of the standard library's maps, under random keys: an attacker cannot choose keys that
/// collide.
///
/// The library's own hasher keeps bytes that fill no word, and is not inlined; a number takes half as long in this one.
#[derive(Debug)]
pub(crate) struct KeyHash(u64, u64);

impl KeyHash {
    pub(crate) fn new() -> Self {
        let random = Random::new();
        Self(random.number(0), random.number(1))
    }

    #[inline]
    pub(crate) fn of(&self, key: &(impl Hash + ?Sized)) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        key.hash(&mut hasher);
        hasher.finish()
    }
}
