//! What is sent ahead of a statement.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tokio_postgres::SimpleQueryStream;
use tokio_postgres::error::DbError;

use crate::connection::lock;
use crate::error::is_idle_end;

/// The answers to what was sent last ahead of a statement, which has no other use for them: they are few enough to hold
/// nobody up, and the end of the connection is told to whatever was sent first.
#[derive(Default)]
pub(crate) struct Ahead {
    answers: Mutex<Option<Pin<Box<SimpleQueryStream>>>>,
}

impl Ahead {
    pub(crate) fn keep(&self, answers: SimpleQueryStream) {
        let before = lock(&self.answers).replace(Box::pin(answers));
        drop(before);
    }

    /// Why the server has ended the connection, if it said that here and that was for its idleness.
    pub(crate) fn idle_end(&self) -> Option<Box<DbError>> {
        let mut answers = lock(&self.answers).take()?;
        match answers.as_mut().poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Err(error))) => {
                error.as_db_error().filter(|error| is_idle_end(error.code())).cloned().map(Box::new)
            }
            _ => None,
        }
    }
}
