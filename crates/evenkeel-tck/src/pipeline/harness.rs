//! One server under test, and its workers.

use std::{cell::Cell, fmt::Debug, iter, ops::Deref, time::Duration};

use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    Capability, End, Item, Queue, Settings, Work, Worker,
    close::Close,
    record::{Event, Record},
};
use crate::{Adapter, adapter::configure, clock::Clock, duration::secs, verdict::Checked};

/// The longest time that a rule waits for a worker, for something that it looks at, and for both on a real clock.
const DAY: Duration = secs(24 * 60 * 60);
const HOUR: Duration = secs(60 * 60);
const PATIENCE: Duration = secs(80);

/// A server, and the work of its workers.
pub(crate) struct Run {
    pub(crate) queue: Box<dyn Queue>,
    pub(crate) work: Work,
    clock: Clock,
    closes: bool,
    drains: bool,
    merged: usize,
    has_worker: Cell<bool>,
}

impl Run {
    /// A new server.
    pub(crate) fn start(subject: &dyn Adapter<Settings>, settings: &Settings) -> Checked<Self> {
        let clock = Clock::current();
        let has = |capability| subject.supports(capability).is_ok();
        Ok(Self {
            queue: configure(subject, &settings.on(clock))?,
            work: Work::new(clock),
            clock,
            closes: has(Capability::Close),
            drains: has(Capability::Drain),
            merged: settings.merged,
            has_worker: Cell::new(false),
        })
    }

    /// Publishes messages with these numbers, whose keys are the same.
    pub(crate) async fn publish(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.send(Item { number, part: 0, key: number, size: 1 }).await;
        }
    }

    pub(crate) async fn send(&self, item: Item) {
        self.send_to(&*self.queue, item).await;
    }

    async fn send_to(&self, source: &dyn Queue, item: Item) {
        self.prepare(source.publish(item)).await;
    }

    /// As [`publish`](Self::publish), to the second source.
    pub(crate) async fn publish_to_second(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.send_to(self.second(), Item { number, part: 0, key: number, size: 1 }).await;
        }
    }

    pub(crate) fn second(&self) -> &dyn Queue {
        self.queue.merged(0)
    }

    fn sources(&self) -> impl Iterator<Item = &dyn Queue> {
        iter::once(&*self.queue).chain((0..self.merged).map(|number| self.queue.merged(number)))
    }

    /// The messages at each source.
    async fn stored(&self) -> Vec<usize> {
        let mut stored = Vec::new();
        for source in self.sources() {
            stored.push(source.stored().await);
        }
        stored
    }

    /// Starts the worker with this number, and lets it begin.
    pub(crate) async fn worker(&self, number: u32) -> Checked<Box<dyn Worker>> {
        let worker = self.prepare(self.queue.start(self.work.of(number))).await?;
        self.has_worker.set(true);
        self.note(Event::Starts(number));
        self.settle().await;
        Ok(worker)
    }

    /// Takes a step. The time of the rule begins with its first worker: what a real server needs before is left out.
    async fn prepare<T>(&self, step: impl Future<Output = T>) -> T {
        let begin = Instant::now();
        let done = step.await;
        if self.clock.is_real() && !self.has_worker.get() {
            self.leave_out(begin.elapsed());
        }
        done
    }

    /// Waits until this time of the run, and for all that happens at it.
    pub(crate) async fn until(&self, at: Duration) {
        self.clock.sleep(at.saturating_sub(self.elapsed())).await;
        self.settle().await;
    }

    /// Waits until shortly before this time of the run.
    pub(crate) async fn just_before(&self, at: Duration) {
        self.until(at - if self.clock.is_real() { secs(1) } else { Duration::from_millis(1) }).await;
    }

    /// Waits for this, at most for a time.
    pub(crate) async fn within<T>(&self, time: Duration, step: impl Future<Output = T>) -> Option<T> {
        timeout(self.clock.takes(time), step).await.ok()
    }

    /// Waits until this holds, for an hour.
    pub(crate) async fn wait_for(&self, what: &str, holds: impl AsyncFn() -> bool) -> Checked {
        let pause = self.either(secs(1), Duration::from_millis(100));
        let wait = async {
            while !holds().await {
                self.clock.sleep(pause).await;
            }
        };
        let waited = timeout(self.patience(HOUR), wait).await;
        waited.map_err(|_| self.failure(what, "it does not happen"))
    }

    fn patience(&self, in_virtual_time: Duration) -> Duration {
        if self.clock.is_real() { PATIENCE } else { in_virtual_time }
    }

    /// Lets all tasks run that can.
    pub(crate) async fn settle(&self) {
        self.clock.settle().await;
        for _ in 0..64 {
            yield_now().await;
        }
    }

    /// Closes the queue, and waits for the end of a worker; where a queue cannot be closed, drains the worker when it is
    /// empty, or ends it.
    pub(crate) async fn finish(&self, worker: Box<dyn Worker>) -> Checked<End> {
        let end = if self.closes {
            self.sources().for_each(Queue::close);
            self.ended(worker.finish()).await?
        } else {
            self.wait_for("a queue that is empty", async || {
                self.stored().await.iter().all(|stored| *stored == 0)
            })
            .await?;
            if self.drains { self.drain(worker, secs(60)).await? } else { End::default() }
        };
        self.require(end.error.is_none(), "an end without an error", format_args!("{:?}", end.error))?;
        Ok(end)
    }

    /// Drains a worker.
    pub(crate) async fn drain(&self, worker: Box<dyn Worker>, within: Duration) -> Checked<End> {
        self.ended(worker.drain(self.clock.takes(within))).await
    }

    async fn ended(&self, end: impl Future<Output = End>) -> Checked<End> {
        let patience = self.patience(DAY);
        timeout(patience, end)
            .await
            .map_err(|_| self.failure(format_args!("an end of the worker within {patience:?}"), "none"))
    }

    /// The rule asks that the server has as many messages as this.
    pub(crate) async fn stores_now(&self, messages: usize) -> Checked {
        self.equal("messages at the server", self.queue.stored().await, messages)
    }

    /// The rule asks that each source has as many messages as this.
    pub(crate) async fn stores_at_each(&self, messages: &[usize]) -> Checked {
        self.equal("messages at each source", self.stored().await, messages.to_vec())
    }

    /// The rule asks for equality; times of a real clock may be late.
    pub(crate) fn equal<T: Close + Debug>(&self, what: &str, got: T, want: T) -> Checked {
        let holds = got.is_close(&want, self.clock);
        self.require(holds, format_args!("{what} {want:?}"), format_args!("{got:?}"))
    }

    /// The latest time of an event that is due at this one.
    pub(crate) fn latest(&self, at: Duration) -> Duration {
        self.clock.latest(at)
    }

    /// One of these, for the clock.
    pub(crate) fn either<T>(&self, in_virtual_time: T, in_real_time: T) -> T {
        if self.clock.is_real() { in_real_time } else { in_virtual_time }
    }

    pub(crate) fn cut(&self, worker: &dyn Worker, time: Duration) {
        worker.cut(self.clock.takes(time));
    }

    pub(crate) fn lose_answers(&self, worker: &dyn Worker, time: Duration) {
        worker.lose_answers(self.clock.takes(time));
    }

    pub(crate) fn crash(&self, downtime: Duration) {
        self.queue.crash(self.clock.takes(downtime));
    }

    /// Stops the server of the second source alone.
    pub(crate) fn crash_second(&self, downtime: Duration) {
        self.second().crash(self.clock.takes(downtime));
    }

    pub(crate) async fn set_clock_forward(&self, by: Duration) {
        self.queue.set_clock_forward(self.clock.takes(by)).await;
    }

    pub(crate) async fn set_clock_back(&self, by: Duration) {
        self.queue.set_clock_back(self.clock.takes(by)).await;
    }

    pub(crate) fn kill(&self, downtime: Duration) {
        self.queue.kill(self.clock.takes(downtime));
    }

    pub(crate) fn power_loss(&self, downtime: Duration) -> usize {
        self.queue.power_loss(self.clock.takes(downtime))
    }
}

impl Deref for Run {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.work.record()
    }
}
