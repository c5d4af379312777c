//! The slot of an object in the pool.
//!
//! An object that is not idle travels in a [`SlottedObject`], from its creation, or from the idle objects, to the lease and
//! back. Wherever that is dropped, in a task that is aborted or in a panic, the object is dropped first, and its slot is
//! free only then: so there are never more than `max` objects, their destructors included.

use std::{mem, sync::Arc, thread};

use tokio::time::Instant;

use super::{Failure, State, check::SavedCheck, shared::Shared};
use crate::{DiscardReason, GetError, Manager, Panic, PoolEvent};

const TAKEN: &str = "a slot is taken until its guard is disarmed";

/// A slot that is taken; dropping it frees the slot.
///
/// Must not be dropped under the lock of the pool before it is disarmed.
pub(crate) struct SlotGuard<M: Manager> {
    // None once the state has freed the slot, or keeps it for an idle object.
    taken: Option<(Arc<Shared<M>>, usize)>,
}

impl<M: Manager> SlotGuard<M> {
    #[inline]
    pub(crate) fn new(shared: &Arc<Shared<M>>, key: usize) -> Self {
        Self { taken: Some((Arc::clone(shared), key)) }
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.taken.as_ref().expect(TAKEN).0
    }

    #[inline]
    pub(crate) fn key(&self) -> usize {
        self.taken.as_ref().expect(TAKEN).1
    }

    #[inline]
    pub(super) fn disarm(&mut self) -> (Arc<Shared<M>>, usize) {
        self.taken.take().expect(TAKEN)
    }

    /// Begins the creation in this slot, whose pause is over.
    pub(crate) fn begin_creation(&self) {
        let now = Instant::now();
        self.shared().update(|state| state.begin_creation(self.key(), now));
    }

    /// Fails the first waiter with the error of a creation, and the other ones with copies of it if no object can come
    /// back to them.
    pub(crate) fn refuse(self, error: M::Error) {
        let shared = Arc::clone(self.shared());
        let copy = || shared.manager.copy_error(&error).map(GetError::Create);
        // Only for the waiters of now: others may come back at once, and get their own attempt.
        for _ in 1..shared.read(State::hopeless_waiters) {
            let Some(copy) = copy() else { break };
            let unheard = shared.update(|state| match state.hopeless_waiters() {
                0 => Some(copy),
                _ => state.fail_first(copy),
            });
            drop(unheard);
        }
        let copied = copy();
        let error = GetError::Create(error);
        let failure = copied.map_or_else(|| Failure::of(&error), Failure::new);
        self.end(failure, Some(error));
    }

    /// Fails the first waiter, as there will be no object in this slot.
    pub(crate) fn fail(self, error: GetError<M::Error>) {
        self.end(Failure::of(&error), Some(error));
    }

    /// Frees the slot for another attempt: the creation has failed, but no wait ends by it.
    pub(crate) fn retry(self, error: M::Error) {
        self.end(Failure::new(GetError::Create(error)), None);
    }

    /// Frees the slot and fails the first waiter in one change, so that no waiter is called for the slot in between.
    fn end(mut self, failure: Failure, error: Option<GetError<M::Error>>) {
        let now = Instant::now();
        let (shared, key) = self.disarm();
        shared.tell(&PoolEvent::CreateFailed { error: &failure.text });
        let unheard = shared.end_creation(|state| {
            state.creation_failed(key, now);
            state.record_failure(failure);
            error.and_then(|error| state.fail_first(error))
        });
        // An error of a user's type: without the lock.
        drop(unheard);
    }
}

impl<M: Manager> Drop for SlotGuard<M> {
    #[inline]
    fn drop(&mut self) {
        if let Some((shared, key)) = self.taken.take() {
            if thread::panicking() {
                vacate_in_panic(&shared, key);
            } else {
                shared.end_creation(|state| state.vacate(key));
            }
        }
    }
}

/// Frees a slot while a panic goes by: a creation that panics has failed, and the next one waits for its pause.
#[cold]
fn vacate_in_panic<M: Manager>(shared: &Shared<M>, key: usize) {
    let now = Instant::now();
    shared.end_creation(|state| state.creation_failed(key, now));
}

/// A slot for a creation.
pub(crate) struct NewSlot<M: Manager> {
    pub(crate) slot: SlotGuard<M>,
    /// The time at which the creation begins, if not at once.
    pub(crate) from: Option<Instant>,
    /// The generation of its object.
    pub(crate) generation: u64,
}

/// An object of the pool, in a box of its own: the ways through the pool move a pointer.
pub(crate) struct PooledObject<M: Manager> {
    pub(crate) object: M::Object,
    pub(crate) check: SavedCheck<M>,
    pub(super) reset: SavedCheck<M>,
    /// The slot while it is idle.
    pub(super) idle_slot: usize,
    /// The beginning of the time in which it is idle, if that is needed.
    pub(crate) idle_since: Option<Instant>,
    pub(super) generation: u64,
    /// The end of its lifetime.
    pub(crate) expires: Option<Instant>,
}

impl<M: Manager> PooledObject<M> {
    pub(crate) fn new(object: M::Object, generation: u64) -> Box<Self> {
        let (check, reset) = (SavedCheck::default(), SavedCheck::default());
        Box::new(Self { object, check, reset, idle_slot: 0, idle_since: None, generation, expires: None })
    }
}

/// An object that was idle. It is dropped with its slot, as a [`SlottedObject`].
pub(crate) type IdleObject<M> = Box<PooledObject<M>>;

/// An object and its slot. The order of the fields is that of the drops: the object, then the slot.
pub(crate) struct SlottedObject<M: Manager> {
    pub(crate) pooled: Box<PooledObject<M>>,
    pub(crate) slot: SlotGuard<M>,
}

impl<M: Manager> SlottedObject<M> {
    /// Returns the object that was idle in a slot.
    pub(crate) fn was_idle(shared: &Arc<Shared<M>>, pooled: IdleObject<M>) -> Self {
        let slot = SlotGuard::new(shared, pooled.idle_slot);
        Self { pooled, slot }
    }

    /// Passes on an object that was just created.
    pub(crate) fn created(self) {
        let now = Instant::now();
        let shared = Arc::clone(self.slot.shared());
        // Paused creations begin, though a waker panics.
        shared.tell(&PoolEvent::Created);
        let passed_on = Panic::catch(|| self.pass_on(|state, object| state.created(object, now)));
        shared.recovered.notify_waiters();
        shared.creation_ended.notify_waiters();
        if let Err(panic) = passed_on {
            panic.resume();
        }
    }

    /// Passes on an object that is fit for use.
    pub(crate) fn offer(self) {
        let now = Instant::now();
        self.pass_on(|state, object| state.offer(object, now));
    }

    /// Returns an object that was used.
    #[inline]
    pub(crate) fn put_back(mut self) {
        if !self.slot.shared().is_plain && self.expires_at_return() {
            return self.discard(DiscardReason::Expired);
        }
        let (shared, key) = self.slot.disarm();
        // Disarmed, it has nothing to drop.
        mem::forget(self.slot);
        self.pooled.idle_slot = key;
        if let Err(refused) = shared.put_back(self.pooled) {
            let slot = SlotGuard { taken: Some((shared, key)) };
            Self { pooled: refused, slot }.discard(DiscardReason::Retired);
        }
    }

    /// Keeps the time of a return, if that is needed; returns whether the lifetime of the object is over.
    #[cold]
    fn expires_at_return(&mut self) -> bool {
        if !self.slot.shared().limits.times_returns() {
            return false;
        }
        let now = Instant::now();
        self.pooled.idle_since = Some(now);
        self.pooled.has_expired(now)
    }

    /// Drops the object, for this reason.
    #[cold]
    pub(crate) fn discard(self, reason: DiscardReason) {
        self.slot.shared().tell(&PoolEvent::Discarded { reason });
        drop(self);
    }

    /// Drops an object whose manager panicked, and fails the first waiter with that.
    pub(crate) fn fail(self, panic: Panic) {
        let Self { pooled, slot } = self;
        slot.shared().tell(&PoolEvent::Discarded { reason: DiscardReason::Broken });
        drop(pooled);
        slot.fail(GetError::Panic(panic));
    }

    /// Hands the object over to the state; if that returns it, it is dropped, without the lock.
    fn pass_on(self, change: impl FnOnce(&mut State<M>, Self) -> Option<Self>) {
        let shared = Arc::clone(self.slot.shared());
        let refused = shared.update(|state| change(state, self));
        if refused.is_some() {
            shared.tell(&PoolEvent::Discarded { reason: DiscardReason::Retired });
        }
        drop(refused);
    }

    /// Takes the object out of the pool.
    pub(crate) fn detach(mut self) -> M::Object {
        let (shared, key) = self.slot.disarm();
        shared.update(|state| state.detach(key));
        self.pooled.object
    }
}
