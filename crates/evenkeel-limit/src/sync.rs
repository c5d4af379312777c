//! Waiting for permits, for rate and concurrency limits alike: the queue, where requests come from, the timers of a
//! runtime, and the primitives that loom replaces.

pub(crate) mod edges;
pub(crate) mod entry;
pub(crate) mod loom;
pub(crate) mod timer;
pub(crate) mod wait_queue;
