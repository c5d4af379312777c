//! The slot that an object has while it is not idle.
//!
//! An object travels in its [`SlottedObject`] from its creation, or from the idle objects, to the lease and back. Wherever
//! that is dropped, in a task that is aborted or in a panic, the object is dropped first, and its slot is free only then:
//! so there are never more than `max` objects, their destructors included.

use std::sync::Arc;

use evenkeel_base::error_chain;
use tokio::time::Instant;

use super::{Failure, State, shared::Shared};
use crate::{GetError, Manager, Panic};

const TAKEN: &str = "a slot is taken until its guard is disarmed";

/// A slot that is taken; dropping it frees the slot.
///
/// Must not be dropped under the lock of the pool while it has its key.
pub(crate) struct SlotGuard<M: Manager> {
    shared: Arc<Shared<M>>,
    // None once the state has freed the slot.
    key: Option<usize>,
}

impl<M: Manager> SlotGuard<M> {
    pub(crate) fn new(shared: &Arc<Shared<M>>, key: usize) -> Self {
        Self { shared: Arc::clone(shared), key: Some(key) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.shared
    }

    pub(crate) fn key(&self) -> usize {
        self.key.expect(TAKEN)
    }

    pub(crate) fn set_key(&mut self, key: usize) {
        self.key = Some(key);
    }

    fn disarm(&mut self) -> usize {
        self.key.take().expect(TAKEN)
    }

    /// Begins the creation in this slot, whose pause is over.
    pub(crate) fn begin_creation(&self) {
        let now = Instant::now();
        self.shared.update(|state| state.begin_creation(self.key(), now));
    }

    /// Fails the first waiter with the error of a creation, and the other ones with copies of it if no object can come
    /// back to them.
    pub(crate) fn refuse(self, error: M::Error) {
        let shared = Arc::clone(&self.shared);
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
        let failure = copied.map_or_else(|| Failure::text(error_chain(&error)), Failure::new);
        self.end(failure, Some(error));
    }

    /// Fails the first waiter, as there will be no object in this slot.
    pub(crate) fn fail(self, error: GetError<M::Error>) {
        self.end(Failure::text(error_chain(&error)), Some(error));
    }

    /// Frees the slot for another attempt: the creation has failed, but no wait ends by it.
    pub(crate) fn retry(self, error: M::Error) {
        self.end(Failure::new(GetError::Create(error)), None);
    }

    /// Frees the slot and fails the first waiter in one change, so that no waiter is called for the slot in between.
    fn end(mut self, failure: Failure, error: Option<GetError<M::Error>>) {
        let now = Instant::now();
        let key = self.disarm();
        let unheard = self.shared.update(|state| {
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
        if let Some(key) = self.key {
            self.shared.update(|state| state.vacate(key));
        }
    }
}

/// An object and its slot. The order of the fields is that of the drops: the object, then the slot.
pub(crate) struct SlottedObject<M: Manager> {
    pub(crate) object: M::Object,
    pub(crate) slot: SlotGuard<M>,
}

impl<M: Manager> SlottedObject<M> {
    /// Passes on an object that was just created.
    pub(crate) fn created(self) {
        let now = Instant::now();
        let shared = Arc::clone(&self.slot.shared);
        // Paused creations begin, though a waker panics.
        let passed_on = Panic::catch(|| self.release(|state, object| state.created(object, now)));
        shared.recovered.notify_waiters();
        if let Err(panic) = passed_on {
            panic.resume();
        }
    }

    /// Passes on an object that is fit for use.
    pub(crate) fn offer(self) {
        let now = Instant::now();
        self.release(|state, object| state.offer(object, now));
    }

    /// Returns an object that was used.
    pub(crate) fn put_back(self) {
        self.release(State::put_back);
    }

    /// Drops an object whose manager panicked, and fails the first waiter with that.
    pub(crate) fn fail(self, panic: Panic) {
        let Self { object, slot } = self;
        drop(object);
        slot.fail(GetError::Panic(panic));
    }

    /// Hands the object over to the state; if that returns it, it is dropped, without the lock.
    fn release(self, change: impl FnOnce(&mut State<M>, Self) -> Option<Self>) {
        let shared = Arc::clone(&self.slot.shared);
        let refused = shared.update(|state| change(state, self));
        drop(refused);
    }

    /// Takes the object out of the pool.
    pub(crate) fn detach(self) -> M::Object {
        let shared = Arc::clone(&self.slot.shared);
        let (object, key) = self.take_apart();
        shared.update(|state| state.detach(key));
        object
    }

    /// Returns the object, and the key of its slot, which has to be freed.
    pub(crate) fn take_apart(self) -> (M::Object, usize) {
        let Self { object, mut slot } = self;
        let key = slot.disarm();
        (object, key)
    }
}
