//! An object of a pool.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use evenkeel_base::lock;

use super::{
    super::step::{BackendError, Kind},
    Backend,
};

/// An object of a pool.
///
/// # Examples
/// As in [`SUITE`](crate::pool::SUITE).
#[must_use = "a rule sees when it is dropped"]
pub struct Object {
    number: u32,
    backend: Backend,
    is_broken: AtomicBool,
    destructor: Mutex<Option<Destructor>>,
    /// The lease of an object that is in another process, whose end is told from there.
    is_lease: bool,
}

/// The action of an object's destructor.
#[derive(Clone)]
pub(crate) enum Destructor {
    Panics,
    /// It begins a get, and gives it up.
    Asks(Arc<dyn Fn() + Send + Sync>),
}

impl Object {
    pub(crate) fn new(number: u32, backend: &Backend) -> Self {
        Self {
            number,
            backend: backend.clone(),
            is_broken: AtomicBool::new(false),
            destructor: Mutex::new(None),
            is_lease: false,
        }
    }

    /// The lease of an object that is in another process.
    pub(crate) fn lease(number: u32, backend: &Backend) -> Self {
        let mut lease = Self::new(number, backend);
        lease.is_lease = true;
        lease
    }

    /// Checks whether the object can be lent again.
    ///
    /// # Errors
    /// If it cannot.
    ///
    /// # Cancel safety
    /// Dropping it ends the check.
    ///
    /// # Panics
    /// If that is how the check ends.
    pub async fn check(&self) -> Result<(), BackendError> {
        self.backend.step(Kind::Check, self.number).await
    }

    /// Cleans the object for its next user.
    ///
    /// # Errors
    /// If it cannot be used again.
    ///
    /// # Cancel safety
    /// Dropping it leaves the object as it is.
    pub async fn reset(&self) -> Result<(), BackendError> {
        self.backend.step(Kind::Reset, self.number).await
    }

    /// Returns whether the object is broken, as its last user has found.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed) || self.backend.is_broken(self.number)
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn break_down(&self) {
        match self.backend.elsewhere() {
            Some(elsewhere) => elsewhere.breaks(self.number),
            None => self.is_broken.store(true, Relaxed),
        }
    }

    /// Its destructor does this.
    pub(crate) fn destroyed_by(&self, destructor: Destructor) {
        match self.backend.elsewhere() {
            Some(elsewhere) => elsewhere.destroys(self.number, &destructor),
            None => {
                let old = lock(&self.destructor).replace(destructor);
                drop(old);
            }
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if self.is_lease {
            return;
        }
        let remote = self.backend.freed(self.number);
        let own = lock(&self.destructor).take();
        match own.or(remote).filter(|_| !thread::panicking()) {
            Some(Destructor::Panics) => panic!("the destructor of object {} panics", self.number),
            Some(Destructor::Asks(ask)) => ask(),
            None => {}
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("number", &self.number).finish_non_exhaustive()
    }
}
