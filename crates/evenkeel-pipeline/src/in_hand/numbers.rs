//! The numbers of the items in hand, of one source or of all.

use std::iter::Sum;

use crate::DrainReport;

/// The numbers for a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) window: usize,
    pub(crate) in_hand: usize,
    pub(crate) bytes: usize,
    pub(crate) unsettled: usize,
    pub(crate) is_paused: bool,
    pub(crate) counts: DrainReport,
}

impl Sum for Numbers {
    fn sum<I: Iterator<Item = Self>>(sources: I) -> Self {
        let none = Self {
            window: 0,
            in_hand: 0,
            bytes: 0,
            unsettled: 0,
            is_paused: false,
            counts: DrainReport::default(),
        };
        sources.fold(none, |sum, source| Self {
            window: sum.window + source.window,
            in_hand: sum.in_hand + source.in_hand,
            bytes: sum.bytes.saturating_add(source.bytes),
            unsettled: sum.unsettled + source.unsettled,
            is_paused: sum.is_paused || source.is_paused,
            counts: [sum.counts, source.counts].into_iter().sum(),
        })
    }
}
