//! Code that must keep compiling: queues, generators, merges, batches and pages inside a spawned task and a boxed `Send` future.

use std::{cell::Cell, error::Error, fmt::Debug, pin::Pin};

use evenkeel_stream::{
    Batch, Capacity, Consumer, Generate, Job, Merge, MergeHandle, PaginateOffset, Producer, Push, Workers,
    WorkersReport, Yielder, generate, merge, paginate_offset, prelude::*, queue, try_generate,
};
use evenkeel_testkit::World;
use futures::{Stream, StreamExt as _, TryStreamExt as _};

type BoxError = Box<dyn Error + Send + Sync>;

/// An item that can be sent to another thread, and not shared with it.
type Item = Cell<u8>;

#[test]
fn types_are_as_sendable_as_their_items() {
    fn sent<T: Send + Debug>() {}
    fn shared<T: Send + Sync + Debug>() {}
    fn unpinned<T: Unpin>() {}
    shared::<Producer<Item>>();
    shared::<Consumer<Item>>();
    sent::<Job<Item>>();
    sent::<Push<'_, Item>>();
    shared::<Workers<Item, Item>>();
    sent::<WorkersReport<Item, String>>();
    sent::<Generate<Item>>();
    shared::<Yielder<Item>>();
    sent::<Merge<Generate<Item>>>();
    shared::<MergeHandle<Generate<Item>>>();
    sent::<PaginateOffset<Item>>();
    unpinned::<Push<'_, std::marker::PhantomPinned>>();
    unpinned::<Consumer<std::marker::PhantomPinned>>();
    unpinned::<Workers<std::marker::PhantomPinned, std::marker::PhantomPinned>>();
    unpinned::<Merge<futures::stream::Pending<std::marker::PhantomPinned>>>();
}

type Input = Pin<Box<dyn Stream<Item = Result<u64, BoxError>> + Send>>;

/// A pipeline over all of them, with errors whose type has a lifetime in it.
async fn pipeline(words: &str) -> Result<u64, BoxError> {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let numbers = try_generate(|y| async move {
        for word in words {
            y.yield_(word.parse::<u64>()?).await;
        }
        Ok::<_, BoxError>(())
    });
    let pages =
        paginate_offset(2, async |offset| Ok::<_, BoxError>((offset..4.max(offset)).take(2).collect()));
    let pages = pages.concurrent(2).map_err(BoxError::from);
    let inputs: [Input; 2] = [Box::pin(numbers), Box::pin(pages)];
    let mut batches = merge(inputs).progress(|_| ()).batch(Batch::items(3).max_bytes(100, |_| 1));

    let (jobs, consumer) = queue(Capacity::items(4).max_bytes(100, |job: &Vec<u64>| job.len()));
    let (sums, results) = queue(Capacity::items(100));
    let workers = consumer.workers(2, async move |job: Vec<u64>| {
        sums.push(job.into_iter().sum::<u64>()).await.map_err(|_| BoxError::from("nobody listens"))
    });
    while let Some(batch) = batches.next().await {
        let batch: Result<Vec<_>, _> = batch.into_iter().collect();
        jobs.push(batch?).await.map_err(|_| "no workers")?;
    }
    drop(jobs);
    workers.await;
    Ok(results.map(Job::done).fold(0, async |sum, n| sum + n).await)
}

#[async_trait::async_trait]
trait Runs {
    async fn run(&self, words: &str) -> Result<u64, BoxError>;
}

#[async_trait::async_trait]
impl Runs for () {
    async fn run(&self, words: &str) -> Result<u64, BoxError> {
        pipeline(words).await
    }
}

#[test]
fn they_run_in_tasks_and_boxed_futures() {
    World::run(async |_| {
        assert_eq!(tokio::spawn(async { pipeline("1 2 3").await }).await.unwrap().unwrap(), 12);
        assert_eq!(().run("10").await.unwrap(), 16);
        assert!(pipeline("1 x").await.is_err());
        // A generator in a struct has a name.
        struct Holder(Generate<u8>);
        let mut holder = Holder(generate(|y| async move { while y.yield_(1).await {} }));
        assert_eq!(holder.0.next().await, Some(1));
    });
}
