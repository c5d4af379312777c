//! The right to one of the places in a pool.

use std::error::Error;
use std::sync::Arc;

use tokio::time::Instant;

use crate::queue::Key;
use crate::shared::{Shared, chain, told};
use crate::state::{Failure, State};
use crate::{GetError, Manager, Panic};

/// A seat that is taken; dropping it makes room for another object.
pub(crate) struct Seat<M: Manager> {
    shared: Arc<Shared<M>>,
    // None once it was given up.
    key: Option<Key>,
}

impl<M: Manager> Seat<M> {
    pub(crate) fn new(shared: &Arc<Shared<M>>, key: Key) -> Self {
        Self { shared: Arc::clone(shared), key: Some(key) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.shared
    }

    pub(crate) fn key(&self) -> Key {
        self.key.expect("a seat is given up once")
    }

    /// The creation in this seat begins after its pause.
    pub(crate) fn begin(&self) {
        let now = Instant::now();
        self.shared.update(|state| state.begin(self.key(), now));
    }

    /// The creation in this seat failed for good; the error goes to the first waiter, copies of it to the others if
    /// nothing else can come for them.
    pub(crate) fn refuse(self, error: M::Error) {
        let shared = Arc::clone(&self.shared);
        let copy = || shared.manager.copy_error(&error).map(GetError::Create);
        // Only for those who wait now: others may come back at once, and get their own attempt.
        for _ in 1..shared.read(State::waiting_in_vain) {
            let Some(copy) = copy() else { break };
            let unheard = shared.update(|state| match state.waiting_in_vain() {
                0 => Some(copy),
                _ => state.fail(copy),
            });
            drop(unheard);
        }
        let failure = copy().map(failure);
        self.fail_as(GetError::Create(error), failure);
    }

    /// The creation in this seat failed; the error goes to the first waiter.
    pub(crate) fn fail(self, error: GetError<M::Error>) {
        self.fail_as(error, None);
    }

    fn fail_as(mut self, error: GetError<M::Error>, failure: Option<Failure>) {
        let failure = failure.unwrap_or_else(|| told(chain(&error)));
        let now = Instant::now();
        let key = self.give_up();
        let unheard = self.shared.update(|state| {
            state.create_failed(key, now);
            state.note(failure);
            state.fail(error)
        });
        drop(unheard);
    }

    /// The creation in this seat failed, and is worth another attempt: nobody's wait ends by it.
    pub(crate) fn retry(mut self, error: M::Error) {
        let failure = failure(GetError::Create(error));
        let now = Instant::now();
        let key = self.give_up();
        self.shared.update(|state| {
            state.create_failed(key, now);
            state.note(failure);
        });
    }

    fn give_up(&mut self) -> Key {
        self.key.take().expect("a seat is given up once")
    }
}

/// A failure with its error.
fn failure<E: Error + Send + Sync + 'static>(error: GetError<E>) -> Failure {
    Failure { text: chain(&error), error: Arc::new(error) }
}

impl<M: Manager> Drop for Seat<M> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.update(|state| state.vacate(key));
        }
    }
}

/// An object and its seat. Dropping it drops the object first, and makes room only then.
pub(crate) struct Seated<M: Manager> {
    pub(crate) object: M::Object,
    pub(crate) seat: Seat<M>,
}

impl<M: Manager> Seated<M> {
    pub(crate) fn new(shared: &Arc<Shared<M>>, (object, key): (M::Object, Key)) -> Self {
        Self { object, seat: Seat::new(shared, key) }
    }

    /// Hands in an object that was just created.
    pub(crate) fn created(self) {
        let now = Instant::now();
        let shared = Arc::clone(&self.seat.shared);
        let handed_in = Panic::catch(|| {
            self.hand_in(|state, object, key| {
                state.created(key);
                state.offer(object, key, now)
            });
        });
        shared.recovered.notify_waiters();
        if let Err(panic) = handed_in {
            panic.resume();
        }
    }

    /// Hands in an object that is fit for use.
    pub(crate) fn offer(self) {
        let now = Instant::now();
        self.hand_in(|state, object, key| state.offer(object, key, now));
    }

    /// Hands in an object that was used.
    pub(crate) fn put_back(self) {
        self.hand_in(State::put_back);
    }

    fn hand_in(self, change: impl FnOnce(&mut State<M>, M::Object, Key) -> Option<M::Object>) {
        let Self { object, mut seat } = self;
        let key = seat.give_up();
        let refused = seat.shared.update(|state| change(state, object, key));
        if refused.is_some() {
            seat.key = Some(key);
        }
        drop(refused);
    }

    /// The object leaves the pool.
    pub(crate) fn detach(self) -> M::Object {
        let Self { object, mut seat } = self;
        let key = seat.give_up();
        seat.shared.update(|state| state.detach(key));
        object
    }
}
