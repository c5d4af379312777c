//! Ours, over its broker in memory.

use std::{sync::Arc, time::Duration};

use evenkeel::pipeline::{Faults, LowWaterMark, MemoryBroker, MemoryConfig, MemorySource};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, Item, LowWater, Queue, Settings, Work, Worker},
};

use super::{
    Handle, Mark,
    link::{Link, Linked},
    start,
};

pub(super) struct Memory;

impl Adapter<Settings> for Memory {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Forget => Err("a broker in memory knows deliveries, and no workers"),
            Capability::LetterStore => {
                Err("a broker in memory has no store of dead letters: another broker takes them")
            }
            _ => Ok(()),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        let broker = MemoryBroker::with(MemoryConfig {
            capacity: settings.capacity.unwrap_or(10_000),
            ack_wait: settings.ack_wait,
            sync_every: settings.sync_every,
            faults: Faults {
                seed: 1,
                duplicates: settings.duplicates,
                reorders: settings.reorders,
                ..Faults::default()
            },
            ..MemoryConfig::default()
        });
        Ok(Box::new(Broker { broker, settings: settings.clone() }))
    }
}

struct Broker {
    broker: MemoryBroker<Item>,
    settings: Settings,
}

impl Queue for Broker {
    fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.broker.publish_sized(item, item.size).await.unwrap_or_else(|error| panic!("{error}"));
        })
    }

    fn close(&self) {
        self.broker.close();
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        let link = Arc::new(Link::default());
        let source = Linked::<MemorySource<Item>>::new(self.broker.source(), Arc::clone(&link));
        let running = start(source, |item| *item, None, &self.settings, work);
        Box::pin(async {
            Ok(Box::new(Handle { running: running?, line: Box::new(link) }) as Box<dyn Worker>)
        })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.broker.snapshot().stored })
    }

    fn crash(&self, downtime: Duration) {
        self.broker.crash(downtime);
    }

    fn kill(&self, downtime: Duration) {
        self.broker.crash(downtime);
    }

    fn power_loss(&self, downtime: Duration) -> usize {
        self.broker.power_loss(downtime).lost
    }

    fn low_water(&self, position: u64) -> Box<dyn LowWater> {
        Box::new(Mark(LowWaterMark::new(position)))
    }
}
