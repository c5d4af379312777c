//! `Open`: the bars that have begun and not ended.

use std::collections::{HashMap, HashSet};

use evenkeel_inspect::TaskId;

use super::picture::Nanos;

/// The most holders and waiters that are looked at in a world: it takes less than a second of computing.
const MAX_LOOKED_AT: u64 = 500_000;

/// The place of a bar that has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct BarKey {
    pub(super) track: u32,
    pub(super) bar: u32,
}

/// The bars that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) edges: HashMap<EdgeKey, Edge>,
    /// The waits of tasks for a slot of their group, by track.
    pub(super) slots: HashMap<u32, BarKey>,
    /// The begins of such waits that may be over within this instant.
    pub(super) new_slots: HashMap<u32, Nanos>,
    pub(super) resources: HashMap<usize, Option<u32>>,
    /// The thread of the world, outside of its tasks.
    pub(super) body: Option<TaskId>,
    /// The number of this look.
    pub(super) look: u64,
    pub(super) looked_at: u64,
    pub(super) uses: usize,
    /// The runs that were asked to stop.
    pub(super) stops: HashSet<usize>,
    /// The holders and waiters of earlier worlds that have never ended.
    pub(super) old: HashSet<EdgeKey>,
}

/// A holder or a waiter of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EdgeKey {
    pub(super) object: usize,
    pub(super) kind: EdgeKind,
    pub(super) number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum EdgeKind {
    Holder,
    Waiter,
    Join,
    Child,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) shown: Shown,
    pub(super) look: u64,
}

/// The part of the picture that ends with a holder or waiter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    Bar(BarKey),
    Track(u32),
    Nothing,
}

impl Open {
    pub(super) fn begin_slot(&mut self, track: u32, at: Nanos) {
        self.new_slots.insert(track, at);
    }

    /// Returns whether a task may be one of this world: threads of others are known.
    pub(super) fn may_be_ours(&self, task: TaskId) -> bool {
        matches!(task, TaskId::Task(_)) || Some(task) == self.body
    }

    pub(super) fn is_over_limit(&self) -> bool {
        self.looked_at > MAX_LOOKED_AT
    }
}
