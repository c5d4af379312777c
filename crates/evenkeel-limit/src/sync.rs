//! Waiting: the queue of waiters, their wakers, timers of a runtime, and the primitives that loom replaces.

pub(crate) mod entry;
pub(crate) mod loom;
pub(crate) mod timer;
pub(crate) mod wait_queue;
pub(crate) mod wake_list;
