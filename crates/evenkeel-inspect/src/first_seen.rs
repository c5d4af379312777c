//! `FirstSeen`: the time of a hold that began without a reading of the clock.

/// The earliest time at which the last such hold is known to have lasted.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstSeen {
    number: u64,
    at: u64,
}

impl FirstSeen {
    /// Returns the earliest time at which the hold of this number is known to have lasted, `at` included.
    pub const fn since(&mut self, number: u64, at: u64) -> u64 {
        if self.number != number || at < self.at {
            *self = Self { number, at };
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_of_each_hold() {
        let mut seen = FirstSeen::default();
        let holds = [(1, 20), (1, 30), (1, 10), (1, 20), (2, 40), (2, 50), (1, 60)];
        assert_eq!(holds.map(|(number, at)| seen.since(number, at)), [20, 20, 10, 10, 40, 40, 60]);
    }
}
