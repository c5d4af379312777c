//! flume: `bounded`, `send_async` and `recv_async`.

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    stream::{Capability, Channel, Item, Job, Operator, QueueConsumer, QueueProducer, Settings},
};
use flume::{Receiver, Sender, bounded};

use super::ONLY_QUEUES;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "flume",
    package: "flume",
    docs: "https://docs.rs/flume/0.12.0/flume/",
    adapter: &Flume,
    isolated: &[],
    fails: &[],
};

struct Flume;

impl Adapter<Settings> for Flume {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Queue
            | Capability::Pop
            | Capability::EndWithProducers
            | Capability::EndWithConsumers
            | Capability::Consumers => Ok(()),
            Capability::Close => Err("it closes when all ends of one side are gone"),
            _ => Err(ONLY_QUEUES),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let Settings::Queue(queue) = settings else {
            return Err(AdapterError::NotExpressible(ONLY_QUEUES));
        };
        let capacity = queue.capacity;
        Ok(Operator::queue(move || {
            let (sender, receiver) = bounded(capacity);
            Channel::new(Producer(sender), Consumer(receiver))
        }))
    }
}

struct Producer(Sender<Item>);

impl QueueProducer for Producer {
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        Box::pin(async { self.0.send_async(item).await.map_err(|error| Some(error.0)) })
    }
}

struct Consumer(Receiver<Item>);

impl QueueConsumer for Consumer {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        Box::pin(async { Some(Box::new(self.0.recv_async().await.ok()?) as Box<dyn Job>) })
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        Box::new(Self(self.0.clone()))
    }
}
