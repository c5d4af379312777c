//! The messages of a broker behind its lock.
//!
//! A message is ready, delayed, on its way, or leased. Those that come again are delivered before new ones. Leases and
//! syncs are looked at by each call, so that the broker needs no task.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use evenkeel_base::Slab;
use tokio::time::Instant;

use super::{
    MemoryConfig,
    ended::Ended,
    ids::Ids,
    receipt::MemoryReceipt,
    snapshot::{MemorySnapshot, PowerLoss},
    time::after,
};
use crate::{Demand, Settle, SettleOutcome, random::Random};

/// The brokers of this process so far.
static BROKERS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Slot<T> {
    number: u64,
    /// `None` while it is on its way, to be copied.
    item: Option<T>,
    size: usize,
    /// Attempts that failed, or whose lease ran out.
    failures: u32,
    was_delivered: bool,
    /// The number of the delivery that has the lease.
    lease: Option<u64>,
    lease_ends: Instant,
    /// The last delivery that was settled, as it may be settled once more.
    settled: u64,
    is_delayed: bool,
}

/// The event that a call waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Awaited {
    /// A message, or the end.
    Ready,
    /// Room for a message.
    Space,
}

/// A message that was taken out, to be copied without the lock.
pub(super) struct Taken<T> {
    pub(super) index: usize,
    pub(super) number: u64,
    pub(super) item: T,
}

/// The facts of a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) receipt: MemoryReceipt,
    pub(super) attempt: u32,
    pub(super) size: usize,
}

#[derive(Debug)]
enum Undo<T> {
    Published { index: usize, number: u64, id: Option<String> },
    Removed(Slot<T>),
}

#[derive(Debug)]
pub(super) struct State<T> {
    pub(super) config: MemoryConfig,
    pub(super) random: Random,
    slots: Slab<Slot<T>>,
    ready: VecDeque<usize>,
    /// Messages that come again.
    again: VecDeque<usize>,
    delayed: BTreeMap<(Instant, u64), usize>,
    /// In the order of their ends; those of settled or extended leases are passed over.
    leases: VecDeque<(Instant, usize, u64)>,
    ended: Ended,
    pub(super) ids: Ids,
    /// The changes since the last sync, to be undone by a power loss.
    undo: Vec<Undo<T>>,
    next_sync: Instant,
    broker: u64,
    deliveries: u64,
    /// The calls that wait for a message, and for room.
    ready_waiters: usize,
    space_waiters: usize,
    created: Instant,
    down_until: Option<Instant>,
    is_closed: bool,
    counts: MemorySnapshot,
}

impl<T> State<T> {
    pub(super) fn new(config: MemoryConfig, now: Instant) -> Self {
        Self {
            random: Random::new(config.faults.seed),
            next_sync: config.sync_every.map_or(now, |every| after(now, every)),
            ids: Ids::new(config.dedup_window, now),
            config,
            slots: Slab::new(),
            ready: VecDeque::new(),
            again: VecDeque::new(),
            delayed: BTreeMap::new(),
            leases: VecDeque::new(),
            ended: Ended::default(),
            undo: Vec::new(),
            broker: BROKERS.fetch_add(1, Relaxed) + 1,
            deliveries: 0,
            ready_waiters: 0,
            space_waiters: 0,
            created: now,
            down_until: None,
            is_closed: false,
            counts: MemorySnapshot::default(),
        }
    }

    /// Does what is due: the end of a downtime, a sync, delays and leases that have ended. Returns what is to be dropped
    /// without the lock.
    pub(super) fn advance(&mut self, now: Instant) -> Vec<impl Sized + use<T>> {
        if self.down_until.is_some_and(|until| until <= now) {
            self.down_until = None;
        }
        let mut synced = Vec::new();
        if let Some(every) = self.config.sync_every
            && self.next_sync <= now
        {
            synced = mem::take(&mut self.undo);
            let late = now.duration_since(self.next_sync).as_nanos() % every.as_nanos();
            let late = u64::try_from(late).unwrap_or(u64::MAX);
            self.next_sync = after(now - Duration::from_nanos(late), every);
        }
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let index = entry.remove();
            if let Some(slot) = self.slots.get_mut(index) {
                slot.is_delayed = false;
                self.again.push_back(index);
            }
        }
        while let Some(&(ends, index, delivery)) = self.leases.front() {
            let is_current = self.holds(index, delivery, ends);
            if is_current && ends > now {
                break;
            }
            self.leases.pop_front();
            if is_current && let Some(slot) = self.slots.get_mut(index) {
                slot.lease = None;
                slot.failures += 1;
                self.counts.leased -= 1;
                self.counts.expired += 1;
                self.again.push_back(index);
            }
        }
        synced
    }

    fn holds(&mut self, index: usize, delivery: u64, ends: Instant) -> bool {
        let slot = self.slots.get_mut(index);
        slot.is_some_and(|slot| slot.lease == Some(delivery) && slot.lease_ends == ends)
    }

    pub(super) fn is_down(&self) -> bool {
        self.down_until.is_some()
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.config.capacity
    }

    /// Returns the number of calls that wait for an event.
    pub(super) fn waiters(&mut self, awaited: Awaited) -> &mut usize {
        match awaited {
            Awaited::Ready => &mut self.ready_waiters,
            Awaited::Space => &mut self.space_waiters,
        }
    }

    /// Returns whether a call waits for an event that has come. `or` is another reason to wake those that wait.
    #[inline]
    pub(super) fn is_awaited(&self, awaited: Awaited, or: bool) -> bool {
        match awaited {
            Awaited::Ready => self.ready_waiters > 0 && (self.has_ready() || self.is_over() || or),
            Awaited::Space => {
                self.space_waiters > 0 && (self.is_closed || !self.is_full() && !self.is_down() || or)
            }
        }
    }

    /// Returns whether a message can be stored, whatever the time is: nothing is to be synced, and the broker is up.
    #[inline]
    pub(super) fn may_publish(&self) -> bool {
        !self.is_closed && !self.is_full() && !self.is_down() && self.config.sync_every.is_none()
    }

    /// Returns whether all that was published is settled, and no more comes.
    pub(super) fn is_over(&self) -> bool {
        self.is_closed && self.slots.is_empty()
    }

    /// Returns the next instant at which something is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let delayed = self.delayed.first_key_value().map(|((at, _), _)| *at);
        let lease = self.leases.front().map(|(ends, ..)| *ends);
        delayed.into_iter().chain(lease).chain(self.down_until).min()
    }

    pub(super) fn publish(&mut self, item: T, size: usize, id: Option<&str>) -> u64 {
        self.counts.published += 1;
        let number = self.counts.published;
        let index = self.slots.insert(Slot {
            number,
            item: Some(item),
            size,
            failures: 0,
            was_delivered: false,
            lease: None,
            lease_ends: self.created,
            settled: 0,
            is_delayed: false,
        });
        self.ready.push_back(index);
        if self.config.sync_every.is_some() {
            let id = id.map(str::to_owned);
            self.undo.push(Undo::Published { index, number, id });
        }
        number
    }

    fn pop(&mut self) -> Option<usize> {
        let queue = if self.again.is_empty() { &mut self.ready } else { &mut self.again };
        if queue.len() > 1 && self.random.happens(self.config.faults.reorders) {
            let other = self.random.below(queue.len());
            queue.swap(0, other);
        }
        queue.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.again.is_empty() || !self.ready.is_empty()
    }

    /// Takes messages out, to be copied.
    pub(super) fn take(&mut self, demand: Demand, taken: &mut Vec<Taken<T>>) {
        let mut bytes = 0_usize;
        while taken.len() < demand.items {
            let Some(index) = self.pop() else { return };
            // A message that was settled by a late ack leaves its place in a queue.
            let Some(slot) =
                self.slots.get_mut(index).filter(|slot| slot.lease.is_none() && !slot.is_delayed)
            else {
                continue;
            };
            bytes = bytes.saturating_add(slot.size);
            if !taken.is_empty() && bytes > demand.bytes {
                self.again.push_front(index);
                return;
            }
            if let Some(item) = slot.item.take() {
                taken.push(Taken { index, number: slot.number, item });
            }
        }
    }

    /// Puts a message back that could not be copied.
    pub(super) fn put_back(&mut self, taken: Taken<T>) -> Option<T> {
        match self.slot(taken.index, taken.number) {
            Some(slot) => {
                slot.item = Some(taken.item);
                self.again.push_front(taken.index);
                None
            }
            None => Some(taken.item),
        }
    }

    fn slot(&mut self, index: usize, number: u64) -> Option<&mut Slot<T>> {
        self.slots.get_mut(index).filter(|slot| slot.number == number)
    }

    /// Leases a message that was copied. It fails if a power loss took the message meanwhile.
    pub(super) fn lease(&mut self, taken: Taken<T>, now: Instant) -> Result<Lease, T> {
        let Taken { index, number, item } = taken;
        let (ends, delivery) = (after(now, self.config.ack_wait), self.deliveries + 1);
        let comes_again = self.random.happens(self.config.faults.duplicates);
        let Some(slot) = self.slot(index, number) else { return Err(item) };
        slot.item = Some(item);
        let attempt = slot.failures + 1;
        let (size, was_delivered) = (slot.size, mem::replace(&mut slot.was_delivered, true));
        if !comes_again {
            (slot.lease, slot.lease_ends) = (Some(delivery), ends);
        }
        self.deliveries = delivery;
        self.counts.delivered += 1;
        self.counts.redelivered += u64::from(was_delivered);
        if comes_again {
            self.again.push_back(index);
        } else {
            self.counts.leased += 1;
            self.push_lease(ends, index, delivery);
        }
        Ok(Lease { receipt: MemoryReceipt { broker: self.broker, index, number, delivery }, attempt, size })
    }

    fn push_lease(&mut self, ends: Instant, index: usize, delivery: u64) {
        // None ends later, unless the clock was set back.
        let later = self.leases.iter().rev().take_while(|(other, ..)| *other > ends).count();
        self.leases.insert(self.leases.len() - later, (ends, index, delivery));
        if self.leases.len() > 2 * self.counts.leased + 64 {
            let mut leases = mem::take(&mut self.leases);
            leases.retain(|(ends, index, delivery)| self.holds(*index, *delivery, *ends));
            self.leases = leases;
        }
    }

    pub(super) fn extend(&mut self, receipt: &MemoryReceipt, now: Instant) -> bool {
        let ends = after(now, self.config.ack_wait);
        let MemoryReceipt { index, number, delivery, .. } = *receipt;
        match self.slot(index, number).filter(|slot| slot.lease == Some(delivery)) {
            Some(slot) if slot.lease_ends == ends => true,
            Some(slot) => {
                slot.lease_ends = ends;
                self.push_lease(ends, index, delivery);
                true
            }
            None => false,
        }
    }

    /// Settles one delivery; returns the message with the answer, if it is gone.
    pub(super) fn settle(
        &mut self,
        receipt: &MemoryReceipt,
        settle: Settle,
        now: Instant,
    ) -> (SettleOutcome, Option<Slot<T>>) {
        let MemoryReceipt { index, number, delivery, .. } = *receipt;
        let is_final = matches!(settle, Settle::Ack | Settle::Term);
        let Some(slot) = self.slot(index, number) else {
            // It has confirmed this once, and the answer was lost; or another delivery of the message has ended it.
            let is_again = is_final && self.ended.contains(delivery);
            let outcome = if is_again { SettleOutcome::Confirmed } else { SettleOutcome::Superseded };
            return (outcome, None);
        };
        let is_leased = slot.lease == Some(delivery);
        if slot.settled == delivery {
            return (SettleOutcome::Confirmed, None);
        }
        // An ack may be late as long as no other attempt has begun.
        let is_late_ack = settle == Settle::Ack && slot.lease.is_none() && slot.item.is_some();
        if !is_leased && !is_late_ack {
            return (SettleOutcome::Superseded, None);
        }
        slot.lease = None;
        slot.settled = delivery;
        if let Settle::Retry { after } = settle {
            slot.failures += 1;
            slot.is_delayed = !after.is_zero();
        }
        self.counts.leased -= usize::from(is_leased);
        match settle {
            Settle::Ack | Settle::Term => {
                let count =
                    if settle == Settle::Ack { &mut self.counts.acked } else { &mut self.counts.terminated };
                *count += 1;
                self.ended.insert(delivery);
                let slot = self.remove(index);
                return (SettleOutcome::Confirmed, slot);
            }
            Settle::Release => self.again.push_back(index),
            Settle::Retry { after } if after.is_zero() => self.again.push_back(index),
            Settle::Retry { after: delay } => {
                let at = after(now, delay);
                self.delayed.insert((at, number), index);
            }
        }
        (SettleOutcome::Confirmed, None)
    }

    /// Removes a message; returns it unless a power loss may bring it back.
    fn remove(&mut self, index: usize) -> Option<Slot<T>> {
        let slot = self.slots.remove(index)?;
        if slot.is_delayed {
            self.delayed.retain(|(_, number), _| *number != slot.number);
        }
        if self.config.sync_every.is_some() {
            self.undo.push(Undo::Removed(slot));
            return None;
        }
        Some(slot)
    }

    /// Moves the times by the clock, which is set, in their order.
    pub(super) fn move_times(&mut self, moved: impl Fn(Instant) -> Instant) {
        let mut leases = mem::take(&mut self.leases);
        leases.retain(|(ends, index, delivery)| self.holds(*index, *delivery, *ends));
        for (ends, index, _) in &mut leases {
            *ends = moved(*ends);
            if let Some(slot) = self.slots.get_mut(*index) {
                slot.lease_ends = *ends;
            }
        }
        self.leases = leases;
        let delayed = mem::take(&mut self.delayed).into_iter();
        self.delayed = delayed.map(|((at, number), index)| ((moved(at), number), index)).collect();
        self.ids.move_times(moved);
    }

    pub(super) fn crash(&mut self, now: Instant, downtime: Duration) {
        self.down_until = Some(after(now, downtime));
    }

    /// Undoes what was done since the last sync. Returns the messages that are gone.
    pub(super) fn lose_power(&mut self) -> (PowerLoss, Vec<Slot<T>>) {
        let (mut revived, mut gone) = (HashMap::new(), Vec::new());
        for undo in mem::take(&mut self.undo).into_iter().rev() {
            match undo {
                Undo::Removed(mut slot) => {
                    slot.is_delayed = false;
                    // An ack that is sent once more is a new one.
                    self.ended.remove(mem::take(&mut slot.settled));
                    let (number, index) = (slot.number, self.slots.insert(slot));
                    self.again.push_back(index);
                    revived.insert(number, index);
                }
                Undo::Published { index, number, id } => {
                    // The message may be published again, as what was lost is not known.
                    if let Some(id) = id {
                        self.ids.remove(&id);
                    }
                    let index = revived.remove(&number).unwrap_or(index);
                    if self.slot(index, number).is_none() {
                        continue;
                    }
                    if let Some(slot) = self.slots.remove(index) {
                        self.counts.leased -= usize::from(slot.lease.is_some());
                        if slot.is_delayed {
                            self.delayed.retain(|(_, delayed), _| *delayed != number);
                        }
                        gone.push(slot);
                    }
                }
            }
        }
        self.counts.lost += gone.len() as u64;
        (PowerLoss { lost: gone.len(), revived: revived.len() }, gone)
    }

    pub(super) fn next_sync(&self) -> Option<Instant> {
        self.config.sync_every.filter(|_| !self.undo.is_empty()).map(|_| self.next_sync)
    }

    pub(super) fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot { stored: self.slots.len(), delayed: self.delayed.len(), ..self.counts }
    }
}
