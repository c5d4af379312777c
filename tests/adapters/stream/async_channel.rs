//! async-channel: `bounded`.

use async_channel::{Receiver, Sender, bounded};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    stream::{Capability, Channel, Item, Job, Operator, QueueConsumer, QueueProducer, Settings},
};

use super::ONLY_QUEUES;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "async-channel",
    package: "async-channel",
    docs: "https://docs.rs/async-channel/2.5.0/async_channel/",
    adapter: &AsyncChannel,
    isolated: &[],
    fails: &[(
        "STREAM-77",
        "a send that is woken tries first and drops its listener, which wakes the next one; that finds no room and listens anew, at the end (`SendInner::poll_with_strategy`)",
    )],
};

struct AsyncChannel;

impl Adapter<Settings> for AsyncChannel {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Queue
            | Capability::Pop
            | Capability::EndWithProducers
            | Capability::EndWithConsumers
            | Capability::Consumers
            | Capability::Close => Ok(()),
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
        Box::pin(async { self.0.send(item).await.map_err(|error| Some(error.0)) })
    }
}

struct Consumer(Receiver<Item>);

impl QueueConsumer for Consumer {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        Box::pin(async { Some(Box::new(self.0.recv().await.ok()?) as Box<dyn Job>) })
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        Box::new(Self(self.0.clone()))
    }

    fn close(&mut self) {
        self.0.close();
    }
}
