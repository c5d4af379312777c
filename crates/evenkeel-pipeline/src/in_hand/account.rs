//! The numbers of the items in hand, as reports, snapshots and dumps have them.

#[cfg(feature = "inspect")]
use tokio::time::Instant;

#[cfg(feature = "inspect")]
use super::entry::Phase;
use super::{numbers::Numbers, state::State};
use crate::DrainReport;
#[cfg(feature = "inspect")]
use crate::item_key::ItemKey;

impl State {
    pub(super) fn report(&self) -> DrainReport {
        let counts = self.counts;
        let counted = counts.acked + counts.nacked + counts.dead + counts.released + counts.superseded;
        let unsettled = self.unsettled as u64;
        DrainReport {
            accepted: self.accepted,
            unconfirmed: unsettled,
            unfinished: self.accepted - counted - unsettled,
            ..counts
        }
    }

    /// Returns the oldest items that are worked on, each with its attempt and the time of its pull.
    #[cfg(feature = "inspect")]
    pub(super) fn oldest(&self, most: usize) -> Vec<(ItemKey, u32, Instant)> {
        let mut oldest: Vec<_> = self
            .entries
            .iter_keyed()
            .filter(|(_, entry)| entry.phase == Phase::Working)
            .map(|(index, entry)| {
                (ItemKey { index, number: entry.number }, entry.attempt, entry.accepted_at.0)
            })
            .collect();
        // Numbers are in the order of the pulls.
        if oldest.len() > most {
            oldest.select_nth_unstable_by_key(most, |(key, ..)| key.number);
            oldest.truncate(most);
        }
        oldest.sort_unstable_by_key(|(key, ..)| key.number);
        oldest
    }

    #[cfg(feature = "inspect")]
    pub(super) fn exhausted(&self) -> usize {
        self.exhausted.len()
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            window: self.limits.window,
            in_hand: self.in_hand,
            bytes: self.bytes,
            unsettled: self.unsettled,
            is_paused: self.is_paused,
            counts: self.report(),
        }
    }
}
