//! Equality, but for the time by which events of a real clock are late.

use std::time::Duration;

use super::Item;
use crate::clock::Clock;

/// The most by which a real time may seem to be early: work begins a moment before its event is noted, and a few milliseconds
/// of the real clock are several times as many of the rule's.
const EARLY: Duration = Duration::from_millis(20);

pub(crate) trait Close {
    /// Whether this is what was wanted, on a clock.
    fn is_close(&self, wanted: &Self, clock: Clock) -> bool;
}

impl Close for Duration {
    fn is_close(&self, wanted: &Self, clock: Clock) -> bool {
        let is_in_time = *self <= clock.latest(*wanted);
        self == wanted || clock.is_real() && *self + EARLY >= *wanted && is_in_time
    }
}

macro_rules! equal {
    ($($type:ty),+) => {
        $(impl Close for $type {
            fn is_close(&self, wanted: &Self, _: Clock) -> bool {
                self == wanted
            }
        })+
    };
}

equal!(u32, u64, usize, Item, Option<&String>, Option<&u32>);

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Close),+> Close for ($($name,)+) {
            fn is_close(&self, wanted: &Self, clock: Clock) -> bool {
                $(self.$index.is_close(&wanted.$index, clock))&&+
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3, E 4);

impl<T: Close> Close for Vec<T> {
    fn is_close(&self, wanted: &Self, clock: Clock) -> bool {
        self.len() == wanted.len() && self.iter().zip(wanted).all(|(one, wanted)| one.is_close(wanted, clock))
    }
}
