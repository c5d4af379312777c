//! crossfire: `mpmc::bounded_async`.

use crossfire::{
    MAsyncRx, MAsyncTx,
    mpmc::{Array, bounded_async},
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    stream::{Capability, Channel, Item, Job, Operator, QueueConsumer, QueueProducer, Settings},
};

use super::ONLY_QUEUES;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "crossfire",
    package: "crossfire",
    docs: "https://docs.rs/crossfire/3.1.22/crossfire/mpmc/index.html",
    adapter: &Crossfire,
    isolated: &[],
    fails: &[],
};

struct Crossfire;

impl Adapter<Settings> for Crossfire {
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
            let (sender, receiver) = bounded_async(capacity);
            Channel::new(Producer(sender), Consumer(receiver))
        }))
    }
}

struct Producer(MAsyncTx<Array<Item>>);

impl QueueProducer for Producer {
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        Box::pin(async { self.0.send(item).await.map_err(|error| Some(error.0)) })
    }
}

struct Consumer(MAsyncRx<Array<Item>>);

impl QueueConsumer for Consumer {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        Box::pin(async { Some(Box::new(self.0.recv().await.ok()?) as Box<dyn Job>) })
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        Box::new(Self(self.0.clone()))
    }
}
