//! The items in hand: the account of every delivery from its pull to the answer of the server.
//!
//! # How it works
//!
//! A delivery has one entry, and one token for each of its parts; at first it is one part. A token is dropped with what
//! became of its part, and the last one decides: acked if all parts are done, tried again or dead if one has failed, handed
//! back if one was aborted. A decided entry leaves the window at once, and stays here until the server has answered.
//!
//! - **Every accepted delivery is counted once**: when its entry is removed, or at the end among those that are left.
//! - **A lost lease aborts the work**: the entry is marked, the counter of losses moves, which each poll of a stage compares,
//!   and the worker is woken. It is counted when its last token is gone, and the server is told nothing; but a server that
//!   refuses late words by itself is told the outcome, since the lease may hold there.
//! - **Nothing foreign runs under the lock.** Wakers and failures that a step takes out are dropped behind it; receipts and
//!   copies of items are in [`Deliveries`](crate::deliveries::Deliveries), under a lock of their own. The two are never held
//!   together.
//!
//! | task | waits for | notified by |
//! |---|---|---|
//! | pull | `room` | an entry that leaves the window, an answer that lowers the arrears |
//! | settle | `decided` | a decision, the close |
//! | dead letters | `exhausted` | an entry whose attempts are used up |
//! | leases | `leases` | a lease that ends before the next look |
//! | run | `idle` | the last token, the last dead letter |

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use evenkeel_base::lock;
use tokio::{sync::Notify, time::Instant};

mod account;
mod effects;
mod entry;
mod limits;
mod numbers;
mod state;

use self::{
    effects::{DoneEffects, Effects},
    state::State,
};
pub(crate) use self::{
    limits::Limits,
    numbers::Numbers,
    state::{Exhausted, Leases, PartEnd},
};

use crate::{
    Demand, Settle, SettleOutcome,
    deliveries::Origins,
    edges::DumpInstant,
    item_key::ItemKey,
    report::DrainReport,
    threads::{has_threads, let_others_run},
};

/// The items in hand of one pipeline.
pub(crate) struct InHand {
    state: Mutex<State>,
    /// The number of leases that were lost, ever.
    losses: AtomicU64,
    pub(crate) room: Notify,
    pub(crate) decided: Notify,
    pub(crate) exhausted: Notify,
    pub(crate) leases: Notify,
    pub(crate) idle: Notify,
    pub(crate) ack_wait: Option<Duration>,
    /// Whether the tasks of the pipeline have several threads.
    pub(crate) has_threads: bool,
    origins: Arc<dyn Origins>,
}

impl InHand {
    /// `keeps_items` says that there may be copies of items, to be released.
    pub(crate) fn new(
        limits: Limits,
        ack_wait: Option<Duration>,
        is_fenced: bool,
        origins: Arc<dyn Origins>,
        keeps_items: bool,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(limits, is_fenced, keeps_items)),
            losses: AtomicU64::new(0),
            room: Notify::new(),
            decided: Notify::new(),
            exhausted: Notify::new(),
            leases: Notify::new(),
            idle: Notify::new(),
            ack_wait,
            has_threads: has_threads(),
            origins,
        }
    }

    /// Makes one step under the lock, and notifies and drops behind it.
    fn step<R>(&self, step: impl FnOnce(&mut State, &mut Effects) -> R) -> R {
        self.step_and_wake(step).0
    }

    /// Makes one step. Returns whether it may have woken a task as well.
    fn step_and_wake<R>(&self, step: impl FnOnce(&mut State, &mut Effects) -> R) -> (R, bool) {
        let mut effects = Effects::default();
        let result = step(&mut lock(&self.state), &mut effects);
        let has_woken = effects.wakes();
        if effects.is_decided {
            self.decided.notify_one();
        }
        if effects.has_room {
            self.room.notify_one();
        }
        if effects.is_exhausted {
            self.exhausted.notify_one();
        }
        if effects.is_idle {
            self.idle.notify_one();
        }
        for waker in effects.woken {
            waker.wake();
        }
        if !effects.removed.is_empty() {
            self.origins.release(&effects.removed);
        }
        (result, has_woken)
    }

    /// Waits until there is room for this many items at least.
    pub(crate) async fn wait_for_room(&self, least: usize) -> Demand {
        loop {
            if let Some(demand) = lock(&self.state).demand(least) {
                return demand;
            }
            self.room.notified().await;
            self.let_others_make_room().await;
        }
    }

    /// Lets the others run that are ready, which make more room: a call for each item costs more than it gains.
    pub(crate) async fn let_others_make_room(&self) {
        let_others_run(self.has_threads, || lock(&self.state).free()).await;
    }

    /// Enters deliveries, each by its attempt, its size and the instant of its lease.
    pub(crate) fn accept(&self, facts: impl Iterator<Item = (u32, usize, Instant)>) -> Vec<ItemKey> {
        let (ack_wait, now) = (self.ack_wait, DumpInstant::now());
        let (keys, first_end) = self.step(|state, _| {
            let mut first_end = None;
            let keys = facts
                .map(|(attempt, size, leased_at)| {
                    let ends = ack_wait.and_then(|wait| leased_at.checked_add(wait));
                    first_end = first_end.into_iter().chain(ends).min();
                    state.accept(attempt, size, ends, now)
                })
                .collect();
            (keys, first_end)
        });
        // The next look comes after a third of the time at the latest.
        if let (Some(wait), Some(end)) = (ack_wait, first_end)
            && end < Instant::now() + wait / 2
        {
            self.leases.notify_one();
        }
        keys
    }

    /// Adds the tokens of further parts.
    pub(crate) fn split(&self, key: ItemKey, parts: usize) {
        self.step(|state, _| state.split(key, parts));
    }

    /// Drops the token of a part that is done: the commonest step, which has few effects. Returns whether it may have woken a
    /// task.
    #[inline]
    pub(crate) fn end_done(&self, key: ItemKey, place: Option<usize>) -> bool {
        let effects = lock(&self.state).end_done(key);
        let Some(DoneEffects { is_decided, has_room, is_idle, dropped }) = effects else {
            return self.end_part(key, PartEnd::Done, place);
        };
        if is_decided {
            self.decided.notify_one();
        }
        if has_room {
            self.room.notify_one();
        }
        if is_idle {
            self.idle.notify_one();
        }
        drop(dropped);
        is_decided | has_room | is_idle
    }

    /// Drops the token of a part. Returns whether it may have woken a task.
    #[inline(never)]
    pub(crate) fn end_part(&self, key: ItemKey, end: PartEnd, place: Option<usize>) -> bool {
        self.step_and_wake(|state, effects| state.end_part(key, end, place, effects)).1
    }

    /// Returns the low bits of the number of losses.
    pub(crate) fn losses(&self) -> u32 {
        self.losses.load(Relaxed) as u32
    }

    pub(crate) fn is_lost(&self, key: ItemKey) -> bool {
        lock(&self.state).is_lost(key)
    }

    /// Stores the waker of the worker of a part, so that a lost lease wakes it. Returns its place.
    pub(crate) fn watch(&self, key: ItemKey, place: Option<usize>, waker: Waker) -> Option<usize> {
        let (before, place) = lock(&self.state).watch(key, place, waker);
        drop(before);
        place
    }

    /// Returns the identity of an item.
    pub(crate) fn origin(&self, key: ItemKey) -> String {
        self.origins.origin(key)
    }

    /// Takes decisions to be settled, at most `max`, into `batch`. Returns `None` when there will be no more.
    pub(crate) fn take_decided(&self, max: usize, batch: &mut Vec<(ItemKey, Settle)>) -> Option<usize> {
        lock(&self.state).take_decided(max, batch)
    }

    /// Returns the number of decisions that wait, and whether there will be no more.
    pub(crate) fn waiting_decisions(&self) -> (usize, bool) {
        lock(&self.state).waiting_decisions()
    }

    /// Removes decisions that must not be sent any more, as the lease is lost.
    pub(crate) fn drop_late(&self, batch: &mut Vec<(ItemKey, Settle)>) {
        let now = Instant::now();
        self.step(|state, effects| state.drop_late(batch, now, effects));
    }

    /// Counts the answers of the server.
    pub(crate) fn settled(&self, batch: &[(ItemKey, Settle)], outcomes: &[SettleOutcome]) {
        self.step(|state, effects| state.settled(batch, outcomes, effects));
    }

    /// Looks at the leases: marks those that have run out, and returns those to extend.
    pub(crate) fn scan_leases(&self, now: Instant) -> Leases {
        self.mark_lost(|state, effects| state.scan_leases(now, effects))
    }

    /// Notes that leases were extended at an instant, and that others are lost.
    pub(crate) fn extended(&self, keys: &[ItemKey], lost: &[usize], at: Instant) {
        let ends = self.ack_wait.and_then(|wait| at.checked_add(wait));
        self.mark_lost(|state, effects| state.extended(keys, lost, ends, effects));
    }

    /// Makes a step that may lose leases. The counter moves before the workers are woken.
    fn mark_lost<R>(&self, step: impl FnOnce(&mut State, &mut Effects) -> R) -> R {
        self.step(|state, effects| {
            let result = step(state, effects);
            self.losses.fetch_add(effects.lost, Relaxed);
            result
        })
    }

    /// Takes the items whose attempts are used up.
    pub(crate) fn take_exhausted(&self) -> Vec<Exhausted> {
        lock(&self.state).take_exhausted()
    }

    /// Decides about an item that was taken from the exhausted ones.
    pub(crate) fn decide(&self, key: ItemKey, settle: Settle) {
        self.step(|state, effects| state.decide(key, settle, effects));
    }

    /// From now on tokens that are dropped hand their items back.
    pub(crate) fn abort(&self) {
        lock(&self.state).abort();
    }

    /// From now on nothing is told to the server: the items come again when their leases run out.
    pub(crate) fn abandon(&self) {
        lock(&self.state).abandon();
    }

    /// Returns whether no item is worked on, by a stage or by the dead letter sink.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.state).is_idle()
    }

    /// Waits until no item is worked on.
    pub(crate) async fn wait_until_idle(&self) {
        while !self.is_idle() {
            self.idle.notified().await;
        }
    }

    /// Waits until no token is left.
    pub(crate) async fn wait_until_aborted(&self) {
        while lock(&self.state).has_tokens() {
            self.idle.notified().await;
        }
    }

    /// Hands the exhausted items back that have no dead letter, and says that no more decisions come.
    pub(crate) fn close(&self) {
        self.step(|state, effects| state.close(effects));
    }

    /// Pauses pulls, or goes on.
    pub(crate) fn set_paused(&self, is_paused: bool) {
        self.step(|state, effects| state.set_paused(is_paused, effects));
    }

    /// Counts all, and what is left as left.
    pub(crate) fn report(&self) -> DrainReport {
        lock(&self.state).report()
    }

    /// Returns the oldest items that are worked on, each with its attempt and the time of its pull.
    #[cfg(feature = "inspect")]
    pub(crate) fn oldest(&self, most: usize) -> Vec<(ItemKey, u32, Instant)> {
        lock(&self.state).oldest(most)
    }

    /// Returns the number of items that wait for the writer of dead letters.
    #[cfg(feature = "inspect")]
    pub(crate) fn exhausted(&self) -> usize {
        lock(&self.state).exhausted()
    }

    pub(crate) fn numbers(&self) -> Numbers {
        lock(&self.state).numbers()
    }
}
