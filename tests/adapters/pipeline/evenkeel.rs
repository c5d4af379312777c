//! Ours, over its broker in memory.

mod link;

use std::{sync::Arc, time::Duration};

use evenkeel::pipeline::{
    self as ours, Batch, DeadLetter, Faults, LowWaterMark, MemoryBroker, MemoryConfig, MemorySource, Message,
    Pipeline, PipelineError, Running, SinkError,
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{
        BulkError, Capability, End, Item, Letter, LowWater, Queue, Report, Settings, Shape, Snapshot, Work,
        WorkItem, Worker,
    },
};

use self::link::{Link, Linked};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-pipeline",
    docs: "https://docs.rs/evenkeel-pipeline",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
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

    fn start(&self, work: Work) -> Result<Box<dyn Worker>, AdapterError> {
        let link = Arc::new(Link::default());
        let source = Linked::<MemorySource<Item>>::new(self.broker.source(), Arc::clone(&link));
        let running = start(source, &self.settings, work).map_err(AdapterError::Refused)?;
        Ok(Box::new(Handle { running, link }))
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.broker.snapshot().stored })
    }

    fn crash(&self, downtime: Duration) {
        self.broker.crash(downtime);
    }

    fn power_loss(&self, downtime: Duration) -> usize {
        self.broker.power_loss(downtime).lost
    }

    fn low_water(&self, position: u64) -> Box<dyn LowWater> {
        Box::new(Mark(LowWaterMark::new(position)))
    }
}

/// Starts a pipeline over any source.
fn start<S: ours::Source<Item = Item>>(
    source: S,
    settings: &Settings,
    work: Work,
) -> Result<Running, String> {
    let backoff = settings.backoff;
    let mut pipeline =
        Pipeline::from(source).window(settings.window).backoff(move |attempt| backoff * attempt);
    if let Some(bytes) = settings.budget {
        pipeline = pipeline.budget(bytes);
    }
    if let Some(attempts) = settings.max_attempts {
        let work = work.clone();
        let bury = move |letters| bury(work.clone(), letters);
        pipeline = pipeline.max_attempts(attempts).dead_letter(bury);
    }
    // The methods that follow are those of every pipeline, whatever the types of its stages.
    macro_rules! start {
        ($pipeline:expr) => {{
            let mut pipeline = $pipeline;
            if let Some(limit) = settings.limit {
                pipeline = pipeline.limit(limit);
            }
            if let Some(timeout) = settings.timeout {
                pipeline = pipeline.timeout(timeout);
            }
            pipeline.start()
        }};
    }
    let run = {
        let work = work.clone();
        async move |message: Message<Item>| work.run(job(message)).await
    };
    let started = match settings.shape {
        Shape::Single if settings.keyed => {
            start!(pipeline.keyed(|item: &Item| item.key).messages().stage("work", run))
        }
        Shape::Single => start!(pipeline.messages().stage("work", run)),
        Shape::Filter => {
            let keep = async move |item: Item| Ok::<_, BulkError>(work.keeps(&item).then_some(item));
            start!(pipeline.filter_map("filter", keep).messages().stage("work", run))
        }
        Shape::Split => {
            let split = async move |item: Item| Ok::<_, BulkError>(work.parts(item));
            start!(pipeline.flat_map("split", split).messages().stage("work", run))
        }
        Shape::Batch { items, within } => {
            let mut batch = Batch::items(items);
            if let Some(within) = within {
                batch = batch.within(within);
            }
            let store = move |messages: Vec<Message<Item>>| {
                let work = work.clone();
                async move { work.store(messages.into_iter().map(job).collect()).await.map_err(failed) }
            };
            start!(pipeline.sink("store", batch, store))
        }
        shape => return Err(format!("{shape:?} is not known")),
    };
    started.map_err(|error| error.to_string())
}

fn job(message: Message<Item>) -> WorkItem {
    WorkItem { id: message.id, attempt: message.attempt, item: message.item }
}

fn failed(error: BulkError) -> SinkError {
    let indices = error.failed().to_vec();
    SinkError::some(error, indices)
}

async fn bury(work: Work, letters: Vec<Message<DeadLetter<Item>>>) -> Result<(), SinkError> {
    let letter = |message: Message<DeadLetter<Item>>| {
        let DeadLetter { item, reason, attempts, .. } = message.item;
        Letter { id: message.id, attempts, reason, item }
    };
    work.bury(letters.into_iter().map(letter).collect()).await.map_err(failed)
}

struct Handle {
    running: Running,
    link: Arc<Link>,
}

impl Worker for Handle {
    fn finish(self: Box<Self>) -> BoxFuture<'static, End> {
        Box::pin(async move { end(self.running.await) })
    }

    fn drain(self: Box<Self>, within: Duration) -> BoxFuture<'static, End> {
        Box::pin(async move { end(self.running.drain(within).await) })
    }

    fn pause(&self) {
        self.running.pause();
    }

    fn resume(&self) {
        self.running.resume();
    }

    fn set_limit(&self, limit: usize) {
        assert!(self.running.set_limit("work", limit), "there is a stage of that name");
    }

    fn snapshot(&self) -> Snapshot {
        let now = self.running.snapshot();
        Snapshot {
            in_hand: now.in_hand,
            in_flight: now.stages.iter().map(|stage| stage.in_flight as usize).sum(),
            queued: now.stages.iter().map(|stage| stage.queued).sum(),
            report: report(&now.counts),
        }
    }

    fn cut(&self, time: Duration) {
        self.link.cut(time);
    }

    fn delete(&self) {
        self.link.delete();
    }
}

fn report(report: &ours::DrainReport) -> Report {
    Report {
        accepted: report.accepted,
        acked: report.acked,
        nacked: report.nacked,
        dead: report.dead,
        left: report.left(),
    }
}

fn end(result: Result<ours::DrainReport, PipelineError>) -> End {
    match result {
        Ok(counts) => End { report: report(&counts), error: None },
        Err(error) => End { report: report(error.report()), error: Some(error.to_string()) },
    }
}

struct Mark(LowWaterMark);

impl LowWater for Mark {
    fn begin(&mut self, position: u64) {
        self.0.begin(position);
    }

    fn settle(&mut self, position: u64) {
        let _ = self.0.settle(position);
    }

    fn mark(&self) -> u64 {
        self.0.get()
    }
}
