//! The waits of the calls of a database, and its open transactions, for evenkeel-inspect.
//!
//! With its feature the types have records; without it they have no size, and their functions do nothing.

#[cfg(feature = "inspect")]
mod recorded;
#[cfg(feature = "inspect")]
mod resources;
#[cfg(not(feature = "inspect"))]
mod unrecorded;

#[cfg(not(feature = "inspect"))]
pub(crate) use self::unrecorded::{ConnectionEdges, DatabaseEdges, StatementEdge, WaitEdge};
#[cfg(feature = "inspect")]
pub(crate) use self::{
    recorded::{ConnectionEdges, DatabaseEdges, StatementEdge, WaitEdge},
    resources::{Objects, objects},
};
