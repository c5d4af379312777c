//! Where the requests of one process meet the store.

use std::{
    any::Any,
    future::{Future, poll_fn},
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{AbortHandle, coop::poll_proceed},
    time::{timeout, timeout_at},
};

use super::{
    OnFailure,
    error::{Error, Failure},
    quota::Quota,
    snapshot::Snapshot,
    state::{Aftermath, Ask, Entry, Patience, Step, Terms, Till, Upshot},
    store::{Answer, AnyStore, CallError, Take},
};
use crate::{
    error::{Denied, Reason},
    rate::Rate,
    sync::wait_queue::Key,
    telemetry::{self, Kind},
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
        let mut waits = patience == Patience::Some;
        loop {
            let decided = match self.enter(permits, patience).await {
                Entry::Granted => return Ok(()),
                Entry::Refused(error) => Err(error),
                Entry::NoRuntime => {
                    // This panics, and is not to happen under the lock: a panic hook is not ours.
                    drop(Handle::current());
                    continue;
                }
                Entry::Queued(key) => {
                    let place = Place { desk: self, key: Some(key) };
                    if mem::take(&mut waits) {
                        telemetry::waits(Kind::Distributed);
                    }
                    match place.await {
                        Err(denied) if denied.reason == Reason::Closed => continue,
                        decided => decided.map_err(Error::from),
                    }
                }
            };
            return decided.inspect_err(|error| match error {
                Error::Denied(denied) => telemetry::refused(Kind::Distributed, denied),
                Error::Unavailable { retry_after, .. } => {
                    telemetry::store_refused("unavailable", *retry_after)
                }
                Error::Misconfigured { retry_after, .. } => {
                    telemetry::store_refused("misconfigured", *retry_after);
                }
            });
        }
    }

    async fn enter(self: &Arc<Self>, permits: u32, patience: Patience) -> Entry {
        poll_fn(|cx| {
            // A loop over permits that are there has to let other tasks run.
            let proceed = ready!(poll_proceed(cx));
            let entry = self.with(|till| till.enter(permits, patience));
            if matches!(entry, Entry::Granted) {
                proceed.made_progress();
            }
            Poll::Ready(entry)
        })
        .await
    }

    pub(super) fn refund(self: &Arc<Self>, permits: u32) {
        self.with(|till| till.put_back(permits));
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
        self.locked().abandon();
        if let Some(runner) = self.set_runner(None) {
            runner.abort();
        }
    }

    /// Returns the one before, to be dropped by the caller: not under the lock.
    fn set_runner(&self, runner: Option<AbortHandle>) -> Option<AbortHandle> {
        mem::replace(&mut *self.runner.lock().unwrap_or_else(PoisonError::into_inner), runner)
    }

    fn locked(&self) -> MutexGuard<'_, Till> {
        self.till.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the till, and does what follows from that when it is not locked. A waker that panics does so here.
    fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut Till) -> R) -> R {
        let (result, panic) = self.change(change);
        if let Some(panic) = panic.filter(|_| !thread::panicking()) {
            resume_unwind(panic);
        }
        result
    }

    /// Does the same, and returns the first panic of a waker.
    ///
    /// Nothing runs under the lock that is not ours: wakers are cloned before, and woken and dropped after it, as errors
    /// of the store are.
    fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut Till) -> R) -> (R, Option<Panic>) {
        let mut till = self.locked();
        let result = change(&mut till);
        let Aftermath { wake, wakers, causes, poke, start } = mem::take(&mut till.after);
        drop(till);
        if let Some(runtime) = start {
            let shift = Shift { desk: Arc::clone(self), over: false };
            let runner = runtime.spawn(run(shift));
            self.locked().started();
            drop(self.set_runner(Some(runner.abort_handle())));
        }
        if poke {
            self.news.notify_one();
        }
        let woken = wake.into_iter().map(|waker| catch(|| waker.wake()));
        let dropped = wakers.into_iter().map(|waker| catch(|| drop(waker)));
        let forgotten = causes.into_iter().map(|cause| catch(|| drop(cause)));
        // Each of them has its turn although one before it panics.
        let panic = woken.chain(dropped).chain(forgotten).fold(None, |first, next| first.or(next));
        (result, panic)
    }

    /// The answer of the store; meanwhile those who go by a share have their turns.
    async fn answer(self: &Arc<Self>, ask: Ask) -> Answer {
        let mut answer = pin!(self.ask(ask));
        if !matches!(self.terms.on_failure, OnFailure::LocalShare(_)) {
            return answer.await;
        }
        loop {
            let mut turn = pin!(self.turn());
            let first = poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => turn.as_mut().poll(cx).map(|()| None),
            });
            if let Some(answer) = first.await {
                return answer;
            }
        }
    }

    /// Serves those who go by a share, and waits until there is something to do again.
    async fn turn(self: &Arc<Self>) {
        match self.change(Till::turn).0 {
            Some(until) => drop(timeout_at(until, self.news.notified()).await),
            None => self.news.notified().await,
        }
    }

    /// One call of the store.
    async fn ask(&self, ask: Ask) -> Answer {
        let Ask { first, returned, least, most } = ask;
        let Quota { speed, cost, .. } = self.quota;
        let take = Take { key: &self.key, speed, cost, depth: self.quota.depth(), returned, least, most };
        let at_least = if first { self.store.first_timeout() } else { Duration::ZERO };
        let limit = self.terms.timeout.max(at_least);
        let answer = timeout(limit, self.store.take(take)).await;
        answer.unwrap_or_else(|_| Err(CallError::of(Failure::TimedOut(limit))))
    }

    /// Tells what became of a call.
    fn tell(&self, upshot: Upshot) {
        match upshot {
            Upshot::Taken(permits, outage) => {
                if permits > 0 {
                    telemetry::leased(&self.key, permits);
                }
                if let Some(lasted) = outage {
                    telemetry::outage_ended(&self.key, lasted);
                }
            }
            Upshot::Failed { cause, first } => {
                telemetry::store_failed(&self.key, &*cause);
                if first {
                    telemetry::outage_began(&self.key, &*cause);
                }
            }
        }
    }
}

/// The runner. It goes on when the waker of one whom it serves panics: the panic hook has told of that.
async fn run(mut shift: Shift) {
    let desk = Arc::clone(&shift.desk);
    while let (Some(step), _) = desk.change(Till::step) {
        match step {
            Step::Ask(ask) => {
                let answer = desk.answer(ask).await;
                let (upshot, _) = desk.change(|till| till.settle(ask, answer));
                desk.tell(upshot);
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
        if !self.over
            && let (Some(upshot), _) = self.desk.change(Till::cut_off)
        {
            self.desk.tell(upshot);
        }
        self.desk.ended.notify_waiters();
    }
}

type Panic = Box<dyn Any + Send>;

/// Does what may panic.
fn catch(foreign: impl FnOnce()) -> Option<Panic> {
    catch_unwind(AssertUnwindSafe(foreign)).err()
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
        let mut decision = self.desk.with(|till| match till.claim(key) {
            None if till.lacks_waker(key, cx.waker()) => Err(()),
            decision => Ok(decision),
        });
        if decision.is_err() {
            let waker = cx.waker().clone();
            // It may have been decided meanwhile.
            decision = Ok(self.desk.with(|till| {
                let decision = till.claim(key);
                match decision {
                    None => till.set_waker(key, waker),
                    Some(_) => till.after.wakers.push(waker),
                }
                decision
            }));
        }
        match decision {
            Ok(Some(decision)) => {
                self.key = None;
                Poll::Ready(decision)
            }
            _ => Poll::Pending,
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
