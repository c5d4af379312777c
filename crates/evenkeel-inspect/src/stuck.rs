//! Which of the tasks that wait can never go on by themselves.
//!
//! # How it works
//!
//! The graph has a node for each task that waits, for each resource and each limit of a group, and for each group whose owner
//! waits for its tasks. All of them count as stuck at first, and those that can move are taken out, until nothing changes:
//!
//! | node | can move |
//! |---|---|
//! | task | if one of the things that it waits for can; one that waits for nothing, or was told to abort, always can |
//! | resource, slots of a group | if there is enough left for the first waiter, a holder can move, or one is not known; or if there is enough for a later one, and all before it can move, as they may leave the queue |
//! | end of a group | if all of its tasks can |
//!
//! Each edge is followed once, so the time is in proportion to the waits and holds.
//!
//! - **A hold counts as given away** if its task waits for more of the same at the very place where it took it: this is the
//!   loop that takes a permit for each task that it spawns. A task that is stuck there is not found; one that is not would be.
//! - **One look is not an instant**: objects are asked one after the other, so that it can show a circle that never was. An
//!   edge that is in a second look as well, by its number, was there all the time between, and so at one instant with all
//!   others of that kind.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    iter, mem,
    panic::Location,
    time::Duration,
};

use crate::{
    ChildWait, InspectedGroup, InspectedResource, InspectedTask, TaskId, TaskPhase, WaiterEdge,
    registry::Look,
};

/// The identity of an edge: that of its object, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EdgeKey {
    Waiter(usize, u64),
    Holder(usize, u64),
    Slot(usize, TaskId, bool),
    Child(usize, u64),
    Join(usize, u64),
}

/// A wait of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait<'a> {
    Resource(&'a InspectedResource, &'a WaiterEdge),
    Slot(&'a InspectedGroup, &'a InspectedTask),
    Child(&'a InspectedGroup, &'a ChildWait),
    Join(&'a InspectedGroup, &'a WaiterEdge),
}

impl Wait<'_> {
    pub(crate) fn waited(&self) -> Duration {
        match self {
            Self::Resource(_, waiter) | Self::Join(_, waiter) => waiter.waited,
            Self::Slot(_, task) => task.age,
            Self::Child(_, wait) => wait.waited,
        }
    }

    fn key(&self) -> EdgeKey {
        match self {
            Self::Resource(resource, waiter) => EdgeKey::Waiter(resource.id, waiter.number),
            Self::Slot(group, task) => slot_key(group, task),
            Self::Child(group, wait) => EdgeKey::Child(group.id, wait.number),
            Self::Join(group, waiter) => EdgeKey::Join(group.id, waiter.number),
        }
    }
}

fn slot_key(group: &InspectedGroup, task: &InspectedTask) -> EdgeKey {
    let id = task.id.unwrap_or(TaskId::Thread(0));
    EdgeKey::Slot(group.id, id, task.phase == TaskPhase::Waiting)
}

/// Returns the waits in a look, each with its task.
pub(crate) fn waits(look: &Look) -> impl Iterator<Item = (TaskId, Wait<'_>)> {
    let resources = look.resources.iter().flat_map(|resource| {
        resource.waiters.iter().map(move |waiter| (waiter.task, Wait::Resource(resource, waiter)))
    });
    let groups = look.groups.iter().flat_map(|group| {
        let waiting = group.tasks.iter().filter(|task| task.phase == TaskPhase::Waiting);
        let slots = waiting.filter_map(move |task| Some((task.id?, Wait::Slot(group, task))));
        let children = group.child_waits.iter().map(move |wait| (wait.task, Wait::Child(group, wait)));
        let join = group.join.iter().map(move |waiter| (waiter.task, Wait::Join(group, waiter)));
        slots.chain(children).chain(join)
    });
    resources.chain(groups)
}

/// Returns the identities of all edges in a look.
pub(crate) fn edges(look: &Look) -> HashSet<EdgeKey> {
    let holders = look.resources.iter().flat_map(|resource| {
        resource.holders.iter().map(move |holder| EdgeKey::Holder(resource.id, holder.number))
    });
    let slots = look
        .groups
        .iter()
        .filter(|group| group.limit.is_some())
        .flat_map(|group| slot_holders(group).map(move |task| slot_key(group, task)));
    waits(look).map(|(_, wait)| wait.key()).chain(holders).chain(slots).collect()
}

/// Returns the tasks that have a slot of a group.
pub(crate) fn slot_holders(group: &InspectedGroup) -> impl Iterator<Item = &InspectedTask> {
    group.tasks.iter().filter(|task| matches!(task.phase, TaskPhase::Running | TaskPhase::Aborting))
}

/// The tasks that are stuck, each with its waits.
#[derive(Debug)]
pub(crate) struct Stuck<'a> {
    pub(crate) waits: HashMap<TaskId, Vec<Wait<'a>>>,
}

/// Finds the tasks that are stuck; with the edges of a later look, those that were at one instant.
pub(crate) fn find<'a>(look: &'a Look, later: Option<&HashSet<EdgeKey>>) -> Stuck<'a> {
    let is_lasting = |key: EdgeKey| later.is_none_or(|later| later.contains(&key));
    let mut graph = Graph::with_capacity(waits(look).count());
    for (task, wait) in waits(look) {
        let node = graph.add_wait(task, wait);
        if !is_lasting(wait.key()) {
            graph.free(node);
        }
    }
    let tasks = look.groups.iter().flat_map(|group| &group.tasks);
    for task in tasks.filter(|task| task.phase == TaskPhase::Aborting) {
        graph.ends(task);
    }
    for resource in look.resources.iter().filter(|resource| !resource.waiters.is_empty()) {
        graph.add_resource(resource, &is_lasting);
    }
    for group in &look.groups {
        graph.add_group(group, &is_lasting);
    }
    graph.finish()
}

#[derive(Debug)]
struct Graph<'a> {
    nodes: Vec<Node>,
    tasks: Vec<TaskWaits>,
    // Each with the next one of its task: most tasks have one, and there may be many.
    waits: Vec<(Wait<'a>, Option<usize>)>,
    by_id: HashMap<TaskId, usize>,
    // Nodes that can move, and that others have not heard of.
    open: Vec<usize>,
}

#[derive(Debug)]
struct TaskWaits {
    id: TaskId,
    first: usize,
    last: usize,
}

#[derive(Debug)]
struct Node {
    is_stuck: bool,
    // The nodes below it that have to move before it can.
    needs: usize,
    // The nodes that can move if this one can.
    above: Vec<usize>,
}

impl<'a> Graph<'a> {
    fn add(&mut self) -> usize {
        self.nodes.push(Node { is_stuck: true, needs: 1, above: Vec::new() });
        self.nodes.len() - 1
    }

    fn with_capacity(waits: usize) -> Self {
        Self {
            nodes: Vec::with_capacity(waits),
            tasks: Vec::with_capacity(waits),
            waits: Vec::with_capacity(waits),
            by_id: HashMap::with_capacity(waits),
            open: Vec::new(),
        }
    }

    /// Adds a wait, and returns the node of its task. The nodes of tasks are the first ones.
    fn add_wait(&mut self, id: TaskId, wait: Wait<'a>) -> usize {
        let at = self.waits.len();
        self.waits.push((wait, None));
        match self.by_id.entry(id) {
            Entry::Occupied(node) => {
                let (node, before) = (*node.get(), &mut self.tasks[*node.get()].last);
                self.waits[*before].1 = Some(at);
                *before = at;
                node
            }
            Entry::Vacant(new) => {
                let node = *new.insert(self.tasks.len());
                self.tasks.push(TaskWaits { id, first: at, last: at });
                self.add();
                node
            }
        }
    }

    /// Returns the waits of a task, in the order in which they were added.
    fn waits_of(&self, task: &TaskWaits) -> impl Iterator<Item = Wait<'a>> {
        iter::successors(Some(task.first), |at| self.waits[*at].1).map(|at| self.waits[at].0)
    }

    fn free(&mut self, node: usize) {
        if self.nodes[node].is_stuck {
            self.nodes[node].is_stuck = false;
            self.open.push(node);
        }
    }

    /// Frees a task that was told to abort: it was woken, and ends, whatever it waits for.
    fn ends(&mut self, task: &InspectedTask) {
        if let Some(node) = task.id.and_then(|id| self.by_id.get(&id)) {
            self.free(*node);
        }
    }

    /// Makes a node depend on a task; one that does not wait can move.
    fn depends(&mut self, node: usize, task: Option<TaskId>) {
        match task.and_then(|task| self.by_id.get(&task)) {
            Some(below) => self.nodes[*below].above.push(node),
            None => self.free(node),
        }
    }

    /// Makes a node depend on all of these.
    fn needs_all(&mut self, node: usize, below: Vec<usize>) {
        self.nodes[node].needs = below.len();
        if below.is_empty() {
            self.free(node);
        }
        for below in below {
            self.nodes[below].above.push(node);
        }
    }

    /// Makes the tasks that wait for a node depend on it.
    fn is_awaited(&mut self, node: usize, tasks: impl Iterator<Item = TaskId>) {
        let Self { nodes, by_id, .. } = self;
        nodes[node].above.extend(tasks.filter_map(|task| by_id.get(&task)));
    }

    /// Returns whether a task waits for a resource at this place.
    fn waits_at(&self, task: TaskId, resource: &InspectedResource, place: &Location<'_>) -> bool {
        let is_here = |wait| match wait {
            Wait::Resource(other, waiter) => other.id == resource.id && waiter.place == place,
            _ => false,
        };
        self.by_id.get(&task).is_some_and(|node| self.waits_of(&self.tasks[*node]).any(is_here))
    }

    fn add_resource(&mut self, resource: &InspectedResource, is_lasting: &impl Fn(EdgeKey) -> bool) {
        let node = self.add();
        self.is_awaited(node, resource.waiters.iter().map(|waiter| waiter.task));
        if !resource.is_exhausted() {
            self.free(node);
        }
        for holder in &resource.holders {
            let is_given = holder.task.is_some_and(|task| self.waits_at(task, resource, holder.place));
            let is_known = !is_given && is_lasting(EdgeKey::Holder(resource.id, holder.number));
            self.depends(node, holder.task.filter(|_| is_known));
        }
        let blockers = resource.blockers();
        if !blockers.is_empty() {
            let queue = self.add();
            self.nodes[queue].above.push(node);
            self.needs_all(
                queue,
                blockers.iter().filter_map(|waiter| self.by_id.get(&waiter.task).copied()).collect(),
            );
        }
    }

    fn add_group(&mut self, group: &InspectedGroup, is_lasting: &impl Fn(EdgeKey) -> bool) {
        if let Some(limit) = group.limit {
            let node = self.add();
            let waiting = group.tasks.iter().filter(|task| task.phase == TaskPhase::Waiting);
            self.is_awaited(node, waiting.filter_map(|task| task.id));
            let mut holders = 0;
            for task in slot_holders(group) {
                holders += 1;
                let is_known = is_lasting(slot_key(group, task));
                self.depends(node, task.id.filter(|_| is_known));
            }
            if group.in_use < limit || holders < group.in_use {
                self.free(node);
            }
        }
        for wait in &group.child_waits {
            let node = self.add();
            self.is_awaited(node, [wait.task].into_iter());
            self.depends(node, Some(wait.child));
        }
        if let Some(join) = &group.join {
            let node = self.add();
            self.is_awaited(node, [join.task].into_iter());
            let members: Vec<_> =
                group.tasks.iter().filter_map(|task| self.by_id.get(&task.id?).copied()).collect();
            self.needs_all(node, members);
        }
    }

    /// Takes out all nodes that can move, and returns the tasks that are left.
    fn finish(mut self) -> Stuck<'a> {
        while let Some(node) = self.open.pop() {
            for above in mem::take(&mut self.nodes[node].above) {
                let needs = &mut self.nodes[above].needs;
                *needs = needs.saturating_sub(1);
                if *needs == 0 {
                    self.free(above);
                }
            }
        }
        let stuck = self.tasks.iter().zip(&self.nodes).filter(|(_, node)| node.is_stuck);
        Stuck { waits: stuck.map(|(task, _)| (task.id, self.waits_of(task).collect())).collect() }
    }
}
