#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// file           | holds, in reading order
// task_id.rs     | `TaskId`, the task that waits or holds
// resource.rs    | a pool, a limit, a stage: its holders and waiters, its backlog, its outage
// group.rs       | a group: its tasks, and the waits among them
// registry.rs    | the objects of this process, by weak references
// stuck.rs       | which tasks can never go on
// finding.rs     | `Finding`, and the search for circles
// dump.rs        | `dump`, `Dump`
// dump/text.rs, dump/json.rs, dump/html.rs | its forms

mod dump;
mod finding;
mod group;
mod registry;
mod resource;
mod stuck;
mod task_id;

#[doc(hidden)]
pub use self::dump::dump_at_last_wait;
pub use self::{
    dump::{Dump, dump, dump_of},
    finding::{Finding, FindingKind, FindingStep},
    group::{ChildWait, InspectedGroup, InspectedTask, TaskPhase},
    registry::{Inspect, Inspected, Registration, register},
    resource::{Backlog, HolderEdge, InspectedResource, Outage, WaiterEdge},
    task_id::TaskId,
};
