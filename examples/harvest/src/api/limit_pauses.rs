//! The pauses for which a document waits for limits of the API.

use std::time::Duration;

/// The longest pause that is granted to a limit of the API: one hour, for limits per hour.
const MAX_PAUSE: Duration = Duration::from_secs(3600 + 60);

/// The maximum number of pauses for a document while no document gets through.
const MAX_FRUITLESS_PAUSES: u32 = 4;

/// The maximum number of pauses for a document in all: a server that always rejects the same one is not limiting it.
const MAX_PAUSES: u32 = 1000;

/// The pauses of one document for limits of the API.
#[derive(Debug, Default)]
pub(super) struct LimitPauses {
    all: u32,
    fruitless: u32,
    answered: u64,
}

impl LimitPauses {
    /// Whether to wait for a limit once more. `answered` is the number of all documents answered so far: while it grows,
    /// the limit lets others through, and this document will have its turn.
    pub(super) fn allows(&mut self, pause: Duration, answered: u64) -> bool {
        if self.answered != answered {
            (self.fruitless, self.answered) = (0, answered);
        }
        self.all += 1;
        self.fruitless += 1;
        self.all <= MAX_PAUSES && self.fruitless <= MAX_FRUITLESS_PAUSES && pause <= MAX_PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_waited_for_as_long_as_others_get_through() {
        let (mut pauses, second) = (LimitPauses::default(), Duration::from_secs(1));
        assert!((0..100).all(|answered| pauses.allows(second, answered)));
        assert_eq!([(); 5].map(|()| pauses.allows(second, 99)), [true, true, true, false, false]);
        assert!(!LimitPauses::default().allows(2 * MAX_PAUSE, 0));
        let (mut pauses, most) = (LimitPauses::default(), u64::from(MAX_PAUSES));
        assert_eq!((0..2 * most).filter(|answered| pauses.allows(second, *answered)).count() as u64, most);
    }
}
