//! Ours, over its broker in memory.

use std::{iter, sync::Arc, time::Duration};

use evenkeel::pipeline::{Faults, LowWaterMark, MemoryBroker, MemoryConfig, MemorySource};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, Item, LowWater, Queue, Settings, Work, Worker},
};

use super::{
    Handle, Line, Mark,
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
        let config = MemoryConfig {
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
        };
        let broker = || MemoryBroker::with(config.clone());
        let broker = || Broker { broker: broker(), settings: settings.clone(), merged: Vec::new() };
        let merged = (0..settings.merged).map(|_| broker()).collect();
        Ok(Box::new(Broker { merged, ..broker() }))
    }
}

struct Broker {
    broker: MemoryBroker<Item>,
    settings: Settings,
    merged: Vec<Broker>,
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
        let (mut sources, mut lines) = (Vec::new(), Vec::<Box<dyn Line>>::new());
        for Self { broker, .. } in iter::once(self).chain(&self.merged) {
            let link = Arc::new(Link::default());
            sources.push(Linked::<MemorySource<Item>>::new(broker.source(), Arc::clone(&link)));
            lines.push(Box::new(link));
        }
        let running = start(sources, |item| *item, None, &self.settings, work);
        Box::pin(async { Ok(Box::new(Handle { running: running?, lines }) as Box<dyn Worker>) })
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

    fn merged(&self, number: usize) -> &dyn Queue {
        &self.merged[number]
    }

    fn set_clock_forward(&self, by: Duration) -> BoxFuture<'_, ()> {
        self.broker.set_clock_forward(by);
        Box::pin(async {})
    }

    fn set_clock_back(&self, by: Duration) -> BoxFuture<'_, ()> {
        self.broker.set_clock_back(by);
        Box::pin(async {})
    }

    fn low_water(&self, position: u64) -> Box<dyn LowWater> {
        Box::new(Mark(LowWaterMark::new(position)))
    }
}
