//! One pool under test, and the callers of a rule.

use std::{
    future::poll_fn,
    ops::Deref,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use evenkeel_base::lock;
use tokio::{
    task::{AbortHandle, JoinHandle, yield_now},
    time::Instant,
};

use super::{
    Backend, Capability, Get, GetError, Lease, Object, Pool, Settings, Snapshot, Step,
    record::{Event, Record},
};
use crate::{
    Adapter, BoxFuture, Verdict,
    adapter::{configure, has},
    agenda::{sleep, timeout},
    apart,
    duration::WEEK,
    probe_task::catch_panic,
    verdict::Checked,
};

/// The answer to a caller.
pub(crate) type Answer = Result<Held, GetError>;

/// A pool, and the record of its backend and of its callers.
pub(crate) struct Run {
    /// Without it the last handle is gone.
    pool: Option<Arc<dyn Pool>>,
    pub(crate) backend: Backend,
    /// Ended with the run.
    tasks: Mutex<Vec<AbortHandle>>,
}

/// A lease of a caller, which records its end.
pub(crate) struct Held {
    lease: Option<Box<dyn Lease>>,
    caller: u32,
    pub(crate) number: u32,
    record: Record,
}

impl Run {
    /// A new pool.
    pub(crate) fn start(subject: &dyn Adapter<Settings>, settings: &Settings) -> Checked<Self> {
        Ok(Self::with(configure(subject, settings)?, settings))
    }

    pub(crate) fn with(pool: Box<dyn Pool>, settings: &Settings) -> Self {
        Self { pool: Some(pool.into()), backend: settings.backend.clone(), tasks: Mutex::default() }
    }

    pub(crate) fn pool(&self) -> &dyn Pool {
        self.pool.as_deref().unwrap_or_else(|| panic!("the last handle is gone"))
    }

    /// Drops the last handle.
    pub(crate) fn drop_pool(&mut self) {
        self.pool = None;
    }

    /// Runs this beside the rule, until the run is dropped.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let task = tokio::spawn(work);
        lock(&self.tasks).push(task.abort_handle());
        task
    }

    /// The get of this caller, not yet polled.
    pub(crate) fn get(&self, caller: u32) -> BoxFuture<'static, Answer> {
        self.noted(caller, self.pool().get())
    }

    /// As [`get`](Self::get), with a deadline.
    pub(crate) fn get_by(&self, caller: u32, deadline: Instant) -> BoxFuture<'static, Answer> {
        self.noted(caller, self.pool().get_by(deadline))
    }

    fn noted(&self, caller: u32, get: Get) -> BoxFuture<'static, Answer> {
        let record = self.backend.record().clone();
        Box::pin(async move {
            record.note(Event::Asked(caller));
            let answer = catch_panic(get).await.unwrap_or_else(|message| Err(GetError::Panic(message)));
            match answer {
                Ok(lease) => Ok(Held::new(lease, caller, record)),
                Err(error) => {
                    record.note(Event::Denied(caller, error.clone()));
                    Err(error)
                }
            }
        })
    }

    /// Takes an idle object, as this caller.
    pub(crate) fn try_get(&self, caller: u32) -> Option<Held> {
        Some(Held::new(self.pool().try_get()?, caller, self.backend.record().clone()))
    }

    /// Waits for the answer to this caller, a week at most.
    pub(crate) async fn answer(&self, caller: u32) -> Checked<Answer> {
        self.ended("an answer", self.get(caller)).await
    }

    /// Waits for this, a week at most.
    pub(crate) async fn ended<T>(&self, what: &str, future: impl Future<Output = T>) -> Checked<T> {
        let ended = timeout(WEEK, future).await;
        ended.map_err(|_| self.failure(format_args!("{what} within {WEEK:?}"), "none"))
    }

    /// Waits for an object for this caller.
    pub(crate) async fn lease(&self, caller: u32) -> Checked<Held> {
        let answer = self.answer(caller).await?;
        answer.map_err(|error| self.failure(format_args!("an object for caller {caller}"), error))
    }

    /// Takes this number of objects at once, for callers from 1 on.
    pub(crate) async fn leases(&self, number: u32) -> Checked<Vec<Held>> {
        let mut leases = Vec::new();
        for caller in 1..=number {
            leases.push(self.lease(caller).await?);
        }
        Ok(leases)
    }

    /// Waits for the error of this caller.
    pub(crate) async fn error(&self, caller: u32) -> Checked<GetError> {
        match self.answer(caller).await? {
            Ok(held) => Err(self.failure(
                format_args!("an error for caller {caller}"),
                format_args!("object {}", held.number),
            )),
            Err(error) => Ok(error),
        }
    }

    /// Spawns a caller that returns its object after this time, and lets it begin.
    pub(crate) async fn enter(&self, caller: u32, hold: Duration) -> JoinHandle<()> {
        let get = self.get(caller);
        let task = self.spawn(async move {
            if let Ok(held) = get.await {
                sleep(hold).await;
                drop(held);
            }
        });
        settle().await;
        task
    }

    /// Waits until all these callers have ended.
    pub(crate) async fn everybody(&self, callers: impl IntoIterator<Item = JoinHandle<()>>) -> Checked {
        for mut caller in callers {
            let ended = self.ended("an end of all callers", &mut caller).await?;
            ended.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        }
        Ok(())
    }

    /// The rule asks that as many objects as this can be leased at once, each within a minute, and that there are no more.
    pub(crate) async fn lends(&self, max: u32) -> Checked {
        let mut leases = Vec::new();
        for caller in 101..=100 + max {
            let Ok(Ok(held)) = timeout(Duration::from_secs(60), self.get(caller)).await else {
                let expected = format_args!("{max} objects leased at once");
                return Err(self.failure(expected, format_args!("{} within a minute", leases.len())));
            };
            leases.push(held);
        }
        self.has_at_most(max as usize)?;
        drop(leases);
        settle().await;
        Ok(())
    }

    /// The rule asks that there were never more objects than this.
    pub(crate) fn has_at_most(&self, max: usize) -> Checked {
        let peak = self.peak_size();
        self.require(peak <= max, format_args!("at most {max} objects"), peak)
    }

    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.pool().snapshot().await
    }

    /// Closes the pool, in a task which records the end; and lets it begin.
    pub(crate) async fn close_beside(&self, within: Option<Duration>) -> JoinHandle<usize> {
        let (close, record) = (self.pool().close(within), self.backend.record().clone());
        let task = self.spawn(async move {
            let stragglers = close.await;
            record.note(Event::Ended);
            stragglers
        });
        settle().await;
        task
    }

    /// Discards an object of the pool where the implementation can, and else lets the check of it fail.
    pub(crate) fn gives_up(&self, subject: &dyn Adapter<Settings>, held: Held) {
        match subject.supports(Capability::Discard) {
            Ok(()) => held.discard(),
            Err(_) => {
                let number = held.number;
                self.backend.checks(move |checked| if checked == number { Step::FAILS } else { Step::OK });
                drop(held);
            }
        }
    }
}

/// With a time-out for each get, where the implementation has one.
pub(crate) fn within(subject: &dyn Adapter<Settings>, settings: Settings, time: Duration) -> Settings {
    let limited = settings.clone().within(time);
    if has(subject, &limited) { limited } else { settings }
}

/// Polls a get once.
pub(crate) async fn poll_once(get: &mut BoxFuture<'static, Answer>) -> Option<Answer> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *get).poll(cx) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        })
    })
    .await
}

/// Lets all tasks run that can, those in another process included.
pub(crate) async fn settle() {
    let mut is_first = true;
    loop {
        for _ in 0..16 {
            yield_now().await;
        }
        if !apart::flush(std::mem::take(&mut is_first)) {
            return;
        }
    }
}

/// A verdict inside an exploration of await points, which reports by panicking.
pub(crate) fn unwrap<T>(checked: Checked<T>) -> T {
    checked.unwrap_or_else(|verdict: Verdict| panic!("{verdict}"))
}

impl Held {
    fn new(lease: Box<dyn Lease>, caller: u32, record: Record) -> Self {
        let number = lease.object().number();
        record.note(Event::Got(caller, number));
        Self { lease: Some(lease), caller, number, record }
    }

    pub(crate) fn object(&self) -> &Object {
        match &self.lease {
            Some(lease) => lease.object(),
            None => unreachable!("it is there until it is returned"),
        }
    }

    fn take(&mut self) -> Option<Box<dyn Lease>> {
        let lease = self.lease.take();
        if lease.is_some() {
            self.record.note(Event::Returned(self.caller, self.number));
        }
        lease
    }

    pub(crate) fn discard(mut self) {
        if let Some(lease) = self.take() {
            lease.discard();
        }
    }

    pub(crate) fn detach(mut self) -> Option<Object> {
        self.take().map(|lease| lease.detach())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.backend.record().end();
        self.backend.recover();
        lock(&self.tasks).iter().for_each(AbortHandle::abort);
        self.backend.let_go();
    }
}

impl Deref for Run {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.backend.record()
    }
}
