//! The data of the items in hand behind their lock.

use std::{collections::VecDeque, mem, task::Waker, time::Duration};

use evenkeel_base::Slab;
use tokio::time::Instant;

use super::{
    effects::{DoneEffects, Effects},
    entry::{Entry, Phase, Rare},
    limits::Limits,
};
use crate::{
    Demand, MAX_SETTLED, Settle, SettleOutcome, edges::DumpInstant, item_key::ItemKey, race::default_backoff,
    report::DrainReport,
};

/// A failure that waits for nothing.
const AT_ONCE: Settle = Settle::Retry { after: Duration::ZERO };

/// The end of a part of an item.
#[derive(Debug)]
pub(crate) enum PartEnd {
    Done,
    /// With the reason, and the delay of another attempt.
    Failed(Box<(String, Duration)>),
    /// It was dropped before it ended.
    Dropped,
}

/// An item whose attempts are used up.
#[derive(Debug)]
pub(crate) struct Exhausted {
    pub(crate) key: ItemKey,
    pub(crate) attempts: u32,
    pub(crate) reason: String,
    /// The delay of another attempt if the dead letter cannot be written.
    pub(crate) retry_after: Duration,
}

/// The leases to extend, and the first instant at which one ends if it is not extended.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    pub(crate) keys: Vec<ItemKey>,
    pub(crate) first_end: Option<Instant>,
}

pub(super) struct State {
    pub(super) limits: Limits,
    /// The server refuses decisions that come too late.
    is_fenced: bool,
    pub(super) entries: Slab<Entry>,
    pub(super) accepted: u64,
    /// Items that are worked on, and the sum of their sizes.
    pub(super) in_hand: usize,
    pub(super) bytes: usize,
    /// The tokens of all items.
    tokens: usize,
    /// Items with a decision that the server has not confirmed.
    pub(super) unsettled: usize,
    decided: VecDeque<(ItemKey, Settle)>,
    pub(super) exhausted: Vec<Exhausted>,
    pub(super) counts: DrainReport,
    /// The room, in items, that the pull waits for.
    wanted: Option<usize>,
    pub(super) is_paused: bool,
    is_aborted: bool,
    is_closed: bool,
    /// Nothing is told to the server any more.
    is_abandoned: bool,
    /// Whether entries that are gone are told, as there may be copies of their items.
    tells_removed: bool,
}

impl State {
    pub(super) fn new(limits: Limits, is_fenced: bool, tells_removed: bool) -> Self {
        Self {
            limits,
            is_fenced,
            tells_removed,
            entries: Slab::new(),
            accepted: 0,
            in_hand: 0,
            bytes: 0,
            tokens: 0,
            unsettled: 0,
            decided: VecDeque::new(),
            exhausted: Vec::new(),
            counts: DrainReport::default(),
            wanted: None,
            is_paused: false,
            is_aborted: false,
            is_closed: false,
            is_abandoned: false,
        }
    }

    fn entry(&mut self, key: ItemKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.index).filter(|entry| entry.number == key.number)
    }

    /// Removes an entry whose wakers are taken.
    fn remove(&mut self, key: ItemKey, effects: &mut Effects) {
        self.entries.discard(key.index);
        if self.tells_removed {
            effects.removed.push(key);
        }
    }

    /// Returns the number of items that the window has room for.
    pub(super) fn free(&self) -> usize {
        self.limits.window.saturating_sub(self.in_hand)
    }

    fn room(&self) -> Option<Demand> {
        let items = self.free();
        let bytes = self.limits.budget.saturating_sub(self.bytes);
        let arrears = self.limits.window.max(2 * MAX_SETTLED);
        // Half of the budget: the first item of a pull may exceed what is left of it.
        let has_bytes = self.in_hand == 0 || bytes > self.limits.budget / 2;
        let is_worth = items >= self.limits.worth && has_bytes && self.unsettled < arrears;
        (is_worth && !self.is_paused).then_some(Demand { items, bytes })
    }

    /// Returns the room, if it has this many items at least; else `room` is notified when it has.
    pub(super) fn demand(&mut self, least: usize) -> Option<Demand> {
        let room = self.room().filter(|room| room.items >= least);
        self.wanted = room.is_none().then_some(least);
        room
    }

    fn has_wanted(&self) -> bool {
        self.wanted.is_some_and(|least| self.room().is_some_and(|room| room.items >= least))
    }

    fn offer_room(&mut self, effects: &mut Effects) {
        if self.has_wanted() {
            self.wanted = None;
            effects.has_room = true;
        }
    }

    pub(super) fn set_paused(&mut self, is_paused: bool, effects: &mut Effects) {
        self.is_paused = is_paused;
        self.offer_room(effects);
    }

    pub(super) fn accept(
        &mut self,
        attempt: u32,
        size: usize,
        lease_ends: Option<Instant>,
        accepted_at: DumpInstant,
    ) -> ItemKey {
        self.accepted += 1;
        self.in_hand += 1;
        self.tokens += 1;
        self.bytes = self.bytes.saturating_add(size);
        let number = self.accepted;
        let index = self.entries.insert(Entry {
            number,
            size,
            lease_ends,
            waker: None,
            tokens: 1,
            rare: None,
            attempt,
            phase: Phase::Working,
            is_lost: false,
            is_superseded: false,
            accepted_at,
        });
        ItemKey { index, number }
    }

    pub(super) fn split(&mut self, key: ItemKey, parts: usize) {
        if let Some(entry) = self.entry(key).filter(|entry| entry.phase == Phase::Working) {
            entry.tokens += parts;
            self.tokens += parts;
        }
    }

    /// Decides about an item of one part that is done; returns `None` if more is to be looked at.
    #[inline]
    pub(super) fn end_done(&mut self, key: ItemKey) -> Option<DoneEffects> {
        let entry = self.entry(key)?;
        if entry.tokens != 1 || entry.rare.is_some() || entry.is_lost || entry.phase != Phase::Working {
            return None;
        }
        entry.phase = Phase::Decided;
        let (size, dropped) = (entry.size, entry.waker.take());
        self.tokens -= 1;
        self.in_hand -= 1;
        self.bytes = self.bytes.saturating_sub(size);
        self.unsettled += 1;
        self.decided.push_back((key, Settle::Ack));
        let has_room = self.has_wanted();
        if has_room {
            self.wanted = None;
        }
        Some(DoneEffects {
            is_decided: self.is_new_to_settle(),
            has_room,
            is_idle: self.tokens == 0 || self.in_hand == 0,
            dropped,
        })
    }

    /// The task that settles takes all that wait; those that come later are new to it.
    fn is_new_to_settle(&self) -> bool {
        matches!(self.decided.len(), 1 | MAX_SETTLED)
    }

    /// Ends a part; `place` is that of its waker.
    pub(super) fn end_part(
        &mut self,
        key: ItemKey,
        end: PartEnd,
        place: Option<usize>,
        effects: &mut Effects,
    ) {
        let (is_aborted, is_fenced) = (self.is_aborted, self.is_fenced);
        let max_attempts = self.limits.max_attempts;
        self.tokens -= 1;
        effects.is_idle |= self.tokens == 0;
        let Some(entry) = self.entry(key) else { return };
        if entry.phase != Phase::Working {
            return;
        }
        entry.tokens -= 1;
        effects.dropped_part = place.and_then(|place| entry.rare().part_wakers.remove(place));
        match end {
            PartEnd::Done => {}
            PartEnd::Dropped => entry.rare().is_dropped = true,
            PartEnd::Failed(reason) => {
                entry.rare().failure.get_or_insert(reason);
            }
        }
        if entry.tokens > 0 {
            return;
        }
        let Rare { failure, is_dropped, part_wakers } =
            entry.rare.take().map(|rare| *rare).unwrap_or_default();
        let (attempt, is_lost, is_told) = (entry.attempt, entry.is_lost, entry.is_told(is_fenced));
        effects.dropped = entry.waker.take();
        effects.dropped_parts = part_wakers;
        match failure {
            _ if !is_told => self.forget_lost(key, effects),
            // The lease may hold at the server all the same, where nobody else would end it.
            None if is_dropped && is_lost => self.decide(key, AT_ONCE, effects),
            Some(failure) if attempt >= max_attempts && !is_lost => {
                let (reason, retry_after) = *failure;
                entry.phase = Phase::Exhausted;
                let attempts = attempt.min(max_attempts);
                self.exhausted.push(Exhausted { key, attempts, reason, retry_after });
                effects.is_exhausted = true;
            }
            Some(failure) => self.decide(key, Settle::Retry { after: failure.1 }, effects),
            None if is_dropped && is_aborted => self.decide(key, Settle::Release, effects),
            // Its task was dropped, as by the end of a runtime: it has not failed, and is never dead for that.
            None if is_dropped => {
                self.decide(key, Settle::Retry { after: default_backoff(attempt) }, effects);
            }
            None => self.decide(key, Settle::Ack, effects),
        }
    }

    /// Removes an item that nobody works on any more, and whose lease is lost.
    fn forget_lost(&mut self, key: ItemKey, effects: &mut Effects) {
        if let Some(size) = self.entry(key).map(|entry| entry.size) {
            self.remove(key, effects);
            self.counts.superseded += 1;
            self.leave_window(size, effects);
        }
    }

    fn leave_window(&mut self, size: usize, effects: &mut Effects) {
        self.in_hand -= 1;
        self.bytes = self.bytes.saturating_sub(size);
        effects.is_idle |= self.in_hand == 0;
        self.offer_room(effects);
    }

    pub(super) fn decide(&mut self, key: ItemKey, settle: Settle, effects: &mut Effects) {
        let is_fenced = self.is_fenced;
        let Some(entry) = self.entry(key) else { return };
        if !entry.is_told(is_fenced) {
            return self.forget_lost(key, effects);
        }
        entry.phase = Phase::Decided;
        let size = entry.size;
        self.decided.push_back((key, settle));
        self.unsettled += 1;
        effects.is_decided = self.is_new_to_settle();
        self.leave_window(size, effects);
    }

    pub(super) fn is_lost(&mut self, key: ItemKey) -> bool {
        self.entry(key).is_none_or(|entry| entry.is_lost)
    }

    /// Stores a waker at its place; returns the one before, and its place if the item has several parts.
    pub(super) fn watch(
        &mut self,
        key: ItemKey,
        place: Option<usize>,
        waker: Waker,
    ) -> (Option<Waker>, Option<usize>) {
        let Some(entry) = self.entry(key) else { return (Some(waker), None) };
        if entry.tokens < 2 {
            return (entry.waker.replace(waker), place);
        }
        let wakers = &mut entry.rare().part_wakers;
        match place.and_then(|place| wakers.get_mut(place)) {
            Some(before) => (Some(mem::replace(before, waker)), place),
            None => (None, Some(wakers.insert(waker))),
        }
    }

    pub(super) fn take_decided(&mut self, max: usize, batch: &mut Vec<(ItemKey, Settle)>) -> Option<usize> {
        if self.is_abandoned || self.decided.is_empty() && self.is_closed {
            return None;
        }
        let taken = self.decided.len().min(max);
        batch.extend(self.decided.drain(..taken));
        Some(taken)
    }

    pub(super) fn waiting_decisions(&self) -> (usize, bool) {
        (self.decided.len(), self.is_closed)
    }

    /// An ack may come late; all else would end or repeat the attempt that has begun meanwhile, unless the server refuses it.
    pub(super) fn drop_late(
        &mut self,
        batch: &mut Vec<(ItemKey, Settle)>,
        now: Instant,
        effects: &mut Effects,
    ) {
        batch.retain(|(key, settle)| {
            if *settle == Settle::Ack {
                return true;
            }
            let is_fenced = self.is_fenced;
            let is_late = self.entry(*key).is_some_and(|entry| {
                entry.is_superseded
                    || !is_fenced && (entry.is_lost || entry.lease_ends.is_some_and(|ends| ends <= now))
            });
            if is_late {
                self.remove(*key, effects);
                self.counts.superseded += 1;
                self.unsettled -= 1;
                return false;
            }
            true
        });
        self.offer_room(effects);
    }

    pub(super) fn settled(
        &mut self,
        batch: &[(ItemKey, Settle)],
        outcomes: &[SettleOutcome],
        effects: &mut Effects,
    ) {
        for ((key, settle), outcome) in batch.iter().zip(outcomes) {
            self.remove(*key, effects);
            self.unsettled -= 1;
            let count = match (outcome, settle) {
                (SettleOutcome::Superseded, _) => &mut self.counts.superseded,
                (SettleOutcome::Confirmed, Settle::Ack) => &mut self.counts.acked,
                (SettleOutcome::Confirmed, Settle::Retry { .. }) => &mut self.counts.nacked,
                (SettleOutcome::Confirmed, Settle::Release) => &mut self.counts.released,
                (SettleOutcome::Confirmed, Settle::Term) => &mut self.counts.dead,
            };
            *count += 1;
        }
        self.offer_room(effects);
    }

    pub(super) fn scan_leases(&mut self, now: Instant, effects: &mut Effects) -> Leases {
        let mut leases = Leases::default();
        for (index, entry) in self.entries.iter_keyed_mut().filter(|(_, entry)| !entry.is_lost) {
            let Some(ends) = entry.lease_ends else { continue };
            if ends <= now {
                lose(entry, effects);
            } else {
                leases.first_end = leases.first_end.into_iter().chain([ends]).min();
                leases.keys.push(ItemKey { index, number: entry.number });
            }
        }
        leases
    }

    /// Notes which leases were extended; `lost` is in ascending order.
    pub(super) fn extended(
        &mut self,
        keys: &[ItemKey],
        lost: &[usize],
        lease_ends: Option<Instant>,
        effects: &mut Effects,
    ) {
        let mut lost = lost.iter().copied().peekable();
        for (index, key) in keys.iter().enumerate() {
            let is_lost = lost.next_if_eq(&index).is_some();
            match self.entry(*key) {
                Some(entry) if is_lost => {
                    entry.is_superseded = true;
                    lose(entry, effects);
                }
                Some(entry) => entry.lease_ends = lease_ends.max(entry.lease_ends),
                None => {}
            }
        }
    }

    pub(super) fn take_exhausted(&mut self) -> Vec<Exhausted> {
        mem::take(&mut self.exhausted)
    }

    pub(super) fn abort(&mut self) {
        self.is_aborted = true;
    }

    pub(super) fn abandon(&mut self) {
        (self.is_aborted, self.is_abandoned) = (true, true);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_hand == 0
    }

    pub(super) fn has_tokens(&self) -> bool {
        self.tokens > 0
    }

    pub(super) fn close(&mut self, effects: &mut Effects) {
        self.exhausted.clear();
        let keys: Vec<ItemKey> = self
            .entries
            .iter_keyed()
            .filter(|(_, entry)| entry.phase == Phase::Exhausted)
            .map(|(index, entry)| ItemKey { index, number: entry.number })
            .collect();
        for key in keys {
            // The attempt has failed: it counts, so that the item does not run again before its dead letter.
            self.decide(key, AT_ONCE, effects);
        }
        self.is_closed = true;
        effects.is_decided = true;
    }
}

fn lose(entry: &mut Entry, effects: &mut Effects) {
    effects.lost += 1;
    entry.lose(&mut effects.woken);
}
