//! The parts of a program, each with its entries in the graph.

use std::{
    mem,
    sync::{Arc, Mutex, mpsc as std_mpsc},
    thread,
    time::Duration,
};

use evenkeel_tck::{
    BoxFuture,
    inspect::{
        Inspectable, MessageWork, ProgramBody, Shared, SharedKind, Site, Spawned, StandStill, StandStillKind,
        StoreCall, Tasks, View, ViewedTask,
    },
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinHandle},
    time::sleep,
};

use super::graph::{Entry, Graph};
use crate::faulty::inspect::Fault;

pub(super) struct Program {
    graph: Arc<Graph>,
    limit: Option<usize>,
}

impl Program {
    pub(super) fn new(fault: Fault, limit: Option<usize>) -> Self {
        Self { graph: Arc::new(Graph { fault, state: Mutex::default() }), limit }
    }
}

impl Inspectable for Program {
    fn run(&self, body: ProgramBody) -> BoxFuture<'static, ()> {
        let (spawned, mut running) = mpsc::unbounded_channel();
        let slots = self.limit.map(|limit| Arc::new(Units::new(&self.graph, "slots", "slots", limit)));
        let body = body(Arc::new(Spawner { graph: self.graph.clone(), slots, spawned }));
        Box::pin(async move {
            body.await;
            while let Some(task) = running.recv().await {
                let task: AbortHandle = task;
                task.abort();
            }
        })
    }

    fn resource(&self, kind: SharedKind, name: &'static str, units: usize) -> Arc<dyn Shared> {
        let kind = if kind == SharedKind::Pool { "pool" } else { "limit" };
        Arc::new(Units::new(&self.graph, kind, name, units))
    }

    fn look(&self) -> View {
        let fault = self.graph.fault;
        if fault == Fault::AsksTheTasks {
            let (answers, answer) = std_mpsc::channel();
            Handle::current().spawn(async move { answers.send(()) });
            let _ = answer.recv_timeout(Duration::from_secs(60));
        }
        let mut state = self.graph.lock();
        if fault == Fault::LooksForever {
            // It keeps the lock, and all who want it wait.
            loop {
                thread::park();
            }
        }
        if fault == Fault::ShowsNothingWhileBusy && state.tasks.len() > 2 {
            return View::default();
        }
        let mut findings = state.findings(fault);
        if fault == Fault::KeepsFindings {
            state.found.extend(findings.drain(..).map(|found| found.text));
            let kept = state.found.iter().cloned();
            findings = kept.map(|text| StandStill { kind: StandStillKind::Deadlock, text }).collect();
        }
        let tasks = state.tasks.values().map(|(task, name)| {
            let waits = state.nodes.values().filter(|node| {
                fault != Fault::ShowsNoWaits && node.waiters.values().any(|waiter| waiter.task == *task)
            });
            let waits: Vec<&str> = waits.map(|node| &*node.name).collect();
            ViewedTask { name: name.clone(), waits: waits.join(", ") }
        });
        let mut tasks: Vec<ViewedTask> = tasks.collect();
        if fault == Fault::KeepsTasksThatItHasShown {
            state.shown.extend(tasks.drain(..).map(|task| (task.name, task.waits)));
            let shown = state.shown.iter();
            tasks =
                shown.map(|(name, waits)| ViewedTask { name: name.clone(), waits: waits.clone() }).collect();
        }
        let resources = state.nodes.values().filter(|node| ["pool", "limit"].contains(&node.kind));
        View { findings, tasks, resources: resources.map(|node| node.name.clone()).collect() }
    }

    fn drain(&self, guard: &'static str, held_for: Duration) -> BoxFuture<'static, ()> {
        self.waiting("drain", guard, 1, sleep(held_for))
    }

    fn consume(&self, name: &'static str, messages: u32, work: MessageWork) -> BoxFuture<'static, ()> {
        let graph = self.graph.clone();
        Box::pin(async move {
            let (node, _entry) = graph.node("consumer", name, messages as usize);
            let _wait = graph.waiter(node, "");
            for number in 0..messages {
                work(number).await;
                graph.done(node);
            }
        })
    }

    fn batch(&self, name: &'static str, size: usize, _: u32) -> BoxFuture<'static, ()> {
        self.waiting("batch", name, size, std::future::pending())
    }

    fn shared_limit(&self, name: &'static str, store: StoreCall) -> BoxFuture<'static, ()> {
        let graph = self.graph.clone();
        Box::pin(async move {
            let (node, _entry) = graph.node("store", name, 1);
            let mut outage = None;
            loop {
                match store() {
                    Err(reason) => {
                        outage.get_or_insert_with(|| graph.waiter(node, reason));
                    }
                    Ok(()) if graph.fault == Fault::KeepsOutages => {}
                    Ok(()) => outage = None,
                }
                sleep(Duration::from_secs(1)).await;
            }
        })
    }

    fn pause(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.waiting("pause", "", time.as_millis() as usize, sleep(time))
    }
}

impl Program {
    /// A wait of the current task that is shown, until `end`.
    fn waiting(
        &self,
        kind: &'static str,
        name: &'static str,
        units: usize,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> BoxFuture<'static, ()> {
        let graph = self.graph.clone();
        Box::pin(async move {
            let (node, _entry) = graph.node(kind, name, units);
            let _wait = graph.waiter(node, "");
            end.await;
        })
    }
}

struct Spawner {
    graph: Arc<Graph>,
    slots: Option<Arc<Units>>,
    spawned: mpsc::UnboundedSender<AbortHandle>,
}

impl Tasks for Spawner {
    fn spawn(&self, name: String, task: BoxFuture<'static, ()>) -> Box<dyn Spawned> {
        // Others wait for it: it holds itself.
        let (node, itself) = self.graph.node("task", &name, 1);
        // The program has ended when nobody can send any more.
        let (graph, slots, alive) = (self.graph.clone(), self.slots.clone(), self.spawned.clone());
        let keeps = self.graph.fault == Fault::KeepsWorkAlive;
        let task = tokio::spawn(async move {
            let _parts = (graph.task(&name), itself, graph.holder(node, ""));
            let task: BoxFuture<'static, ()> = if keeps { Box::pin(KeptAlive(Some(task))) } else { task };
            match slots {
                Some(slots) => slots.hold_at("", task).await,
                None => task.await,
            }
            drop(alive);
        });
        let _ = self.spawned.send(task.abort_handle());
        Box::new(Running { graph: self.graph.clone(), node, task })
    }
}

/// A task whose values outlive it.
struct KeptAlive(Option<BoxFuture<'static, ()>>);

impl Future for KeptAlive {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        self.0.as_mut().map_or(std::task::Poll::Ready(()), |task| task.as_mut().poll(cx))
    }
}

impl Drop for KeptAlive {
    fn drop(&mut self) {
        mem::forget(self.0.take());
    }
}

struct Running {
    graph: Arc<Graph>,
    node: u64,
    task: JoinHandle<()>,
}

impl Spawned for Running {
    fn abort(&self) {
        self.task.abort();
    }

    fn ended(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // The body of a program is no task.
            let wait = tokio::task::try_id().map(|_| self.graph.waiter(self.node, ""));
            let _ = self.task.await;
            drop(wait);
        })
    }
}

struct Units {
    graph: Arc<Graph>,
    node: u64,
    free: Arc<Semaphore>,
    _entry: Entry,
}

impl Units {
    fn new(graph: &Arc<Graph>, kind: &'static str, name: &str, units: usize) -> Self {
        let (node, entry) = graph.node(kind, name, units);
        Self { graph: graph.clone(), node, free: Arc::new(Semaphore::new(units)), _entry: entry }
    }

    fn hold_at(&self, place: &str, inside: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        let (graph, node, place, free) = (self.graph.clone(), self.node, place.to_owned(), self.free.clone());
        Box::pin(async move {
            let wait = graph.waiter(node, &place);
            let _unit = free.acquire_owned().await;
            wait.granted();
            let _hold = graph.holder(node, &place);
            inside.await;
        })
    }
}

impl Shared for Units {
    fn hold(&self, site: Site, inside: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        let line = line!() + site.number() as u32;
        site.is_at(file!(), line);
        self.hold_at(&format!("{}:{line}", file!()), inside)
    }
}
