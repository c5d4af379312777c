//! The lock of a broker, and the waits around it.

use std::{mem, sync::Mutex, time::Duration};

use evenkeel_base::{FirstPanic, lock, sleep_until};
use evenkeel_task::Panic;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    BrokerClosed, MemoryConfig,
    receipt::MemoryReceipt,
    snapshot::{MemorySnapshot, PowerLoss},
    state::{Awaited, Lease, State, Taken},
    time::after,
};
use crate::{Delivery, Demand, Settle, SettleOutcome, SourceError, race::race};

pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    /// The longest latency of a call, and the share of lost answers: faults that need no lock where there are none.
    latency: Duration,
    lost_answers: f64,
    /// A message is ready, or the last one is settled; one waiter passes it on.
    ready: Notify,
    /// There is room for a message.
    space: Notify,
}

/// A call that waits, which is counted, so that nobody is notified where nobody waits.
struct Waiter<'a, T> {
    shared: &'a Shared<T>,
    awaited: Awaited,
}

impl<T> Drop for Waiter<'_, T> {
    fn drop(&mut self) {
        *lock(&self.shared.state).waiters(self.awaited) -= 1;
    }
}

impl<T> Shared<T> {
    pub(super) fn new(config: MemoryConfig) -> Self {
        let (latency, lost_answers) = (config.faults.latency, config.faults.lost_answers);
        let state = Mutex::new(State::new(config, Instant::now()));
        Self { state, latency, lost_answers, ready: Notify::new(), space: Notify::new() }
    }

    /// Does what is due, and makes a step.
    fn step<R>(&self, step: impl FnOnce(&mut State<T>, Instant) -> R) -> R {
        let now = Instant::now();
        let (result, synced, is_ready, has_space);
        {
            let mut state = lock(&self.state);
            synced = state.advance(now);
            let due = state.next_due();
            result = step(&mut state, now);
            // A waiter has a timer for what was due before.
            let is_due_sooner = state.next_due().is_some_and(|next| due.is_none_or(|due| next < due));
            is_ready = state.is_awaited(Awaited::Ready, is_due_sooner);
            has_space = state.is_awaited(Awaited::Space, false);
        }
        self.notify(is_ready, has_space);
        FirstPanic::default().drop_each(synced);
        result
    }

    fn notify(&self, is_ready: bool, has_space: bool) {
        if is_ready {
            self.ready.notify_one();
        }
        if has_space {
            self.space.notify_one();
        }
    }

    /// Stores a message without a look at the clock, where nothing that is due has a say. Returns it otherwise.
    fn publish_fast(&self, item: T, size: usize) -> Result<u64, T> {
        let (number, is_ready, has_space);
        {
            let mut state = lock(&self.state);
            if !state.may_publish() {
                return Err(item);
            }
            number = state.publish(item, size, None);
            is_ready = state.is_awaited(Awaited::Ready, false);
            has_space = state.is_awaited(Awaited::Space, false);
        }
        self.notify(is_ready, has_space);
        Ok(number)
    }

    pub(super) fn ack_wait(&self) -> Duration {
        lock(&self.state).config.ack_wait
    }

    pub(super) fn close(&self) {
        self.step(|state, _| state.close());
    }

    pub(super) fn crash(&self, downtime: Duration) {
        self.step(|state, now| state.crash(now, downtime));
    }

    pub(super) fn power_loss(&self, downtime: Duration) -> PowerLoss {
        let (loss, gone) = self.step(|state, now| {
            state.crash(now, downtime);
            state.lose_power()
        });
        FirstPanic::default().drop_each(gone);
        loss
    }

    pub(super) fn set_clock_forward(&self, by: Duration) {
        self.step(|state, now| state.move_times(|at| at.checked_sub(by).map_or(now, |at| at.max(now))));
    }

    pub(super) fn set_clock_back(&self, by: Duration) {
        self.step(|state, _| state.move_times(|at| after(at, by)));
    }

    pub(super) fn snapshot(&self) -> MemorySnapshot {
        self.step(|state, _| state.snapshot())
    }

    pub(super) async fn wait_for_sync(&self) {
        if let Some(at) = self.step(|state, _| state.next_sync()) {
            sleep_until(at).await;
            self.step(|_, _| ());
        }
    }

    pub(super) async fn publish(
        &self,
        item: T,
        size: usize,
        id: Option<&str>,
    ) -> Result<Option<u64>, BrokerClosed<T>> {
        let mut item = if id.is_none() && self.latency.is_zero() {
            match self.publish_fast(item, size) {
                Ok(number) => return Ok(Some(number)),
                Err(item) => Some(item),
            }
        } else {
            Some(item)
        };
        loop {
            self.latency(Some(&self.space)).await;
            let stored = self.step(|state, now| {
                if state.is_closed() {
                    return Some(Err(()));
                }
                if state.is_down() || state.is_full() {
                    return None;
                }
                if id.is_some_and(|id| !state.ids.insert(id, now)) {
                    return Some(Ok(None));
                }
                item.take().map(|item| Ok(Some(state.publish(item, size, id))))
            });
            match (stored, item.take()) {
                (Some(Ok(number)), _) => return Ok(number),
                (Some(Err(())), Some(item)) => return Err(BrokerClosed(item)),
                (_, left) => item = left,
            }
            self.wait(Awaited::Space).await;
        }
    }

    /// Waits for a notification, or for what is due next; not at all if it has come meanwhile.
    async fn wait(&self, awaited: Awaited) {
        let due = {
            let mut state = lock(&self.state);
            *state.waiters(awaited) += 1;
            if state.is_awaited(awaited, false) { Err(()) } else { Ok(state.next_due()) }
        };
        let _waiter = Waiter { shared: self, awaited };
        let notify = match awaited {
            Awaited::Ready => &self.ready,
            Awaited::Space => &self.space,
        };
        match due {
            Err(()) => {}
            Ok(Some(due)) => {
                race(notify.notified(), sleep_until(due)).await;
            }
            Ok(None) => notify.notified().await,
        }
    }

    /// Takes the time of a call, whose notification is passed on if it is dropped meanwhile.
    async fn latency(&self, notified: Option<&Notify>) {
        if self.latency.is_zero() {
            return;
        }
        let latency = lock(&self.state).random.up_to(self.latency);
        if !latency.is_zero() {
            let mut pass_on = PassOn(notified);
            sleep(latency).await;
            pass_on.0 = None;
        }
    }

    fn check(&self) -> Result<(), SourceError> {
        let is_down = self.step(|state, _| state.is_down());
        if is_down { Err(SourceError::transient("the broker is down")) } else { Ok(()) }
    }

    /// The answer to a call that was carried out, which a fault may lose.
    fn answer<R>(&self, result: R) -> Result<R, SourceError> {
        let is_lost = self.lost_answers > 0.0 && lock(&self.state).random.happens(self.lost_answers);
        if is_lost { Err(SourceError::transient("the answer of the broker was lost")) } else { Ok(result) }
    }

    pub(super) async fn settle(
        &self,
        batch: &[(MemoryReceipt, Settle)],
    ) -> Result<Vec<SettleOutcome>, SourceError> {
        self.latency(None).await;
        self.check()?;
        let mut gone = Vec::new();
        let outcomes = self.step(|state, now| {
            let settle = |(receipt, settle): &(MemoryReceipt, Settle)| {
                let (outcome, slot) = state.settle(receipt, *settle, now);
                // A message without a destructor may be dropped under the lock.
                gone.extend(slot.filter(|_| mem::needs_drop::<T>()));
                outcome
            };
            batch.iter().map(settle).collect()
        });
        FirstPanic::default().drop_each(gone);
        self.answer(outcomes)
    }

    pub(super) async fn extend(&self, receipts: &[MemoryReceipt]) -> Result<Vec<usize>, SourceError> {
        self.latency(None).await;
        self.check()?;
        let lost = self.step(|state, now| {
            let lost = |(index, receipt)| (!state.extend(receipt, now)).then_some(index);
            receipts.iter().enumerate().filter_map(lost).collect()
        });
        self.answer(lost)
    }
}

impl<T: Clone> Shared<T> {
    /// Waits for messages. It takes them behind its last await, so that a dropped call takes none.
    pub(super) async fn pull(&self, demand: Demand) -> Result<Vec<Delivery<T, MemoryReceipt>>, SourceError> {
        loop {
            self.latency(Some(&self.ready)).await;
            self.check()?;
            let mut taken = Taking { shared: self, taken: Vec::new() };
            let is_over = self.step(|state, _| {
                state.take(demand, &mut taken.taken);
                state.is_over()
            });
            if is_over {
                return Ok(Vec::new());
            }
            if !taken.taken.is_empty() {
                let delivered = taken.deliver();
                if !delivered.is_empty() {
                    return Ok(delivered);
                }
            }
            self.wait(Awaited::Ready).await;
        }
    }
}

/// A notification that is for the next waiter if this one is dropped.
struct PassOn<'a>(Option<&'a Notify>);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        if let Some(notify) = self.0 {
            notify.notify_one();
        }
    }
}

/// Messages that were taken out; those that cannot be copied are put back.
struct Taking<'a, T> {
    shared: &'a Shared<T>,
    taken: Vec<Taken<T>>,
}

impl<T: Clone> Taking<'_, T> {
    fn deliver(mut self) -> Vec<Delivery<T, MemoryReceipt>> {
        // The copies are made without the lock; a panic leaves the messages to the drop.
        let copies: Vec<T> = self.taken.iter().map(|taken| taken.item.clone()).collect();
        let mut gone = Vec::new();
        let taken = mem::take(&mut self.taken);
        let mut delivered = Vec::with_capacity(taken.len());
        self.shared.step(|state, now| {
            for (taken, item) in taken.into_iter().zip(copies) {
                match state.lease(taken, now) {
                    Ok(Lease { receipt, attempt, size }) => {
                        delivered.push(Delivery { item, receipt, attempt, size, leased_at: now });
                    }
                    Err(original) => gone.push((original, item)),
                }
            }
        });
        FirstPanic::default().drop_each(gone);
        delivered
    }
}

impl<T> Drop for Taking<'_, T> {
    fn drop(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let taken = mem::take(&mut self.taken);
        let left: Vec<T> = self
            .shared
            .step(|state, _| taken.into_iter().rev().filter_map(|taken| state.put_back(taken)).collect());
        drop(Panic::catch(|| drop(left)));
    }
}
