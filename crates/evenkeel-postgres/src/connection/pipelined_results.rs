//! The results of a statement that was sent ahead of another one.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use futures_core::Stream;
use tokio_postgres::{SimpleQueryStream, error::DbError};

use crate::sqlstate::is_idle_timeout;

/// The results of the last statement that was sent ahead. Nobody waits for them: they are few enough not to fill the
/// channel of the client. They are kept because the error that ends a connection goes to its oldest statement.
#[derive(Default)]
pub(crate) struct PipelinedResults {
    results: Mutex<Option<Pin<Box<SimpleQueryStream>>>>,
}

impl PipelinedResults {
    pub(crate) fn keep(&self, results: SimpleQueryStream) {
        let before = lock(&self.results).replace(Box::pin(results));
        drop(before);
    }

    /// Returns the server's error if it ended the connection because of its idleness, and said so here.
    pub(crate) fn idle_timeout(&self) -> Option<Box<DbError>> {
        let mut results = lock(&self.results).take()?;
        match results.as_mut().poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Err(error))) => {
                error.as_db_error().filter(|error| is_idle_timeout(error.code())).cloned().map(Box::new)
            }
            _ => None,
        }
    }
}
