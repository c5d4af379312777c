#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// file             | holds, in reading order
// task_id.rs       | `TaskId`, the task that waits or holds
// task_probe.rs    | `TaskProbe`, which tells a timeline of the begin and the end of a task
// resource.rs      | a pool, a limit, a stage: its holders and waiters, its backlog, its outage
// recent_median.rs | `RecentMedian`, how long something usually takes
// burst.rs         | `skips_clock`: fewer readings where holds follow each other within moments
// first_seen.rs    | `FirstSeen`, the time of a hold that began without a reading
// task_cell.rs     | `TaskCell`, a task in atomic words
// holds.rs         | `Holds`, holders that are recorded only while they are pending
// group.rs         | a group: its tasks, and the waits among them
// chunks.rs        | `copy_chunks`: long lists, a chunk under a lock at a time
// registry.rs      | the objects of this process, by weak references
// stuck.rs         | which tasks can never go on
// finding.rs       | `Finding`, its kinds and its text
// deadlock.rs      | the circles among tasks that are stuck
// stalls.rs        | late timers, outages, drains, old holders, work that nothing leaves
// dump.rs          | `dump`, `Dump`
// dump/text.rs, dump/json.rs, dump/html.rs | its forms
// told.rs          | which findings were told
// watchdog.rs      | `watchdog`, `watch`: findings that last
// findings_file.rs | the file that `EVENKEEL_FINDINGS` names, for test runs, behind the feature `findings-file`
// accept.rs, answer.rs | the form that a request wants; its answer
// server.rs        | `serve`, `InspectServer`, behind the feature `http`
// service.rs       | `InspectService`, behind the feature `tower`
// guide.rs         | six outages: their programs, their dumps, and what to do

#[cfg(any(feature = "http", feature = "tower"))]
mod accept;
#[cfg(any(feature = "http", feature = "tower"))]
mod answer;
mod burst;
mod chunks;
mod deadlock;
mod dump;
mod finding;
#[cfg(feature = "findings-file")]
mod findings_file;
mod first_seen;
mod group;
pub mod guide;
mod holds;
mod recent_median;
mod registry;
mod resource;
#[cfg(feature = "http")]
mod server;
#[cfg(feature = "tower")]
mod service;
mod stalls;
mod stuck;
mod task_cell;
mod task_id;
mod task_probe;
mod told;
mod watchdog;

#[cfg(feature = "findings-file")]
#[doc(hidden)]
pub use self::findings_file::FindingsLog;
#[cfg(feature = "http")]
pub use self::server::{InspectServer, MAX_CONNECTIONS, serve, serve_public};
#[cfg(feature = "tower")]
pub use self::service::InspectService;
#[cfg(feature = "task-events")]
#[doc(hidden)]
pub use self::task_probe::{ObserverGuard, observe_tasks};
#[doc(hidden)]
pub use self::{
    burst::{is_burst, read_clock, skips_clock},
    chunks::{copy_chunks, longest_run},
    dump::{dump_at, dump_at_last_wait, json_text},
    first_seen::FirstSeen,
    holds::{HoldKey, Holds},
    registry::{Waits, end_runtime, waits_of},
    task_cell::TaskCell,
    task_id::thread_number,
    task_probe::{BegunTask, TaskObserver, TaskOutcome, TaskProbe},
};
pub use self::{
    dump::{Dump, dump, dump_of},
    finding::{Finding, FindingKind, FindingStep},
    group::{ChildWait, InspectedGroup, InspectedTask, TaskPhase},
    recent_median::RecentMedian,
    registry::{Inspect, Inspected, Registration, register},
    resource::{Backlog, HolderEdge, InspectedResource, Outage, WaiterEdge},
    task_id::TaskId,
    watchdog::{Watchdog, watch, watchdog},
};
