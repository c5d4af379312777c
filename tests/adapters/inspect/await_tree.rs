//! await-tree: each task has a tree of its own, and a span for each wait and around what it does with a unit.
//!
//! A reader of the trees sees who waits and who has what. Nothing looks for circles, and the mark `!!!` of a span that lasts
//! ten seconds is by the clock of the system.

use std::sync::Arc;

use await_tree::{Config, InstrumentAwait, Registry, span};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    inspect::{
        Capability, Inspectable, ProgramBody, Settings, Shared, SharedKind, Site, Spawned, Tasks, View,
        ViewedTask,
    },
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};

use super::TokioTask;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "await-tree",
    package: "await-tree",
    docs: "https://docs.rs/await-tree",
    adapter: &AwaitTree,
    isolated: &[],
    fails: &[],
};

struct AwaitTree;

impl Adapter<Settings> for AwaitTree {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Waits => Ok(()),
            Capability::Resources => Err("it knows spans, and no resources"),
            Capability::Stalls => Err("it marks a span that lasts 10 s, by the clock of the system"),
            _ => Err("it shows who waits for what, and looks for nothing in it"),
        }
    }

    fn configure(&self, _: &Settings) -> Result<Arc<dyn Inspectable>, AdapterError> {
        Ok(Arc::new(Program(Registry::new(Config::default()))))
    }
}

struct Program(Registry);

impl Inspectable for Program {
    fn run(&self, body: ProgramBody) -> BoxFuture<'static, ()> {
        let (spawned, mut running) = mpsc::unbounded_channel();
        let body = body(Arc::new(Spawner { trees: self.0.clone(), spawned }));
        Box::pin(async move {
            body.await;
            while let Some(task) = running.recv().await {
                let task: AbortHandle = task;
                task.abort();
            }
        })
    }

    fn resource(&self, kind: SharedKind, name: &'static str, units: usize) -> Arc<dyn Shared> {
        Arc::new(Units { name: format!("{kind:?} '{name}'"), free: Arc::new(Semaphore::new(units)) })
    }

    fn look(&self) -> View {
        let trees = self.0.collect_all();
        let viewed = trees.into_iter().map(|(_, tree)| {
            let text = tree.to_string();
            let (name, waits) = text.split_once('\n').unwrap_or((&text, ""));
            let name = name.split(" [").next().unwrap_or(name);
            ViewedTask { name: name.to_owned(), waits: waits.to_owned() }
        });
        View { tasks: viewed.collect(), ..View::default() }
    }
}

struct Spawner {
    trees: Registry,
    spawned: mpsc::UnboundedSender<AbortHandle>,
}

impl Tasks for Spawner {
    fn spawn(&self, name: String, task: BoxFuture<'static, ()>) -> Box<dyn Spawned> {
        let root = self.trees.register_anonymous(name);
        // The program has ended when nobody can send any more.
        let alive = self.spawned.clone();
        let task = tokio::spawn(root.instrument(async move {
            task.await;
            drop(alive);
        }));
        let _ = self.spawned.send(task.abort_handle());
        Box::new(TokioTask(task))
    }
}

struct Units {
    name: String,
    free: Arc<Semaphore>,
}

impl Shared for Units {
    fn hold(&self, site: Site, inside: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        let (free, name) = (self.free.clone(), self.name.clone());
        Box::pin(async move {
            let line = if site.number() == 0 { line!() } else { line!() + 1 };
            site.is_at(file!(), line);
            let wait = span!("waits for {name} at {}:{line}", file!());
            let _unit = free.acquire_owned().instrument_await(wait).await;
            inside.instrument_await(span!("has {name} since {}:{line}", file!())).await;
        })
    }
}
