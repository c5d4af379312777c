//! The server: messages with leases.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use evenkeel_tck::pipeline::{Item, Settings};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::Fault;

/// A message, and the worker that has it.
#[derive(Clone)]
struct Slot {
    item: Item,
    failures: u32,
    lease: Option<Lease>,
    not_before: Instant,
}

#[derive(Clone, Copy)]
struct Lease {
    delivery: u64,
    worker: usize,
    ends: Instant,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    /// The number of its source.
    pub(super) source: usize,
    pub(super) message: u64,
    pub(super) delivery: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) receipt: Receipt,
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) item: Item,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settle {
    Ack,
    Retry(Duration),
    Release,
    Term,
}

/// The server does not answer.
pub(super) struct Down;

struct State {
    slots: BTreeMap<u64, Slot>,
    next: u64,
    deliveries: u64,
    is_closed: bool,
    down_until: Option<Instant>,
    /// It delivers nothing before, since its clock was set back, by a fault.
    held_until: Option<Instant>,
    /// Since the last sync: what was published, and what was removed.
    published: Vec<u64>,
    removed: Vec<(u64, Slot)>,
    next_sync: Instant,
    /// The identities of the messages whose dead letters are stored.
    letters: Vec<String>,
}

pub(super) struct Server {
    pub(super) fault: Fault,
    pub(super) settings: Settings,
    /// Its number among the sources of a worker.
    source: usize,
    state: Mutex<State>,
    /// Of all sources of a worker.
    pub(super) changed: Arc<Notify>,
}

/// The deliveries of each source are counted in a range of their own.
const DELIVERIES: u64 = 1_000_000_000;

impl Server {
    pub(super) fn new(fault: Fault, settings: &Settings, source: usize, changed: &Arc<Notify>) -> Self {
        let state = State {
            slots: BTreeMap::new(),
            next: 0,
            deliveries: source as u64 * DELIVERIES,
            is_closed: false,
            down_until: None,
            held_until: None,
            published: Vec::new(),
            removed: Vec::new(),
            next_sync: Instant::now() + settings.sync_every.unwrap_or_default(),
            letters: Vec::new(),
        };
        let (settings, changed) = (settings.clone(), Arc::clone(changed));
        Self { fault, settings, source, state: Mutex::new(state), changed }
    }

    /// The state after all that is due.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.down_until.is_some_and(|until| until <= now) {
            state.down_until = None;
        }
        if let Some(every) = self.settings.sync_every {
            while state.next_sync <= now {
                state.next_sync += every;
                state.published.clear();
                state.removed.clear();
            }
        }
        if self.fault != Fault::NeverExpires {
            for slot in state.slots.values_mut() {
                if slot.lease.is_some_and(|lease| lease.ends <= now) {
                    slot.lease = None;
                    slot.failures += u32::from(self.fault != Fault::ForgetsLapses);
                }
            }
            if self.fault == Fault::GivesUpLapsed {
                state.slots.retain(|_, slot| slot.lease.is_some() || slot.failures < 2);
            }
        }
        state
    }

    fn up(&self) -> Result<MutexGuard<'_, State>, Down> {
        let state = self.state();
        if state.down_until.is_some() { Err(Down) } else { Ok(state) }
    }

    pub(super) fn is_down(&self) -> bool {
        self.state().down_until.is_some()
    }

    pub(super) async fn publish(&self, item: Item) {
        loop {
            let mut changed = Box::pin(self.changed.notified());
            changed.as_mut().enable();
            let down_until = {
                let mut state = self.state();
                let is_full = self.settings.capacity.is_some_and(|capacity| state.slots.len() >= capacity);
                if is_full && self.fault == Fault::DropsWhenFull {
                    return;
                }
                if !is_full && state.down_until.is_none() {
                    let number = state.next;
                    state.next += 1;
                    if item.number != 7 || self.fault != Fault::LosesAMessage {
                        let slot = Slot { item, failures: 0, lease: None, not_before: Instant::now() };
                        state.slots.insert(number, slot);
                        state.published.push(number);
                    }
                    break;
                }
                state.down_until
            };
            match down_until {
                Some(until) => sleep_until(until).await,
                None => changed.await,
            }
        }
        if self.fault != Fault::PollsForMessages {
            self.changed.notify_waiters();
        }
    }

    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_waiters();
    }

    pub(super) fn stored(&self) -> usize {
        self.state().slots.len()
    }

    pub(super) fn crash(&self, downtime: Duration) {
        let mut state = self.state();
        state.down_until = Some(Instant::now() + downtime);
        if self.fault == Fault::ForgetsInACrash {
            state.slots.clear();
        }
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn kill(&self, downtime: Duration) {
        if self.fault == Fault::LosesTheTailInAKill {
            let _ = self.state().slots.pop_last();
        }
        self.crash(downtime);
    }

    /// Forgets what is in hand.
    pub(super) fn forget_workers(&self) {
        self.state().slots.values_mut().for_each(|slot| slot.lease = None);
        self.changed.notify_waiters();
    }

    pub(super) fn set_clock_forward(&self, by: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        for slot in state.slots.values_mut() {
            slot.not_before = slot.not_before.checked_sub(by).unwrap_or(now);
            if let Some(lease) = slot.lease.filter(|lease| lease.ends <= now + by) {
                slot.lease =
                    (self.fault != Fault::ForgetsWhatTheClockEnds).then_some(Lease { ends: now, ..lease });
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn set_clock_back(&self, by: Duration) {
        let mut state = self.state();
        if self.fault == Fault::WaitsForItsOldTime {
            state.held_until = Some(Instant::now() + by);
        }
        for slot in state.slots.values_mut() {
            let moved = |lease: Lease| Lease { ends: lease.ends + by, ..lease };
            slot.lease = slot.lease.map(moved);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn store_letter(&self, id: &str) {
        let mut state = self.state();
        if self.fault == Fault::WritesLettersTwice || !state.letters.iter().any(|known| known == id) {
            state.letters.push(id.to_owned());
        }
    }

    pub(super) fn letters(&self) -> usize {
        self.state().letters.len()
    }

    /// Notes that the worker has never seen a delivery.
    pub(super) fn lose(&self, receipt: Receipt) {
        let mut state = self.state();
        let lease = state.slots.get_mut(&receipt.message).and_then(|slot| slot.lease.as_mut());
        if let Some(lease) = lease.filter(|_| self.fault == Fault::KeepsLostDeliveries) {
            lease.ends += Duration::from_secs(365 * 24 * 60 * 60);
        }
    }

    pub(super) fn power_loss(&self, downtime: Duration) -> usize {
        self.crash(downtime);
        let mut state = self.state();
        let published = std::mem::take(&mut state.published);
        for (number, slot) in std::mem::take(&mut state.removed) {
            if self.fault != Fault::ForgetsRevived {
                state.slots.insert(number, Slot { lease: None, ..slot });
            }
        }
        let lost = published.iter().filter(|number| state.slots.remove(number).is_some()).count();
        if self.fault == Fault::HidesTheLoss { 0 } else { lost }
    }

    /// Takes messages for a worker; `None` when there will be no more.
    pub(super) fn take(
        &self,
        worker: usize,
        max: usize,
        bytes: usize,
        is_first: bool,
    ) -> Result<Option<Vec<Delivery>>, Down> {
        let mut state = self.up()?;
        if state.is_closed && state.slots.is_empty() {
            return Ok(None);
        }
        let (mut taken, mut size) = (Vec::new(), 0);
        while taken.len() < max {
            let now = Instant::now();
            let fault = self.fault;
            let is_held = state.held_until.is_some_and(|until| now < until);
            let is_free = |slot: &Slot| match slot.lease {
                _ if is_held => false,
                Some(lease) => fault == Fault::LeasesToOthersToo && lease.worker != worker,
                None => slot.not_before <= now,
            };
            let mut ready = state.slots.iter().filter(|(_, slot)| is_free(slot)).map(|(number, _)| *number);
            let (first, second) = (ready.next(), ready.next());
            drop(ready);
            let overtakes = self.settings.reorders > 0.0 && state.deliveries.is_multiple_of(3);
            if overtakes && second.is_some() && fault == Fault::LosesTheOvertaken {
                first.map(|first| state.slots.remove(&first));
            }
            let number = if overtakes { second.or(first) } else { first };
            let Some(number) = number else { break };
            let delivery = state.deliveries + 1;
            let is_leased = self.settings.duplicates == 0.0 || !delivery.is_multiple_of(3);
            let Some(slot) = state.slots.get_mut(&number) else { break };
            let may_exceed = is_first && taken.is_empty() && fault != Fault::StarvesLargeMessages;
            size += slot.item.size;
            if size > bytes && !may_exceed && fault != Fault::IgnoresTheBudget {
                break;
            }
            let attempt = slot.failures + 1;
            if is_leased {
                slot.lease = Some(Lease { delivery, worker, ends: now + self.settings.ack_wait });
            }
            let id = match fault {
                Fault::ChangesTheIdentity => format!("{number}-{attempt}"),
                Fault::RenamesDuplicates => format!("{number}-{delivery}"),
                _ if self.source == 0 || fault == Fault::CountsEachSource => number.to_string(),
                _ => format!("{}:{number}", self.source),
            };
            let item = slot.item;
            state.deliveries = delivery;
            let receipt = Receipt { source: self.source, message: number, delivery };
            taken.push(Delivery { receipt, id, attempt, item });
        }
        Ok(Some(taken))
    }

    /// Returns whether the server has done it; if not, another attempt decides.
    pub(super) fn settle(&self, receipt: Receipt, settle: Settle) -> Result<bool, Down> {
        let mut state = self.up()?;
        let Some(slot) = state.slots.get_mut(&receipt.message) else {
            let is_done = matches!(settle, Settle::Ack | Settle::Term);
            return Ok(is_done && self.fault != Fault::DoubtsRepeatedAcks);
        };
        if slot.lease.is_none()
            && matches!(settle, Settle::Retry(_))
            && self.fault == Fault::CountsRepeatedFailures
        {
            slot.failures += 1;
            return Ok(true);
        }
        let is_current = match slot.lease {
            Some(lease) => lease.delivery == receipt.delivery,
            None => settle == Settle::Ack || self.settings.duplicates > 0.0,
        };
        let takes_late = match settle {
            Settle::Retry(_) => self.fault == Fault::FailsLate,
            _ => self.fault == Fault::LeasesToOthersToo,
        };
        if !is_current && !takes_late {
            return Ok(false);
        }
        slot.lease = None;
        match settle {
            Settle::Ack | Settle::Term => {
                let slot = slot.clone();
                state.slots.remove(&receipt.message);
                state.removed.push((receipt.message, slot));
            }
            Settle::Retry(after) => {
                slot.failures += 1;
                slot.not_before = Instant::now() + after;
            }
            Settle::Release => {
                let counts_some =
                    self.fault == Fault::CountsSomeHandBacks && receipt.delivery.is_multiple_of(5);
                slot.failures += u32::from(counts_some || self.fault == Fault::CountsHandBacks);
            }
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(true)
    }

    /// Returns whether the lease still held.
    pub(super) fn extend(&self, receipt: Receipt) -> Result<bool, Down> {
        let mut state = self.up()?;
        let lease = state.slots.get_mut(&receipt.message).and_then(|slot| slot.lease.as_mut());
        match lease.filter(|lease| lease.delivery == receipt.delivery) {
            Some(lease) => lease.ends = Instant::now() + self.settings.ack_wait,
            None => return Ok(self.settings.duplicates > 0.0),
        }
        Ok(true)
    }

    /// The next time at which messages may come.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let state = self.state();
        let now = Instant::now();
        let slots = state.slots.values().map(|slot| slot.lease.map_or(slot.not_before, |lease| lease.ends));
        let polls = (self.fault == Fault::PollsForMessages).then(|| now + Duration::from_millis(100));
        slots.chain(state.down_until).chain(state.held_until).chain(polls).filter(|due| *due > now).min()
    }
}
