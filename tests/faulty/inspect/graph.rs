//! The graph of holds and waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::{Id, id},
    time::Instant,
};

use crate::faulty::inspect::Fault;

/// The graph of a program, which its resources and its tasks keep up to date.
pub(super) struct Graph {
    pub(super) fault: Fault,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    last: u64,
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) tasks: BTreeMap<u64, (Id, String)>,
    /// The texts of findings, for the fault that keeps them.
    pub(super) found: Vec<String>,
    /// The tasks of all views, for the fault that keeps them.
    pub(super) shown: BTreeMap<String, String>,
}

/// A resource; also a drain, whose guards are units, a task, which others wait for, and a pause, whose units are milliseconds.
pub(super) struct Node {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) units: usize,
    pub(super) holders: BTreeMap<u64, Edge>,
    pub(super) waiters: BTreeMap<u64, Edge>,
    /// How long it was held so far.
    pub(super) holds: Vec<Duration>,
}

#[derive(Clone)]
pub(super) struct Edge {
    pub(super) task: Id,
    pub(super) place: String,
    pub(super) since: Instant,
}

/// The parts of the graph that end with a value of the program.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Node(u64),
    Holder(u64, u64),
    Waiter(u64, u64),
    Task(u64),
}

/// Takes its part out of the graph when it is dropped.
pub(super) struct Entry {
    graph: Arc<Graph>,
    pub(super) part: Part,
}

impl Graph {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, add: impl FnOnce(&mut State, u64) -> Part) -> Entry {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        let part = add(&mut state, number);
        drop(state);
        Entry { graph: self.clone(), part }
    }

    pub(super) fn node(self: &Arc<Self>, kind: &'static str, name: &str, units: usize) -> (u64, Entry) {
        let name = name.to_owned();
        let (holders, waiters, holds) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let entry = self.add(|state, number| {
            state.nodes.insert(number, Node { kind, name, units, holders, waiters, holds });
            Part::Node(number)
        });
        match entry.part {
            Part::Node(number) => (number, entry),
            _ => unreachable!("it is a node"),
        }
    }

    pub(super) fn task(self: &Arc<Self>, name: &str) -> Entry {
        let task = (id(), name.to_owned());
        self.add(|state, number| {
            state.tasks.insert(number, task);
            Part::Task(number)
        })
    }

    /// The current task holds a unit.
    pub(super) fn holder(self: &Arc<Self>, node: u64, place: &str) -> Entry {
        self.add(|state, number| {
            if let Some(node) = state.nodes.get_mut(&node) {
                node.holders.insert(number, Edge::now(place));
            }
            Part::Holder(node, number)
        })
    }

    /// The current task waits for a unit.
    pub(super) fn waiter(self: &Arc<Self>, node: u64, place: &str) -> Entry {
        self.add(|state, number| {
            if let Some(node) = state.nodes.get_mut(&node) {
                node.waiters.insert(number, Edge::now(place));
            }
            Part::Waiter(node, number)
        })
    }

    /// The current task has done an item of this node.
    pub(super) fn done(&self, node: u64) {
        if let Some(node) = self.lock().nodes.get_mut(&node) {
            node.units = node.units.saturating_sub(1);
            node.waiters.values_mut().for_each(|waiter| waiter.since = Instant::now());
        }
    }
}

impl Edge {
    fn now(place: &str) -> Self {
        Self { task: id(), place: place.to_owned(), since: Instant::now() }
    }
}

impl Entry {
    /// The wait has ended with a unit.
    pub(super) fn granted(self) {
        if let Part::Waiter(node, number) = self.part
            && let Some(node) = self.graph.lock().nodes.get_mut(&node)
        {
            node.waiters.remove(&number);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let fault = self.graph.fault;
        let mut state = self.graph.lock();
        match self.part {
            Part::Node(_) if fault == Fault::KeepsResources => {}
            Part::Node(node) => drop(state.nodes.remove(&node)),
            Part::Task(_) if fault == Fault::KeepsTasksThatWereAborted => {}
            Part::Task(number) => drop(state.tasks.remove(&number)),
            Part::Waiter(..)
                if matches!(fault, Fault::KeepsWaitsThatWereGivenUp | Fault::ShowsWaitsThatWereGivenUp) => {}
            Part::Waiter(node, number) => {
                if let Some(node) = state.nodes.get_mut(&node) {
                    node.waiters.remove(&number);
                }
            }
            Part::Holder(node, number) => {
                if let Some(node) = state.nodes.get_mut(&node) {
                    let held = node.holders.remove(&number);
                    node.holds.extend(held.map(|edge| edge.since.elapsed()));
                }
            }
        }
    }
}
