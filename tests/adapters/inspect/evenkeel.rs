//! Ours: nothing is marked but the names.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use evenkeel::{
    inspect::{Dump, FindingKind, dump_of},
    limit::{
        ConcurrencyLimiter, Distributed, Rate,
        distributed::{
            MemoryStore, OnFailure,
            store::{Store, Take, Taken},
        },
    },
    pipeline::{Batch, MemoryBroker, Pipeline, SourceError},
    pool::{Manager, Pool},
    retry::{Backoff, Jitter, Policy},
    shutdown::Shutdown,
    task::{Group, GroupError, TaskHandle},
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    inspect::{
        Capability, Inspectable, MessageWork, ProgramBody, Settings, Shared, SharedKind, Site, Spawned,
        StandStill, StandStillKind, StoreCall, Tasks, View, ViewedTask,
    },
};
use tokio::{join, runtime::Handle, time::sleep};

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-inspect",
    docs: "https://docs.rs/evenkeel-inspect",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

/// Longer than any rule lasts.
const LONG: Duration = Duration::from_secs(1_000_000);

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Arc<dyn Inspectable>, AdapterError> {
        Ok(Arc::new(Program { limit: settings.limit }))
    }
}

struct Program {
    limit: Option<usize>,
}

impl Inspectable for Program {
    fn run(&self, body: ProgramBody) -> BoxFuture<'static, ()> {
        let mut builder = Group::builder();
        if let Some(limit) = self.limit {
            builder = builder.limit(limit);
        }
        Box::pin(async move {
            let run = builder.run(async |g| {
                body(Arc::new(Spawner(g))).await;
                Err("the body has ended".into())
            });
            let _: Result<(), GroupError> = run.await;
        })
    }

    fn resource(&self, kind: SharedKind, name: &'static str, units: usize) -> Arc<dyn Shared> {
        match kind {
            SharedKind::Pool => {
                let builder = Pool::builder(Units).max(units).named(name).acquire_timeout(LONG);
                Arc::new(Objects(builder.build().expect("room for units")))
            }
            _ => Arc::new(Limit(Arc::new(ConcurrencyLimiter::new(units as u32).named(name)))),
        }
    }

    fn look(&self) -> View {
        view(&dump_of(Handle::current().id()))
    }

    fn drain(&self, guard: &'static str, held_for: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let (shutdown, stop) = Shutdown::manual();
            let shutdown = shutdown.grace(LONG);
            let held = shutdown.handle().guard(guard);
            stop.drain("a deployment");
            let (_report, ()) = join!(shutdown.run(), async {
                sleep(held_for).await;
                drop(held);
            });
        })
    }

    fn consume(&self, name: &'static str, messages: u32, work: MessageWork) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let broker = MemoryBroker::new();
            for number in 0..messages {
                let _ = broker.publish(number).await;
            }
            let each = move |number: u32| {
                let work = work(number);
                async move {
                    work.await;
                    Ok::<_, SourceError>(number)
                }
            };
            let pipeline = Pipeline::from(broker.source()).stage(name, each).limit(1);
            let _running = pipeline.start().expect("it is whole");
            pending().await
        })
    }

    fn batch(&self, name: &'static str, size: usize, items: u32) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let broker = MemoryBroker::new();
            let write = async |_: Vec<u32>| Ok::<_, SourceError>(());
            let pipeline = Pipeline::from(broker.source()).batch(name, Batch::items(size), write);
            let _running = pipeline.start().expect("it is whole");
            for number in 0..items {
                let _ = broker.publish(number).await;
            }
            pending().await
        })
    }

    fn shared_limit(&self, name: &'static str, store: StoreCall) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let store = RemoteStore { call: store, answers: MemoryStore::new() };
            let limit = Distributed::new(store, "quota", Rate::per_second(10));
            let limit = limit.on_failure(OnFailure::Closed).named(name);
            loop {
                let _refused = limit.acquire().await;
                sleep(Duration::from_secs(1)).await;
            }
        })
    }

    fn pause(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let policy = Policy::new(Backoff::fixed(time).jitter(Jitter::None)).max_attempts(2);
            let _failed = policy.run(async || Err::<(), _>("it fails")).await;
        })
    }
}

struct RemoteStore {
    call: StoreCall,
    answers: MemoryStore,
}

impl Store for RemoteStore {
    type Error = &'static str;

    async fn take(&self, take: Take<'_>) -> Result<Taken, Self::Error> {
        sleep(Duration::from_millis(1)).await;
        (self.call)()?;
        Ok(self.answers.take(take).await.unwrap_or_else(|never| match never {}))
    }
}

fn view(dump: &Dump) -> View {
    let findings = dump.findings.iter().map(|found| {
        let kind = match found.kind {
            kind if kind.is_deadlock() => StandStillKind::Deadlock,
            FindingKind::Drain => StandStillKind::Drain,
            FindingKind::OldHolders => StandStillKind::OldHolders,
            FindingKind::NoProgress => StandStillKind::NoProgress,
            FindingKind::Outage => StandStillKind::Outage,
            FindingKind::LateTimer => StandStillKind::LateTimer,
            _ => StandStillKind::Other,
        };
        StandStill { kind, text: found.to_string() }
    });
    let tasks = dump.groups.iter().flat_map(|group| &group.tasks).map(|task| {
        let waits = dump
            .resources
            .iter()
            .filter(|resource| resource.waiters.iter().any(|waiter| Some(waiter.task) == task.id));
        let waits: Vec<String> = waits.map(ToString::to_string).collect();
        ViewedTask { name: task.name.clone().unwrap_or_default().into_owned(), waits: waits.join(", ") }
    });
    View {
        findings: findings.collect(),
        tasks: tasks.collect(),
        resources: dump.resources.iter().map(ToString::to_string).collect(),
    }
}

struct Spawner(Group);

impl Tasks for Spawner {
    fn spawn(&self, name: String, task: BoxFuture<'static, ()>) -> Box<dyn Spawned> {
        Box::new(Running(self.0.task(name).spawn_with_handle(task)))
    }
}

struct Running(TaskHandle<()>);

impl Spawned for Running {
    fn abort(&self) {
        self.0.abort();
    }

    fn ended(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {
            let _ = self.0.await;
        })
    }
}

struct Units;

impl Manager for Units {
    type Object = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Objects(Pool<Units>);

impl Shared for Objects {
    fn hold(&self, site: Site, inside: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        let pool = self.0.clone();
        Box::pin(async move {
            let (line, get) = match site.number() {
                0 => (line!(), pool.get()),
                _ => (line!(), pool.get()),
            };
            site.is_at(file!(), line);
            let _unit = get.await;
            inside.await;
        })
    }
}

struct Limit(Arc<ConcurrencyLimiter>);

impl Shared for Limit {
    fn hold(&self, site: Site, inside: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        let limiter = self.0.clone();
        Box::pin(async move {
            let (line, permit) = match site.number() {
                0 => (line!(), limiter.acquire()),
                _ => (line!(), limiter.acquire()),
            };
            site.is_at(file!(), line);
            let _permit = permit.await;
            inside.await;
        })
    }
}
