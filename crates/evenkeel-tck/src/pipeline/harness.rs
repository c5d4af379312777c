//! One server under test, and its workers.

use std::{ops::Deref, time::Duration};

use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

use super::{End, Item, Queue, Settings, Work, Worker, record::Record};
use crate::{Adapter, adapter::configure, duration::secs, verdict::Checked};

/// The longest time that a rule waits for a worker.
const DAY: Duration = secs(24 * 60 * 60);

/// A server, and the work of its workers.
pub(crate) struct Run {
    pub(crate) queue: Box<dyn Queue>,
    pub(crate) work: Work,
}

impl Run {
    /// A new server.
    pub(crate) fn start(subject: &dyn Adapter<Settings>, settings: &Settings) -> Checked<Self> {
        Ok(Self { queue: configure(subject, settings)?, work: Work::new() })
    }

    /// Publishes messages with these numbers, whose keys are the same.
    pub(crate) async fn publish(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.send(Item { number, part: 0, key: number, size: 1 }).await;
        }
    }

    pub(crate) async fn send(&self, item: Item) {
        self.queue.publish(item).await;
    }

    /// Starts the worker with this number, and lets it begin.
    pub(crate) async fn worker(&self, number: u32) -> Checked<Box<dyn Worker>> {
        let worker = self.queue.start(self.work.of(number))?;
        settle().await;
        Ok(worker)
    }

    /// Waits until this time of the run, and for all that happens at it.
    pub(crate) async fn until(&self, at: Duration) {
        sleep(at.saturating_sub(self.elapsed())).await;
        settle().await;
    }

    /// Closes the queue, and waits for the end of a worker.
    pub(crate) async fn finish(&self, worker: Box<dyn Worker>) -> Checked<End> {
        self.queue.close();
        let end = self.ended(worker.finish()).await?;
        self.require(end.error.is_none(), "an end without an error", format_args!("{:?}", end.error))?;
        Ok(end)
    }

    /// Drains a worker.
    pub(crate) async fn drain(&self, worker: Box<dyn Worker>, within: Duration) -> Checked<End> {
        self.ended(worker.drain(within)).await
    }

    async fn ended(&self, end: impl Future<Output = End>) -> Checked<End> {
        let ended = timeout(DAY, end).await;
        ended.map_err(|_| self.failure(format_args!("an end of the worker within {DAY:?}"), "none"))
    }

    /// The rule asks that the server has as many messages as this.
    pub(crate) async fn stores_now(&self, messages: usize) -> Checked {
        self.equal("messages at the server", self.queue.stored().await, messages)
    }
}

/// Lets all tasks run that can.
pub(crate) async fn settle() {
    for _ in 0..64 {
        yield_now().await;
    }
}

impl Deref for Run {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.work.record()
    }
}
