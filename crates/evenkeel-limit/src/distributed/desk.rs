//! Where the requests of one process meet the store.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{timeout, timeout_at},
};

use super::{
    error::{Error, Failure},
    quota::Quota,
    snapshot::Snapshot,
    store::{AnyStore, BoxError, Take, Taken},
    till::{Aftermath, Ask, Entry, Patience, Step, Terms, Till},
};
use crate::{
    denied::{Denied, Reason},
    limiter::RateLimiter,
    queue::Key,
    rate::Rate,
};

/// All that the users of a limit share in one process.
///
/// The store is called by a task, the runner, so that nobody's progress depends on another's future being polled, and
/// who goes away takes nothing along. It runs as long as anybody waits, and as long as there is something to give back.
#[derive(Debug)]
pub(super) struct Desk {
    store: Arc<dyn AnyStore>,
    key: String,
    quota: Quota,
    terms: Terms,
    till: Mutex<Till>,
    runner: Mutex<Option<AbortHandle>>,
    /// There is news for the runner.
    news: Notify,
    /// The runner has ended.
    ended: Notify,
}

impl Desk {
    #[track_caller]
    pub(super) fn new(
        store: Arc<dyn AnyStore>,
        key: String,
        rate: Rate,
        quota: Quota,
        terms: Terms,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            key,
            quota,
            terms,
            till: Mutex::new(Till::new(rate, quota, terms)),
            runner: Mutex::new(None),
            news: Notify::new(),
            ended: Notify::new(),
        })
    }

    pub(super) async fn take(self: &Arc<Self>, permits: u32, patience: Patience) -> Result<(), Error> {
        loop {
            let granted = match self.with(|till| till.enter(permits, patience)) {
                Entry::Granted => return Ok(()),
                Entry::Refused(error) => return Err(error),
                Entry::Queued(key) => Place { desk: self, key: Some(key) }.await,
                Entry::Share(share) => self.take_share(&share, permits, patience).await,
            };
            match granted {
                Err(denied) if denied.reason == Reason::Closed => {}
                decided => return decided.map_err(Error::from),
            }
        }
    }

    async fn take_share(
        self: &Arc<Self>,
        share: &RateLimiter,
        permits: u32,
        patience: Patience,
    ) -> Result<(), Denied> {
        let mut sharing = Sharing { desk: self, granted: None };
        let taken = match patience {
            Patience::None => share.try_acquire_many(permits),
            Patience::Some => share.acquire_many(permits).await,
        };
        if !matches!(taken, Err(denied) if denied.reason == Reason::Closed) {
            sharing.granted = Some(taken.is_ok());
        }
        taken
    }

    pub(super) fn refund(self: &Arc<Self>, permits: u32) {
        if let Some(share) = self.with(|till| till.refund(permits)) {
            share.refund(permits);
        }
    }

    pub(super) async fn close(self: &Arc<Self>) {
        self.with(Till::close);
        loop {
            let ended = self.ended.notified();
            if !self.locked().is_running() {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.locked().snapshot()
    }

    /// Ends the runner wherever it is.
    pub(super) fn abort(&self) {
        if let Some(runner) = self.runner.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runner.abort();
        }
    }

    fn locked(&self) -> MutexGuard<'_, Till> {
        self.till.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the till, and does what follows from that when it is not locked.
    fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut Till) -> R) -> R {
        let mut till = self.locked();
        let result = change(&mut till);
        let Aftermath { wake, replaced: _replaced, close, poke, start } = mem::take(&mut till.after);
        drop(till);
        if let Some(runtime) = start {
            let runner = runtime.spawn(run(Arc::clone(self)));
            *self.runner.lock().unwrap_or_else(PoisonError::into_inner) = Some(runner.abort_handle());
        }
        if poke {
            self.news.notify_one();
        }
        if let Some(share) = close {
            share.close();
        }
        wake.into_iter().for_each(Waker::wake);
        result
    }

    /// One call of the store.
    async fn ask(&self, ask: Ask) -> Result<Taken, BoxError> {
        let Ask { returned, least, most } = ask;
        let Quota { speed, cost, .. } = self.quota;
        let take = Take { key: &self.key, speed, cost, depth: self.quota.depth(), returned, least, most };
        let answer = timeout(self.terms.timeout, self.store.take(take)).await;
        answer.unwrap_or_else(|_| Err(Failure::TimedOut(self.terms.timeout).boxed()))
    }
}

/// The runner.
async fn run(desk: Arc<Desk>) {
    let mut shift = Shift { desk, over: false };
    let desk = &shift.desk;
    while let Some(step) = desk.with(Till::step) {
        match step {
            Step::Ask(ask) => {
                let answer = desk.ask(ask).await;
                desk.with(|till| till.settle(ask, answer));
            }
            // Either way there is a next step.
            Step::Pause(until) => drop(timeout_at(until, desk.news.notified()).await),
        }
    }
    shift.over = true;
}

/// The time for which the runner is under way.
struct Shift {
    desk: Arc<Desk>,
    /// Whether it came to its end; another may have begun since.
    over: bool,
}

impl Drop for Shift {
    fn drop(&mut self) {
        if !self.over {
            self.desk.with(Till::cut_off);
        }
        self.desk.ended.notify_waiters();
    }
}

/// A place in the queue. Refused as closed means to enter again.
#[derive(Debug)]
struct Place<'a> {
    desk: &'a Arc<Desk>,
    key: Option<Key>,
}

impl Future for Place<'_> {
    type Output = Result<(), Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let key = self.key.expect("not polled after it was ready");
        match self.desk.with(|till| till.claim(key, cx.waker())) {
            Some(decision) => {
                self.key = None;
                Poll::Ready(decision)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.desk.with(|till| till.leave(key));
        }
    }
}

/// A request that is left to the limiter of the share.
struct Sharing<'a> {
    desk: &'a Arc<Desk>,
    granted: Option<bool>,
}

impl Drop for Sharing<'_> {
    fn drop(&mut self) {
        self.desk.with(|till| till.shared(self.granted));
    }
}
