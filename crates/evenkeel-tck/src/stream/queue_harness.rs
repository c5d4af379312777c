//! One queue under test, and the steps that a rule makes with it.

use std::{ops::Deref, sync::Arc};

use evenkeel_base::lock;
use tokio::{
    sync::Mutex,
    task::{AbortHandle, JoinHandle, yield_now},
};

use super::{
    Capability, Channel, Item, Job, Operator, Queue, QueueConsumer, QueueProducer, Settings,
    item::Script,
    record::{Event, Record},
};
use crate::{
    Adapter,
    adapter::{configurable, configure, needs},
    agenda::timeout,
    duration::WEEK,
    verdict::Checked,
};

/// A queue, and the record of its items.
pub(crate) struct QueueRun {
    /// The producers share it; without one the last producer is gone.
    pub(crate) producer: Option<Arc<dyn QueueProducer>>,
    pub(crate) consumer: Arc<Mutex<Option<Box<dyn QueueConsumer>>>>,
    pub(crate) record: Record,
    /// Lives as long: in another process items may be seen after the ends are gone.
    _operator: Operator,
    /// Ended with the run.
    tasks: std::sync::Mutex<Vec<AbortHandle>>,
}

impl QueueRun {
    /// A new queue of this number of items, which are popped.
    pub(crate) fn start(subject: &dyn Adapter<Settings>, capacity: usize) -> Checked<Self> {
        needs_pops(subject)?;
        Self::unpopped(subject, capacity)
    }

    /// A new queue, from which nothing is popped.
    pub(crate) fn unpopped(subject: &dyn Adapter<Settings>, capacity: usize) -> Checked<Self> {
        Self::of(configure(subject, &Settings::Queue(Queue::of(capacity)))?)
    }

    /// As [`start`](Self::start), of an implementation that has this.
    pub(crate) fn with(
        subject: &dyn Adapter<Settings>,
        capability: Capability,
        capacity: usize,
    ) -> Checked<Self> {
        needs(subject, Capability::Queue)?;
        needs(subject, capability)?;
        Self::start(subject, capacity)
    }

    pub(crate) fn of(operator: Operator) -> Checked<Self> {
        let Channel { producer, consumer } = operator.channel()?;
        let consumer = Arc::new(Mutex::new(Some(consumer)));
        let (producer, record, tasks) = (Some(producer.into()), Record::start(), std::sync::Mutex::default());
        Ok(Self { producer, consumer, record, _operator: operator, tasks })
    }

    /// Runs this beside the rule, until the run is dropped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let task = tokio::spawn(work);
        lock(&self.tasks).push(task.abort_handle());
        task
    }

    pub(crate) fn item(&self, script: Script) -> Item {
        self.record.note(Event::Given(script.number));
        Item::new(script, &self.record)
    }

    /// The producers.
    pub(crate) fn producer(&self) -> Arc<dyn QueueProducer> {
        self.producer.clone().unwrap_or_else(|| panic!("the producers are gone"))
    }

    /// Pushes an item, as the caller.
    pub(crate) fn push(&self, script: Script) -> impl Future<Output = ()> + Send + 'static {
        let (producer, item, record) = (self.producer(), self.item(script), self.record.clone());
        async move {
            let number = item.number();
            record.note(Event::Pushes(number));
            match producer.push(item).await {
                Ok(()) => record.note(Event::Pushed(number)),
                Err(Some(item)) => record.note(Event::GaveBack(item.number())),
                Err(None) => record.note(Event::Refused(number)),
            }
        }
    }

    /// Pushes each item in a task of its own, and lets them begin in this order.
    pub(crate) async fn push_beside(&self, scripts: impl IntoIterator<Item = Script>) {
        for script in scripts {
            self.spawn(self.push(script));
            settle().await;
        }
    }

    /// Pushes the items one after the other, in a task that then drops its producer.
    pub(crate) fn push_in_turn(&self, scripts: impl IntoIterator<Item = Script>) -> JoinHandle<()> {
        let pushes: Vec<_> = scripts.into_iter().map(|script| self.push(script)).collect();
        self.spawn(async move {
            for push in pushes {
                push.await;
            }
        })
    }

    /// Drops the last producer that is not in a task.
    pub(crate) fn drop_producer(&mut self) {
        self.producer = None;
    }

    /// Pops one item, and keeps it: `None` if there are no more.
    async fn pop_job(&self) -> Option<Box<dyn Job>> {
        let job = match &mut *self.consumer.lock().await {
            Some(consumer) => consumer.pop().await,
            None => None,
        };
        match &job {
            Some(job) => self.record.note(Event::Took(job.item().number())),
            None => self.record.note(Event::Over(0)),
        }
        job
    }

    /// Pops one item, and keeps it; a week at most.
    pub(crate) async fn job(&self) -> Checked<Option<Box<dyn Job>>> {
        let job = timeout(WEEK, self.pop_job()).await;
        job.map_err(|_| self.record.failure("an item or the end of the queue", "none"))
    }

    /// Pops one item, and finishes it: `false` if there are no more.
    pub(crate) async fn pop(&self) -> bool {
        self.pop_job().await.is_some()
    }

    /// Pops this number of items, for a week at most.
    pub(crate) async fn pop_some(&self, number: usize) -> Checked {
        for _ in 0..number {
            let popped = timeout(WEEK, self.pop()).await;
            self.record.require(popped.is_ok(), "an item or the end of the queue", "none")?;
        }
        Ok(())
    }

    /// Pops all items until the queue tells that there are no more, for a week at most.
    pub(crate) async fn pop_all(&self) -> Checked {
        let all = timeout(WEEK, async { while self.pop().await {} }).await;
        self.record.require(all.is_ok(), "the end of the queue", "none")
    }

    /// Pops in a task, as a consumer with this number, until the queue tells that there are no more.
    pub(crate) async fn pop_beside(&self, number: u32) -> JoinHandle<()> {
        let another = self.another().await;
        let record = self.record.clone();
        let task = self.spawn(async move {
            let mut consumer = another;
            while let Some(job) = consumer.pop().await {
                record.note(Event::Took(job.item().number()));
            }
            record.note(Event::Over(number));
        });
        settle().await;
        task
    }

    /// Another consumer.
    pub(crate) async fn another(&self) -> Box<dyn QueueConsumer> {
        let consumer = self.consumer.lock().await;
        consumer.as_ref().unwrap_or_else(|| panic!("the consumers are gone")).another()
    }

    /// The items that were accepted, in this order.
    pub(crate) fn accepted(&self) -> Vec<u32> {
        self.record.numbers(|event| match event {
            Event::Pushed(number) => Some(*number),
            _ => None,
        })
    }
}

/// Fails with `Unsupported` where nothing can be popped.
pub(crate) fn needs_pops(subject: &dyn Adapter<Settings>) -> Checked {
    needs(subject, Capability::Queue)?;
    needs(subject, Capability::Pop)
}

/// Fails with `Unsupported`, outside of a world, where there is no such queue.
pub(crate) fn queues(subject: &dyn Adapter<Settings>, capacity: usize) -> Checked {
    needs_pops(subject)?;
    configurable(subject, &Settings::Queue(Queue::of(capacity)))
}

/// Lets all tasks run that can.
pub(crate) async fn settle() {
    for _ in 0..8 {
        yield_now().await;
    }
}

impl Drop for QueueRun {
    fn drop(&mut self) {
        lock(&self.tasks).iter().for_each(AbortHandle::abort);
    }
}

impl Deref for QueueRun {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}
