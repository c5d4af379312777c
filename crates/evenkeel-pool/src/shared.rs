//! What the handles, the leases and the tasks of a pool share.

use std::error::Error;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use evenkeel_task::catch_panic;
use tokio::sync::Notify;

use crate::builder::Limits;
use crate::state::State;
use crate::{GetError, Manage};

pub(crate) struct Shared<M: Manage> {
    pub(crate) manager: M,
    pub(crate) limits: Limits,
    state: Mutex<State<M>>,
    // Told when a closed pool is empty.
    pub(crate) ended: Notify,
}

impl<M: Manage> Shared<M> {
    pub(crate) fn new(manager: M, max: usize, limits: Limits) -> Self {
        Self { manager, limits, state: Mutex::new(State::new(max)), ended: Notify::new() }
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State<M>) -> T) -> T {
        look(&lock(&self.state))
    }

    /// Changes the state, and wakes those whom the change concerns.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State<M>) -> T) -> T {
        let mut state = lock(&self.state);
        let output = change(&mut state);
        let due = state.settle();
        let ended = state.is_ended();
        drop(state);
        due.wake();
        if ended {
            self.ended.notify_waiters();
        }
        output
    }

    /// Gives an error to the first waiter; its text stays with the pool.
    pub(crate) fn fail(&self, error: GetError<M::Error>) {
        let text = chain(&error);
        let unheard = self.update(|state| {
            state.note(text);
            state.fail(error)
        });
        drop(unheard);
    }

    /// Runs the work of a task of the pool. A panic in it is an error of the first waiter.
    pub(crate) async fn own(&self, work: impl Future<Output = ()>) {
        if let Err(panic) = catch_panic(work).await {
            self.fail(GetError::Panic(panic));
        }
    }
}

/// Locks; a panic cannot leave anything half done, since no code of others runs under the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error and its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
