//! The waits of batches, maps and producers, for evenkeel-inspect.
//!
//! With its feature the types have records; without it they have no size, and their functions do nothing.

#[cfg(feature = "inspect")]
mod item_cell;
#[cfg(feature = "inspect")]
mod loom;
#[cfg(all(test, feature = "inspect"))]
mod loom_tests;
#[cfg(feature = "inspect")]
mod recorded;
#[cfg(not(feature = "inspect"))]
mod unrecorded;

#[cfg(feature = "inspect")]
pub(crate) use self::recorded::{BatchEdge, CallPlace, ItemEdge, ItemRecord, SourceWait, WaitRecord};
#[cfg(not(feature = "inspect"))]
pub(crate) use self::unrecorded::{
    BatchEdge, CallPlace, ItemEdge, ItemRecord, SourceWait, WaitRecord, WorkersEdge,
};
