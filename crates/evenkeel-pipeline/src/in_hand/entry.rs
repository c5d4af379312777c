//! The entry of a delivery.

use std::{mem, task::Waker, time::Duration};

use evenkeel_base::Slab;
use tokio::time::Instant;

use crate::edges::DumpInstant;

/// A delivery. It is small, since each item moves one in and out.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) size: usize,
    /// The end of the lease, if it is not extended.
    pub(super) lease_ends: Option<Instant>,
    /// The worker of the item, while it is pending.
    pub(super) waker: Option<Waker>,
    /// The parts that are not done.
    pub(super) tokens: usize,
    pub(super) rare: Option<Box<Rare>>,
    pub(super) attempt: u32,
    pub(super) phase: Phase,
    pub(super) is_lost: bool,
    /// The server has said that it is lost.
    pub(super) is_superseded: bool,
    #[cfg_attr(not(feature = "inspect"), expect(dead_code, reason = "it is for dumps"))]
    pub(super) accepted_at: DumpInstant,
}

/// The facts that few entries have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    pub(super) failure: Option<Box<(String, Duration)>>,
    /// Whether a part was dropped before it ended.
    pub(super) is_dropped: bool,
    /// The workers of its parts, if it was split; each part knows the place of its own.
    pub(super) part_wakers: Slab<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Working,
    /// Its dead letter is to be written.
    Exhausted,
    Decided,
}

impl Entry {
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Whether the server is told what became of it: a server that refuses late words is, until it has said that it is lost.
    pub(super) const fn is_told(&self, is_fenced: bool) -> bool {
        !self.is_lost || is_fenced && !self.is_superseded
    }

    /// Marks it as lost; moves the wakers of its workers into `woken`.
    pub(super) fn lose(&mut self, woken: &mut Vec<Waker>) {
        self.is_lost = true;
        woken.extend(self.waker.take());
        if let Some(rare) = &mut self.rare {
            woken.extend(mem::take(&mut rare.part_wakers).into_values());
        }
    }
}
