//! tokio's `mpsc`: one consumer.

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    stream::{Capability, Channel, Item, Job, Operator, QueueConsumer, QueueProducer, Settings},
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::ONLY_QUEUES;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "mpsc",
    package: "tokio",
    docs: "https://docs.rs/tokio/1.54.1/tokio/sync/mpsc/index.html",
    adapter: &Mpsc,
    isolated: &[],
    fails: &[],
};

struct Mpsc;

impl Adapter<Settings> for Mpsc {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Queue
            | Capability::Pop
            | Capability::EndWithProducers
            | Capability::EndWithConsumers
            | Capability::Close => Ok(()),
            Capability::Consumers => Err("it has one consumer"),
            _ => Err(ONLY_QUEUES),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let Settings::Queue(queue) = settings else {
            return Err(AdapterError::NotExpressible(ONLY_QUEUES));
        };
        let capacity = queue.capacity;
        Ok(Operator::queue(move || {
            let (sender, receiver) = channel(capacity);
            Channel::new(Producer(sender), Consumer(receiver))
        }))
    }
}

struct Producer(Sender<Item>);

impl QueueProducer for Producer {
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        Box::pin(async { self.0.send(item).await.map_err(|error| Some(error.0)) })
    }
}

struct Consumer(Receiver<Item>);

impl QueueConsumer for Consumer {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        Box::pin(async { Some(Box::new(self.0.recv().await?) as Box<dyn Job>) })
    }

    fn close(&mut self) {
        self.0.close();
    }
}
