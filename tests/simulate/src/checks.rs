//! The first promise that was broken, wherever it was seen.

use std::{
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The promises of one run; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    broken: Mutex<Option<String>>,
    notify: Notify,
}

impl Checks {
    /// Notes that a promise was broken, unless one was before.
    pub fn fail(&self, promise: String) {
        lock(&self.state.broken).get_or_insert(promise);
        self.state.notify.notify_one();
    }

    /// Notes that a promise was broken if it does not hold.
    pub fn that(&self, holds: bool, promise: impl FnOnce() -> String) {
        if !holds {
            self.fail(promise());
        }
    }

    /// Waits until a promise is broken; one future waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn broken(&self) -> String {
        loop {
            if let Some(promise) = lock(&self.state.broken).clone() {
                return promise;
            }
            self.state.notify.notified().await;
        }
    }

    /// Returns the promise that was broken, if one was.
    ///
    /// # Errors
    ///
    /// The promise.
    pub fn result(&self) -> Result<(), String> {
        lock(&self.state.broken).clone().map_or(Ok(()), Err)
    }
}

/// Panics as a fault of the script, which is told to no panic hook.
pub(crate) fn plant_panic(text: &str) -> ! {
    resume_unwind(Box::new(format!("planted {text}")))
}

/// Locks a mutex, also after a planted panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
