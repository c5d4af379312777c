//! The work that a step on the items in hand leaves for the time after the lock.

use std::task::Waker;

use evenkeel_base::Slab;

use crate::item_key::ItemKey;

/// The work that a step leaves for the time after the lock.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) is_decided: bool,
    pub(super) has_room: bool,
    pub(super) is_exhausted: bool,
    pub(super) is_idle: bool,
    pub(super) lost: u64,
    pub(super) woken: Vec<Waker>,
    pub(super) dropped: Option<Waker>,
    pub(super) dropped_part: Option<Waker>,
    pub(super) dropped_parts: Slab<Waker>,
    /// Entries that are gone.
    pub(super) removed: Vec<ItemKey>,
}

impl Effects {
    /// Whether a task may be woken by them.
    pub(super) fn wakes(&self) -> bool {
        self.is_decided || self.has_room || self.is_exhausted || self.is_idle || !self.woken.is_empty()
    }
}

/// The effects of the commonest step: an item of one part is done.
pub(super) struct DoneEffects {
    pub(super) is_decided: bool,
    pub(super) has_room: bool,
    pub(super) is_idle: bool,
    pub(super) dropped: Option<Waker>,
}
