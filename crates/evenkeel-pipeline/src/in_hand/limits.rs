//! The bounds of the items in hand.

/// The settings that bound the items in hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) window: usize,
    pub(crate) budget: usize,
    /// The room that is worth a pull.
    pub(crate) worth: usize,
    /// The attempts after which an item is dead; `u32::MAX` without a dead letter sink.
    pub(crate) max_attempts: u32,
}

impl Limits {
    /// Returns the share of a source, beside others, of what bounds the items in hand.
    pub(crate) fn share(self, index: usize, sources: usize) -> Self {
        let share = |all: usize| all / sources + usize::from(index < all % sources);
        let budget = if self.budget == usize::MAX { usize::MAX } else { share(self.budget) };
        Self { window: share(self.window), budget, worth: (self.worth / sources).max(1), ..self }
    }
}
