//! The workers of a stage, and the waits of the tasks of a source, for evenkeel-inspect.
//!
//! With its feature the types have records; without it they have no size, and their functions do nothing.

#[cfg(feature = "inspect")]
mod recorded;
#[cfg(not(feature = "inspect"))]
mod unrecorded;

#[cfg(feature = "inspect")]
pub(crate) use self::recorded::{CallPlace, DumpInstant, Hold, SourceEdges, StageEdges};
#[cfg(not(feature = "inspect"))]
pub(crate) use self::unrecorded::{CallPlace, DumpInstant, Hold, SourceEdges, StageEdges};

/// A task of a source, which makes one call at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Pull,
    Settle,
    Extend,
    DeadLetters,
}
