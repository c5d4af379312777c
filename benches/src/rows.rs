//! The rows that are measured: a file for each pattern.

use crate::row::Row;

mod e2e;
#[cfg(feature = "inspect")]
mod inspect;
pub(crate) mod jetstream;
mod limit;
mod pipeline;
mod pool;
pub(crate) mod postgres;
mod postgres_queue;
mod postgres_row;
mod queue;
mod retry;
mod stream;
mod task;
#[cfg(feature = "timeline")]
mod timeline;
mod waiter;

/// Returns all rows in the order of the report.
pub(crate) fn all() -> Vec<Row> {
    [
        retry::rows(),
        limit::rows(),
        stream::rows(),
        queue::rows(),
        pipeline::rows(),
        jetstream::rows(),
        pool::rows(),
        postgres::rows(),
        postgres_queue::rows(),
        postgres_row::rows(),
        task::rows(),
        e2e::rows(),
        #[cfg(feature = "inspect")]
        inspect::rows(),
        #[cfg(feature = "timeline")]
        timeline::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
