//! What the handles, the leases and the tasks of a pool share.

use std::error::Error;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;

use evenkeel_task::{Stop, catch_panic};
use tokio::sync::Notify;

use crate::builder::Limits;
use crate::state::{Due, Failure, Rest, State};
use crate::{BoxError, GetError, Manager, Panic};

pub(crate) struct Shared<M: Manager> {
    pub(crate) manager: M,
    pub(crate) limits: Limits,
    state: Mutex<State<M>>,
    // Whether one who came after the last change had to wait.
    waits: AtomicBool,
    // Given when the pool is closed, for its tasks.
    pub(crate) closing: Stop,
    // Given when it is closed and empty.
    pub(crate) ended: Stop,
    // Told when a creation has succeeded, for those tasks that wait to create.
    pub(crate) recovered: Notify,
}

impl<M: Manager> Shared<M> {
    pub(crate) fn new(manager: M, max: usize, limits: Limits) -> Self {
        let state = Mutex::new(State::new(max));
        let (waits, recovered) = (AtomicBool::new(true), Notify::new());
        Self { manager, limits, state, waits, closing: Stop::new(), ended: Stop::new(), recovered }
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State<M>) -> T) -> T {
        look(&lock(&self.state))
    }

    /// Changes the state, and wakes those whom the change concerns.
    ///
    /// A panic of a waker goes on here when all are awake and all is done; the output is dropped then.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State<M>) -> T) -> T {
        let (output, due) = self.change(change);
        match due {
            Due { waker: None, rest: None } => {}
            Due { waker: Some(waker), rest: None } if !thread::panicking() => waker.wake(),
            due => self.tell(due),
        }
        output
    }

    /// Changes the state, and gives what is left to do.
    fn change<T>(&self, change: impl FnOnce(&mut State<M>) -> T) -> (T, Due) {
        let mut state = lock(&self.state);
        let output = change(&mut state);
        let due = state.settle();
        self.waits.store(state.waits(), Relaxed);
        (output, due)
    }

    /// Whether a getter that comes now will wait, as far as can be seen without the lock.
    pub(crate) fn will_wait(&self) -> bool {
        self.waits.load(Relaxed)
    }

    fn tell(&self, due: Due) {
        go_on(self.all_told(due));
    }

    fn all_told(&self, Due { waker, rest }: Due) -> Result<(), Panic> {
        let Rest { second, stale, outdated, ended } = *rest.unwrap_or_default();
        let mut outcome = wake_all([waker, second].into_iter().flatten());
        if ended {
            outcome = outcome.and(Panic::catch(|| self.ended.drain(CLOSED)));
        }
        outcome.and(Panic::catch(|| drop(stale))).and(Panic::catch(|| drop(outdated)))
    }

    /// Closes the pool, and ends all that nobody holds.
    pub(crate) fn close(&self) {
        let ((idle, waiters), due) = self.change(State::close);
        let mut outcome = Panic::catch(|| self.closing.drain(CLOSED));
        outcome = outcome.and(wake_all(waiters));
        outcome = idle.into_iter().map(|object| Panic::catch(|| drop(object))).fold(outcome, Result::and);
        go_on(outcome.and(self.all_told(due)));
    }

    /// Gives an error to the first waiter; its text stays with the pool.
    pub(crate) fn fail(&self, error: GetError<M::Error>) {
        let failure = told(chain(&error));
        let unheard = self.update(|state| {
            state.note(failure);
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

const CLOSED: &str = "the pool is closed";

/// Wakes all of them, and gives the first panic.
fn wake_all(wakers: impl IntoIterator<Item = Waker>) -> Result<(), Panic> {
    let mut wakers = wakers.into_iter();
    let (mut outcome, mut left) = (Ok(()), true);
    // Again for those behind one that panicked.
    while left {
        outcome = outcome.and(Panic::catch(|| {
            wakers.by_ref().for_each(Waker::wake);
            left = false;
        }));
    }
    outcome
}

/// Goes on with a panic, unless the thread is unwinding already: it survives no other.
fn go_on(outcome: Result<(), Panic>) {
    if let Err(panic) = outcome
        && !thread::panicking()
    {
        panic.resume();
    }
}

/// Locks; a panic cannot leave anything half done, since no code of others runs under the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A failure of which there is the text alone.
pub(crate) fn told(text: String) -> Failure {
    Failure { error: BoxError::from(text.clone()).into(), text }
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
