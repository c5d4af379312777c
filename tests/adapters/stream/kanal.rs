//! kanal: `bounded_async`.

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    stream::{Capability, Channel, Item, Job, Operator, QueueConsumer, QueueProducer, Settings},
};
use kanal::{AsyncReceiver, AsyncSender, bounded_async};

use super::ONLY_QUEUES;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "kanal",
    package: "kanal",
    docs: "https://docs.rs/kanal/0.1.1/kanal/",
    adapter: &Kanal,
    isolated: &[],
    fails: &[
        (
            "STREAM-79",
            "a sender writes into the waiting receive, whose drop drops the item (`ReceiveFuture::drop`, future.rs)",
        ),
        ("STREAM-80", "as STREAM-79"),
        ("STREAM-84", "as STREAM-79"),
        ("STREAM-88", "`SendError` has no item"),
    ],
};

struct Kanal;

impl Adapter<Settings> for Kanal {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Queue
            | Capability::Pop
            | Capability::EndWithProducers
            | Capability::EndWithConsumers
            | Capability::Consumers => Ok(()),
            Capability::Close | Capability::CloseNow => Err("`close` drops the items in it"),
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

struct Producer(AsyncSender<Item>);

impl QueueProducer for Producer {
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        // Its error has no item.
        Box::pin(async { self.0.send(item).await.map_err(|_| None) })
    }
}

struct Consumer(AsyncReceiver<Item>);

impl QueueConsumer for Consumer {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        Box::pin(async { Some(Box::new(self.0.recv().await.ok()?) as Box<dyn Job>) })
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        Box::new(Self(self.0.clone()))
    }
}
