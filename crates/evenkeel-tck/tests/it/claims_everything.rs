//! Implementations that claim every capability, and do nothing or grant everything: each rule has a verdict of its own, and
//! none panics.

use std::time::Duration;

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture, Configured, Report, Verdict,
    limit::{self, Change, Denied, Limiter, Permit, Request, Settle},
    pipeline::{self, End, LowWater, Queue, Worker},
    pool::{self, Backend, Get, GetError, Lease, Object, Pool, Snapshot},
    retry::{self, Policy},
    shutdown::{self, Parts},
    stream::{self, Channel, Item, Job, Operator, QueueConsumer, QueueProducer, Worked},
    task::{self, Body},
};
use futures::{StreamExt as _, stream as futures_stream};
use tokio::time::Instant;

struct Idle;

/// Asserts that no rule panicked, and that some are broken.
#[track_caller]
fn assert_verdicts(report: &Report) {
    let panicked = |verdict: &Verdict| match verdict {
        Verdict::Fail { expected, .. } => expected.starts_with("no panic"),
        _ => false,
    };
    let panicked = report.findings.iter().find(|rule| panicked(&rule.verdict));
    assert!(panicked.is_none(), "{panicked:?}");
    assert!(report.score().failed > 5, "{report}");
}

impl Adapter<retry::Settings> for Idle {
    fn supports(&self, _: retry::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &retry::Settings) -> Result<Policy, AdapterError> {
        Ok(Policy::new(async |_| retry::Outcome::gave_up(None)))
    }
}

#[test]
fn a_retry_without_attempts() {
    assert_verdicts(&retry::SUITE.run(&Idle));
}

impl Adapter<task::Settings> for Idle {
    fn supports(&self, _: task::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &task::Settings) -> Result<Configured<Body, task::Outcome>, AdapterError> {
        Ok(Configured::new(async |_| task::Outcome::default()))
    }
}

#[test]
fn a_group_without_tasks() {
    assert_verdicts(&task::SUITE.run(&Idle));
}

impl Adapter<shutdown::Settings> for Idle {
    fn supports(&self, _: shutdown::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(
        &self,
        _: &shutdown::Settings,
    ) -> Result<Configured<Parts, shutdown::Outcome>, AdapterError> {
        Ok(Configured::new(async |_| shutdown::Outcome::default()))
    }
}

#[test]
fn a_program_without_tasks() {
    assert_verdicts(&shutdown::SUITE.run(&Idle));
}

impl Adapter<limit::Settings> for Idle {
    fn supports(&self, _: limit::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &limit::Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl Limiter for Idle {
    fn try_acquire(&self, _: Request) -> Result<Permit, Denied> {
        Err(Denied::Busy(None))
    }

    fn acquire(&self, _: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        Box::pin(async { Err(Denied::Closed) })
    }

    fn reserve(&self, _: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
        Box::pin(async { Err(Denied::Closed) })
    }

    fn change(&self, _: Change) {}

    fn keys(&self) -> usize {
        0
    }
}

#[test]
fn a_limiter_without_permits() {
    assert_verdicts(&limit::SUITE.run(&Idle));
}

/// Grants everything at once.
struct Boundless;

impl Adapter<limit::Settings> for Boundless {
    fn supports(&self, _: limit::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &limit::Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl Limiter for Boundless {
    fn try_acquire(&self, _: Request) -> Result<Permit, Denied> {
        Ok(Permit::new(()))
    }

    fn acquire(&self, _: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        Box::pin(async { Ok(Permit::new(())) })
    }

    fn reserve(&self, _: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
        Box::pin(async { Ok(Box::new(drop) as Settle<'_>) })
    }

    fn change(&self, _: Change) {}

    fn keys(&self) -> usize {
        usize::MAX
    }
}

#[test]
fn a_limiter_without_a_limit() {
    assert_verdicts(&limit::SUITE.run(&Boundless));
}

impl Adapter<task::Settings> for Boundless {
    fn supports(&self, _: task::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &task::Settings) -> Result<Configured<Body, task::Outcome>, AdapterError> {
        Ok(Configured::new(|body: Body| async move {
            for task in body.tasks() {
                task.alone().await?;
            }
            Ok(())
        }))
    }
}

#[test]
fn a_group_that_only_runs_its_tasks() {
    assert_verdicts(&task::SUITE.run(&Boundless));
}

impl Adapter<stream::Settings> for Idle {
    fn supports(&self, _: stream::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &stream::Settings) -> Result<Operator, AdapterError> {
        Ok(match settings {
            stream::Settings::Map(_) => Operator::map(|_| futures_stream::empty()),
            stream::Settings::Batch(_) => {
                Operator::batch_with_rest(|_| futures_stream::empty(), |_| Vec::new())
            }
            stream::Settings::Merge => Operator::merge_with_handle(|_| (futures_stream::empty(), |_| {})),
            stream::Settings::Queue(_) => Operator::queue(|| Channel::new(Self, Self)),
            stream::Settings::Pages(_) => Operator::pages(|_| futures_stream::empty()),
            _ => Operator::generate(|_| futures_stream::empty()),
        })
    }
}

impl QueueProducer for Idle {
    fn push(&self, _: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        Box::pin(async { Ok(()) })
    }

    fn join(&self) -> BoxFuture<'_, Result<(), ()>> {
        Box::pin(async { Ok(()) })
    }
}

impl QueueConsumer for Idle {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        Box::pin(async { None })
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        Box::new(Self)
    }

    fn close(&mut self) {}

    fn close_now(&mut self) -> Vec<Item> {
        Vec::new()
    }

    fn workers(self: Box<Self>, _: usize, _: Option<Duration>) -> BoxFuture<'static, Worked> {
        Box::pin(async { Worked::new([], []) })
    }
}

#[test]
fn operators_without_items() {
    assert_verdicts(&stream::SUITE.run(&Idle));
}

impl Adapter<stream::Settings> for Boundless {
    fn supports(&self, _: stream::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &stream::Settings) -> Result<Operator, AdapterError> {
        Ok(match settings {
            stream::Settings::Map(_) => Operator::map(|source| source.map(Item::run).buffer_unordered(1000)),
            stream::Settings::Batch(_) => Operator::batch(|source| source.chunks(1000)),
            stream::Settings::Merge => Operator::merge(|sources| futures_stream::iter(sources).flatten()),
            stream::Settings::Queue(_) => Operator::queue(|| Channel::new(Self, Self)),
            stream::Settings::Pages(_) => Operator::pages(|fetch| {
                let pages = futures_stream::iter(1..).then(move |cursor| {
                    let fetch = fetch.clone();
                    async move { fetch.page(cursor).await }
                });
                pages.take(20).flat_map(|page| {
                    futures_stream::iter(page.map_or_else(
                        |error| vec![Err(error)],
                        |(items, _)| items.into_iter().map(Ok).collect(),
                    ))
                })
            }),
            _ => Operator::generate(|source| source.ready_chunks(100).flat_map(futures_stream::iter)),
        })
    }
}

impl QueueProducer for Boundless {
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        Box::pin(async { Err(Some(item)) })
    }

    fn join(&self) -> BoxFuture<'_, Result<(), ()>> {
        Box::pin(async { Err(()) })
    }
}

impl QueueConsumer for Boundless {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        Box::pin(std::future::pending())
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        Box::new(Self)
    }

    fn close(&mut self) {}

    fn close_now(&mut self) -> Vec<Item> {
        Vec::new()
    }

    fn workers(self: Box<Self>, _: usize, _: Option<Duration>) -> BoxFuture<'static, Worked> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn operators_without_bounds() {
    assert_verdicts(&stream::SUITE.run(&Boundless));
}

impl Adapter<pool::Settings> for Idle {
    fn supports(&self, _: pool::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &pool::Settings) -> Result<Box<dyn Pool>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl Pool for Idle {
    fn get(&self) -> Get {
        Box::pin(async { Err(GetError::Closed) })
    }

    fn get_by(&self, _: Instant) -> Get {
        self.get()
    }

    fn try_get(&self) -> Option<Box<dyn Lease>> {
        None
    }

    fn warm(&self, _: usize) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn resize(&self, _: usize) {}

    fn retire_all(&self) {}

    fn close(&self, _: Option<Duration>) -> BoxFuture<'static, usize> {
        Box::pin(async { 0 })
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        Box::pin(async { Snapshot::default() })
    }

    fn holders(&self) -> Vec<Duration> {
        Vec::new()
    }
}

#[test]
fn a_pool_without_objects() {
    assert_verdicts(&pool::SUITE.run(&Idle));
}

/// Creates an object for each get.
struct Unpooled(Backend);

impl Adapter<pool::Settings> for Boundless {
    fn supports(&self, _: pool::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &pool::Settings) -> Result<Box<dyn Pool>, AdapterError> {
        Ok(Box::new(Unpooled(settings.backend.clone())))
    }
}

impl Pool for Unpooled {
    fn get(&self) -> Get {
        let backend = self.0.clone();
        Box::pin(async move {
            let created = backend.create().await.map_err(|error| GetError::Create(error.to_string()));
            Ok(Box::new(Owned(created?)) as Box<dyn Lease>)
        })
    }

    fn get_by(&self, _: Instant) -> Get {
        self.get()
    }

    fn try_get(&self) -> Option<Box<dyn Lease>> {
        Some(Box::new(Owned(self.0.object())))
    }

    fn warm(&self, _: usize) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn resize(&self, _: usize) {}

    fn retire_all(&self) {}

    fn close(&self, _: Option<Duration>) -> BoxFuture<'static, usize> {
        Box::pin(std::future::pending())
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        Box::pin(async { Snapshot { size: Some(7), idle: Some(8), waiting: Some(9) } })
    }

    fn holders(&self) -> Vec<Duration> {
        vec![Duration::MAX]
    }
}

struct Owned(Object);

impl Lease for Owned {
    fn object(&self) -> &Object {
        &self.0
    }

    fn discard(self: Box<Self>) {}

    fn detach(self: Box<Self>) -> Object {
        self.0
    }
}

#[test]
fn a_pool_that_keeps_nothing() {
    assert_verdicts(&pool::SUITE.run(&Boundless));
}

impl Adapter<pipeline::Settings> for Idle {
    fn supports(&self, _: pipeline::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &pipeline::Settings) -> Result<Box<dyn Queue>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl Queue for Idle {
    fn publish(&self, _: pipeline::Item) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn close(&self) {}

    fn start(&self, _: pipeline::Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        Box::pin(async { Ok(Box::new(Self) as Box<dyn Worker>) })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { 0 })
    }

    fn dead_letters(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { 0 })
    }

    fn crash(&self, _: Duration) {}

    fn kill(&self, _: Duration) {}

    fn forget_workers(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn power_loss(&self, _: Duration) -> usize {
        0
    }

    fn merged(&self, _: usize) -> &dyn Queue {
        self
    }

    fn set_clock_forward(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn set_clock_back(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn low_water(&self, _: u64) -> Box<dyn LowWater> {
        Box::new(Self)
    }
}

impl Worker for Idle {
    fn finish(self: Box<Self>) -> BoxFuture<'static, End> {
        Box::pin(async { End::default() })
    }

    fn drain(self: Box<Self>, _: Duration) -> BoxFuture<'static, End> {
        self.finish()
    }

    fn pause(&self) {}

    fn resume(&self) {}

    fn set_limit(&self, _: usize) {}

    fn snapshot(&self) -> pipeline::Snapshot {
        pipeline::Snapshot::default()
    }

    fn cut(&self, _: Duration) {}

    fn lose_answers(&self, _: Duration) {}

    fn delete(&self, _: usize) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl LowWater for Idle {
    fn begin(&mut self, _: u64) {}

    fn settle(&mut self, _: u64) {}

    fn mark(&self) -> u64 {
        0
    }
}

#[test]
fn workers_that_do_nothing() {
    assert_verdicts(&pipeline::SUITE.run(&Idle));
}
