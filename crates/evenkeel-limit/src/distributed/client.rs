//! The shared part of a distributed limit in one process: callers enter here, and the worker is started here.
//!
//! # How it works
//!
//! [`State`] decides everything under one lock, and never waits. Callers and the worker change it through
//! [`Client::with`], which carries out the [`Effects`] of a change after the lock is released: it starts or notifies the
//! worker, and calls and drops wakers. The worker (`worker.rs`) is the only task that calls the store. So no caller
//! depends on the future of another, and a caller that is dropped cancels no call.
//!
//! Races:
//! - A waiter compares its waker under the lock and clones it without. It may be granted in between, so it looks again
//!   when it stores the clone.
//! - A runtime that has shut down drops the worker inside `spawn`. `State::worker_started` therefore comes after `spawn`:
//!   until then the drop of the guard counts as a failed start.
//! - A worker that is dropped sends all waiters back to [`Client::enter`], where one of them starts the next worker in
//!   its own runtime. Such a waiter sees the denial `Closed`, and takes it as "enter again".

use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use evenkeel_base::{FirstPanic, lock};
#[cfg(feature = "inspect")]
use evenkeel_inspect::{Inspect, Inspected};
#[cfg(feature = "inspect")]
use tokio::time::Instant;
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{AbortHandle, coop::poll_proceed},
};

#[cfg(feature = "inspect")]
use super::state::inspect::View;
use super::{
    error::Error,
    quota::Quota,
    snapshot::Snapshot,
    state::{Config, Effects, Entry, NoRuntime, State},
    store::AnyStore,
    worker,
};
use crate::{
    error::{Denied, Reason},
    rate::Rate,
    sync::{
        edges::{CallPlace, LazyRecord, Title},
        entry::Mode,
        wait_queue::Key,
    },
    telemetry::{self, Kind},
};

/// The data that all users of a limit share in one process.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) store: Arc<dyn AnyStore>,
    pub(super) key: String,
    pub(super) quota: Quota,
    pub(super) config: Config,
    #[cfg_attr(not(feature = "inspect"), expect(dead_code, reason = "for dumps alone"))]
    pub(super) title: Title,
    state: Mutex<State>,
    worker: Mutex<Option<AbortHandle>>,
    /// Wakes the worker: the state has changed.
    pub(super) worker_notify: Notify,
    /// Wakes the futures of `close`: a worker has ended.
    pub(super) worker_ended: Notify,
}

impl Client {
    #[track_caller]
    pub(super) fn new(
        store: Arc<dyn AnyStore>,
        key: String,
        rate: Rate,
        quota: Quota,
        config: Config,
        title: Title,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            key,
            quota,
            config,
            title,
            state: Mutex::new(State::new(rate, quota, config)),
            worker: Mutex::new(None),
            worker_notify: Notify::new(),
            worker_ended: Notify::new(),
        })
    }

    pub(super) async fn acquire(
        self: &Arc<Self>,
        permits: u32,
        mode: Mode,
        call: CallPlace,
    ) -> Result<(), Error> {
        let mut reports_wait = mode == Mode::Wait;
        // One record for all its turns in the queue, of the first one.
        let mut record = LazyRecord::new(call);
        loop {
            let mut waiter = PendingAcquire { client: self, key: None };
            let result = match waiter.enter(permits, mode, &mut record).await {
                Ok(Entry::Granted) => return Ok(()),
                Ok(Entry::Denied(error)) => Err(error),
                Err(NoRuntime) => {
                    // `current` panics here and not under the lock, where a panic hook would run as foreign code.
                    drop(Handle::current());
                    continue;
                }
                Ok(Entry::Queued(_)) => {
                    if mem::take(&mut reports_wait) {
                        telemetry::waits(Kind::Distributed);
                    }
                    match waiter.await {
                        Err(denied) if denied.reason == Reason::Closed => continue,
                        result => result.map_err(Error::from),
                    }
                }
            };
            return result.inspect_err(|error| match error {
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

    pub(super) fn refund(self: &Arc<Self>, permits: u32) {
        self.with(|state| state.refund(permits));
    }

    pub(super) async fn close(self: &Arc<Self>) {
        self.with(State::close);
        loop {
            // Created before the look at the state: a worker that ends in between wakes it.
            let ended = self.worker_ended.notified();
            if !lock(&self.state).is_worker_running() {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        lock(&self.state).snapshot()
    }

    /// Aborts the worker at its next await.
    pub(super) fn abort(&self) {
        lock(&self.state).abandon();
        if let Some(worker) = self.replace_worker(None) {
            worker.abort();
        }
    }

    /// Returns the previous handle, for the caller to drop without the lock.
    fn replace_worker(&self, worker: Option<AbortHandle>) -> Option<AbortHandle> {
        mem::replace(&mut *lock(&self.worker), worker)
    }

    /// Changes the state, and carries out the effects without the lock. The first panic of a waker goes on here.
    fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, panic) = self.with_caught(change);
        panic.resume();
        result
    }

    /// Does the same, and returns the first panic of a waker or an error's drop. The other effects are carried out all the
    /// same.
    ///
    /// No foreign code runs under the lock: wakers are cloned before it, and wakers and errors of the store are called
    /// and dropped after it.
    pub(super) fn with_caught<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> (R, FirstPanic) {
        let mut state = lock(&self.state);
        let result = change(&mut state);
        let Effects { wake, drop_wakers, drop_causes, notify_worker, start_worker_in } =
            mem::take(&mut state.effects);
        drop(state);
        if let Some(runtime) = start_worker_in {
            let worker = worker::spawn(&runtime, Arc::clone(self));
            lock(&self.state).worker_started();
            drop(self.replace_worker(Some(worker)));
        }
        if notify_worker {
            self.worker_notify.notify_one();
        }
        let mut panic = FirstPanic::default();
        panic.wake(wake);
        panic.drop_each(drop_wakers);
        panic.drop_each(drop_causes);
        (result, panic)
    }
}

#[cfg(feature = "inspect")]
impl Inspect for Client {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        View::of(&self.state)?.describe(self.title, now).map(Inspected::Resource)
    }
}

/// The future of a request, which waits once it is in the queue; its result `Closed` means to enter again.
///
/// The key changes under the lock, together with the queue: foreign code that runs later may panic.
#[derive(Debug)]
struct PendingAcquire<'a> {
    client: &'a Arc<Client>,
    /// The key in the queue, until the result is taken.
    key: Option<Key>,
}

impl PendingAcquire<'_> {
    /// Takes permits from the lease, or joins the queue.
    async fn enter(&mut self, permits: u32, mode: Mode, record: &mut LazyRecord) -> Result<Entry, NoRuntime> {
        poll_fn(|cx| {
            // A loop over permits that are available must let other tasks run.
            let proceed = ready!(poll_proceed(cx));
            let entry = self.client.with(|state| {
                let entry = state.enter(permits, mode);
                if let Ok(Entry::Queued(key)) = entry {
                    self.key = Some(key);
                    state.set_record(key, record);
                }
                entry
            });
            if matches!(entry, Ok(Entry::Granted)) {
                proceed.made_progress();
            }
            Poll::Ready(entry)
        })
        .await
    }

    /// Takes the result of the request, and forgets the key, which is free then.
    fn take_result(&mut self, state: &mut State, key: Key) -> Option<Result<(), Denied>> {
        let result = state.take_result(key)?;
        self.key = None;
        Some(result)
    }
}

impl Future for PendingAcquire<'_> {
    type Output = Result<(), Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (client, key) = (self.client, self.key.expect("not polled after it was ready"));
        let mut result = client.with(|state| match self.take_result(state, key) {
            None if state.needs_waker(key, cx.waker()) => Err(()),
            result => Ok(result),
        });
        if result.is_err() {
            let waker = cx.waker().clone();
            // The request may have been decided during the clone.
            result = Ok(client.with(|state| {
                let result = self.take_result(state, key);
                match result {
                    None => state.set_waker(key, waker),
                    Some(_) => state.effects.drop_wakers.push(waker),
                }
                result
            }));
        }
        match result {
            Ok(Some(result)) => Poll::Ready(result),
            _ => Poll::Pending,
        }
    }
}

impl Drop for PendingAcquire<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.client.with(|state| state.cancel(key));
        }
    }
}
