//! Ours, over each of its engines.

#[cfg(unix)]
pub(super) mod jetstream;
mod link;
mod memory;
#[cfg(unix)]
pub(super) mod postgres;

use std::{sync::Arc, time::Duration};

use evenkeel::pipeline::{
    self as ours, Batch, DeadLetter, LowWaterMark, Message, Pipeline, PipelineError, Running, SinkError,
};
use evenkeel_tck::{
    AdapterError, BoxFuture,
    pipeline::{
        BulkError, End, Item, Letter, LowWater, Report, Settings, Shape, Snapshot, Work, WorkItem, Worker,
    },
};

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-pipeline",
    docs: "https://docs.rs/evenkeel-pipeline",
    adapter: &memory::Memory,
    isolated: &[],
    fails: &[],
};

/// The store of an engine for dead letters.
type LetterStore<T> =
    Arc<dyn Fn(Vec<Message<DeadLetter<T>>>) -> BoxFuture<'static, Result<(), SinkError>> + Send + Sync>;

/// Starts a pipeline over any sources, whose items are read by this function.
fn start<S: ours::Source<Item: Clone + Sync>>(
    sources: Vec<S>,
    read: fn(&S::Item) -> Item,
    letter_store: Option<LetterStore<S::Item>>,
    settings: &Settings,
    work: Work,
) -> Result<Running, AdapterError> {
    let backoff = settings.backoff;
    let mut sources = sources.into_iter();
    let first = sources.next().ok_or_else(|| AdapterError::Refused("there is no source".to_owned()))?;
    let pipeline = Pipeline::from(first).window(settings.window).backoff(move |attempt| backoff * attempt);
    let mut pipeline = sources.fold(pipeline, Pipeline::merge);
    if let Some(bytes) = settings.budget {
        pipeline = pipeline.budget(bytes);
    }
    if let Some(attempts) = settings.max_attempts {
        let (work, store) = (work.clone(), letter_store.filter(|_| settings.letter_store));
        let bury = move |letters: Vec<Message<DeadLetter<S::Item>>>| {
            let (work, stored) = (work.clone(), store.as_ref().map(|store| store(letters.clone())));
            async move {
                if let Some(stored) = stored {
                    stored.await?;
                }
                let letter = |message: Message<DeadLetter<S::Item>>| {
                    let DeadLetter { item, reason, attempts, .. } = message.item;
                    Letter { id: message.id, attempts, reason, item: read(&item) }
                };
                work.bury(letters.into_iter().map(letter).collect()).await.map_err(failed)
            }
        };
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
        async move |message: Message<S::Item>| work.run(job(message, read)).await
    };
    let started = match settings.shape {
        Shape::Single if settings.keyed => {
            start!(pipeline.keyed(move |item: &S::Item| read(item).key).messages().stage("work", run))
        }
        Shape::Single => start!(pipeline.messages().stage("work", run)),
        Shape::Filter => {
            let keep =
                async move |item: S::Item| Ok::<_, BulkError>(work.keeps(&read(&item)).then_some(item));
            start!(pipeline.filter_map("filter", keep).messages().stage("work", run))
        }
        Shape::Split => {
            let parts = work.clone();
            let split = async move |item: S::Item| Ok::<_, BulkError>(parts.parts(read(&item)));
            let run = async move |message: Message<Item>| work.run(job(message, |item| *item)).await;
            start!(pipeline.flat_map("split", split).messages().stage("work", run))
        }
        Shape::Batch { items, within } => {
            let mut batch = Batch::items(items);
            if let Some(within) = within {
                batch = batch.within(within);
            }
            let store = move |messages: Vec<Message<S::Item>>| {
                let (work, jobs) = (work.clone(), messages.into_iter().map(|message| job(message, read)));
                let jobs = jobs.collect();
                async move { work.store(jobs).await.map_err(failed) }
            };
            start!(pipeline.sink("store", batch, store))
        }
        shape => return Err(AdapterError::Refused(format!("{shape:?} is not known"))),
    };
    started.map_err(|error| AdapterError::Refused(error.to_string()))
}

fn job<T>(message: Message<T>, read: impl Fn(&T) -> Item) -> WorkItem {
    WorkItem { id: message.id, attempt: message.attempt, item: read(&message.item) }
}

fn failed(error: BulkError) -> SinkError {
    let indices = error.failed().to_vec();
    SinkError::some(error, indices)
}

/// The way from a worker to its server.
trait Line: Send {
    fn cut(&self, time: Duration);
    fn lose_answers(&self, time: Duration);
    /// Deletes the queue behind it.
    fn delete(&self) -> BoxFuture<'_, ()>;
}

struct Handle {
    running: Running,
    /// To each source.
    lines: Vec<Box<dyn Line>>,
}

impl Worker for Handle {
    fn finish(self: Box<Self>) -> BoxFuture<'static, End> {
        let Self { running, lines } = *self;
        Box::pin(async move {
            let ended = end(running.await);
            drop(lines);
            ended
        })
    }

    fn drain(self: Box<Self>, within: Duration) -> BoxFuture<'static, End> {
        let Self { running, lines } = *self;
        Box::pin(async move {
            let ended = end(running.drain(within).await);
            drop(lines);
            ended
        })
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
        self.lines.iter().for_each(|line| line.cut(time));
    }

    fn lose_answers(&self, time: Duration) {
        self.lines.iter().for_each(|line| line.lose_answers(time));
    }

    fn delete(&self, source: usize) -> BoxFuture<'_, ()> {
        self.lines[source].delete()
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
        Ok(counts) => End { report: report(&counts), ..End::default() },
        Err(error) => {
            let text = error.to_string();
            let number = text.split_once("source ").and_then(|(_, rest)| rest.split_once(':'));
            let number = number.and_then(|(number, _)| number.parse::<usize>().ok());
            End {
                report: report(error.report()),
                source: number.and_then(|number| number.checked_sub(1)),
                error: Some(text),
            }
        }
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
