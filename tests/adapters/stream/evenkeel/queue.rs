//! Our queue, its jobs and its workers.

use std::time::Duration;

use evenkeel::stream::{Capacity, Consumer, Job as OurJob, Producer, queue};
use evenkeel_tck::{
    BoxFuture,
    stream::{Channel, Item, Job, Operator, QueueConsumer, QueueProducer, Worked},
};
use tokio::{select, time::sleep};

use super::failure;

pub(super) fn operator(capacity: usize, by_weight: bool) -> Operator {
    Operator::queue(move || {
        let capacity = if by_weight {
            Capacity::items(usize::MAX).max_bytes(capacity, Item::weight)
        } else {
            Capacity::items(capacity)
        };
        let (producer, consumer) = queue(capacity);
        Channel::new(Pushes(producer), Pops(consumer))
    })
}

struct Pushes(Producer<Item>);

impl QueueProducer for Pushes {
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        Box::pin(async { self.0.push(item).await.map_err(|error| Some(error.into_item())) })
    }

    fn join(&self) -> BoxFuture<'_, Result<(), ()>> {
        Box::pin(async { self.0.join().await.map_err(drop) })
    }
}

struct Pops(Consumer<Item>);

impl QueueConsumer for Pops {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        Box::pin(async { Some(Box::new(Popped(self.0.pop().await?)) as Box<dyn Job>) })
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        Box::new(Self(self.0.clone()))
    }

    fn close(&mut self) {
        self.0.close();
    }

    fn close_now(&mut self) -> Vec<Item> {
        self.0.close_now()
    }

    fn workers(self: Box<Self>, number: usize, close_after: Option<Duration>) -> BoxFuture<'static, Worked> {
        let mut workers = self.0.workers(number, async |item: Item| item.run().await.map(drop));
        Box::pin(async move {
            let report = select! {
                biased;
                report = &mut workers => report,
                () = sleep(close_after.unwrap_or(Duration::MAX)) => workers.close(Duration::ZERO).await,
            };
            Worked::new(report.failures.into_iter().map(failure), report.unstarted)
        })
    }
}

struct Popped(OurJob<Item>);

impl Job for Popped {
    fn item(&self) -> &Item {
        &self.0
    }

    fn put_back(self: Box<Self>) {
        self.0.put_back();
    }
}
