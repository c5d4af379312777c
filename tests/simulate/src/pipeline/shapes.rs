//! The paths of the pipelines that are simulated.

use std::{io, sync::Arc, time::Duration};

use evenkeel_pipeline::{Batch, InvalidPipeline, Message, Pipeline, Running, SinkError, Source};

use super::{
    incarnation::{Incarnation, Order},
    link::{Item, LinkedSource},
    plan::{Plan, ms},
    work::{Place, Stored, bury, store, work},
};

/// The stages of each shape, with the sink.
pub(super) const STAGES_OF: [u64; 7] = [1, 1, 3, 3, 3, 2, 1];

const NAMES: [&str; 3] = ["stage0", "stage1", "stage2"];

/// An item that was split: the item, and the index of a part.
type Part = (Item, u64);

/// Starts the pipeline of a process.
pub(super) fn start(run: &Arc<Incarnation>) -> Result<Running, InvalidPipeline> {
    let plan = &run.shared.plan;
    let backoff = plan.backoff;
    let mut sources = run
        .shared
        .brokers
        .iter()
        .map(|broker| LinkedSource { source: broker.source(), run: Arc::clone(run) });
    let Some(first) = sources.next() else { unreachable!("there is a broker") };
    let merged = sources.fold(Pipeline::from(first), Pipeline::merge);
    let mut pipeline = merged.window(plan.window as usize).backoff(move |attempt| ms(backoff) * attempt);
    if plan.budget > 0 {
        pipeline = pipeline.budget(plan.budget as usize);
    }
    if plan.attempts > 0 {
        let run = Arc::clone(run);
        pipeline =
            pipeline.max_attempts(plan.attempts).dead_letter(move |letters| bury(Arc::clone(&run), letters));
    }
    // Each stage function has a handle of its own.
    let run = || Arc::clone(run);
    let place = |stage| Place { stage, order: Order::None, writes: false, poisons: false };
    let within = Duration::from_millis(plan.within);
    match plan.shape {
        0 => {
            let (run, place) = (run(), Place { writes: true, poisons: true, ..place(0) });
            let only = async move |item: Item| work(run, place, item, None, None).await;
            limited(pipeline.stage(NAMES[0], only), plan).start()
        }
        1 => {
            let (run, place) = (run(), Place { writes: true, poisons: true, ..place(0) });
            let only = async move |message: Message<Item>| {
                let place = Place { order: Order::First(message.item.key), ..place };
                work(run, place, message.item, None, Some(message.id)).await
            };
            limited(pipeline.keyed(|item: &Item| item.key).messages().stage(NAMES[0], only), plan).start()
        }
        2 => {
            let (first, second, sink) = (run(), run(), run());
            let (at_first, at_second) = (place(0), Place { poisons: true, ..place(1) });
            let filter = async move |item: Item| {
                let item = work(Arc::clone(&first), at_first, item, None, None).await?;
                Ok::<_, io::Error>((!first.shared.plan.is_filtered(item.number)).then_some(item))
            };
            let second = async move |item: Item| work(second, at_second, item, None, None).await;
            let pipeline = limited(pipeline.filter_map(NAMES[0], filter), plan).stage(NAMES[1], second);
            let batch = Batch::items(plan.batch as usize).within(within);
            let sink = move |batch: Vec<Message<Item>>| {
                store(Arc::clone(&sink), 2, batch.into_iter().map(whole).collect())
            };
            limited(limited(pipeline, plan).sink(NAMES[2], batch, sink), plan).start()
        }
        3 => {
            let (first, second, sink) = (run(), run(), run());
            let (at_first, at_second) = (place(0), Place { poisons: true, ..place(1) });
            let split = async move |item: Item| split(first, at_first, item).await;
            let second = async move |(item, part): Part| {
                work(second, at_second, item, Some(part), None).await.map(|item| (item, part))
            };
            let pipeline = limited(pipeline.flat_map(NAMES[0], split), plan).stage(NAMES[1], second);
            let batch = Batch::items(plan.batch as usize).within(within);
            let sink = move |batch: Vec<Message<Part>>| {
                let stored = |Message { id, item: (item, part), .. }| Stored { id: Some(id), item, part };
                store(Arc::clone(&sink), 2, batch.into_iter().map(stored).collect())
            };
            limited(limited(pipeline, plan).sink(NAMES[2], batch, sink), plan).start()
        }
        4 => {
            let (first, second, last) = (run(), run(), run());
            let (at_first, at_second) = (place(0), Place { poisons: true, ..place(1) });
            let first = async move |item: Item| {
                let place = Place { order: Order::First(item.key), ..at_first };
                work(first, place, item, None, None).await
            };
            let second = async move |item: Item| {
                let place = Place { order: Order::Later(item.key), ..at_second };
                work(second, place, item, None, None).await
            };
            let pipeline = limited(pipeline.keyed(|item: &Item| item.key).stage(NAMES[0], first), plan);
            let pipeline = limited(pipeline.stage(NAMES[1], second), plan);
            let batch = Batch::items(plan.batch as usize).within(within);
            let last = async move |batch: Vec<Item>| {
                let stored = |item| Stored { id: None, item, part: 0 };
                store(last, 2, batch.into_iter().map(stored).collect()).await
            };
            limited(pipeline.batch(NAMES[2], batch, last), plan).start()
        }
        5 => {
            let (first, second) = (run(), run());
            let (at_first, at_second) = (place(0), Place { writes: true, poisons: true, ..place(1) });
            let split = async move |item: Item| split(first, at_first, item).await;
            let second = async move |message: Message<Part>| {
                let (item, part) = message.item;
                let place = Place { order: Order::Any(part), ..at_second };
                work(second, place, item, Some(part), Some(message.id)).await
            };
            let pipeline = limited(pipeline.flat_map(NAMES[0], split), plan).keyed(|part: &Part| part.1);
            limited(pipeline.messages().stage(NAMES[1], second), plan).start()
        }
        _ => {
            let last = run();
            let batch = Batch::items(plan.batch as usize).within(within);
            let last = async move |batch: Vec<Message<Item>>| -> Result<(), SinkError> {
                store(last, 0, batch.into_iter().map(whole).collect()).await
            };
            limited(pipeline.messages().batch(NAMES[0], batch, last), plan).start()
        }
    }
}

/// Sets the limits of the last stage.
fn limited<S: Source, P>(pipeline: Pipeline<S, P>, plan: &Plan) -> Pipeline<S, P> {
    let pipeline = pipeline.limit(plan.limit as usize);
    if plan.timeout > 0 { pipeline.timeout(ms(plan.timeout)) } else { pipeline }
}

async fn split(run: Arc<Incarnation>, place: Place, item: Item) -> Result<Vec<Part>, io::Error> {
    let parts = run.shared.plan.parts_of(item.number);
    let item = work(run, place, item, None, None).await?;
    Ok((0..parts).map(|part| (item.clone(), part)).collect())
}

fn whole(message: Message<Item>) -> Stored {
    Stored { id: Some(message.id), item: message.item, part: 0 }
}
