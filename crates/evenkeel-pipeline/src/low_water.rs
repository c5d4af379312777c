//! The low-water mark of a log: the position up to which all is settled.

use std::collections::BTreeMap;

/// The position below which every item of a log is settled, while items end in any order.
///
/// A log has one position for each reader, and no ack for each item: it may be stored only as far as all before it is done.
/// The [`Ack`](crate::Ack) of a source over a log keeps one of these: its `pull` begins positions, its `settle` ends them, and
/// stores the mark. After a crash the log is read again from the stored mark, so that nothing is left out, and what had been
/// done above the mark is done again.
///
/// It holds the positions in hand, and no others: with a window it is bounded.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::LowWaterMark;
///
/// let mut mark = LowWaterMark::new(100);
/// for position in 100..104 {
///     mark.begin(position);
/// }
/// assert_eq!(mark.settle(101), None); // 100 is not done
/// assert_eq!(mark.settle(100), Some(102)); // all below 102 are
/// assert_eq!(mark.settle(102), Some(103));
/// assert_eq!(mark.get(), 103);
/// ```
#[derive(Clone, Debug)]
pub struct LowWaterMark {
    mark: u64,
    /// The first position that was not begun.
    next: u64,
    /// The positions in hand, with the number of their deliveries.
    open: BTreeMap<u64, u32>,
}

impl LowWaterMark {
    /// Creates a mark for a log that is read from `position` on: all below it is settled.
    #[must_use]
    pub const fn new(position: u64) -> Self {
        Self { mark: position, next: position, open: BTreeMap::new() }
    }

    /// Notes that the item at `position` is in hand. Positions may have gaps, which need no settling.
    ///
    /// A position that begins twice has to be settled twice. One that is below the mark is done, and is not counted.
    pub fn begin(&mut self, position: u64) {
        if position >= self.mark {
            *self.open.entry(position).or_default() += 1;
            self.next = self.next.max(position.saturating_add(1));
        }
    }

    /// Notes that the item at `position` is settled for good: acked, or dead. Returns the mark, if it has moved.
    ///
    /// A position that is not in hand changes nothing.
    #[must_use = "the mark has moved if there is one, and is to be stored"]
    pub fn settle(&mut self, position: u64) -> Option<u64> {
        let left = self.open.get_mut(&position)?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.open.remove(&position);
        let mark = self.open.first_key_value().map_or(self.next, |(first, _)| *first);
        (mark > self.mark).then(|| {
            self.mark = mark;
            mark
        })
    }

    /// Returns the mark: the position to read from after a crash. It never goes back.
    #[must_use]
    pub const fn get(&self) -> u64 {
        self.mark
    }

    /// Returns the number of positions in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.open.len()
    }
}
