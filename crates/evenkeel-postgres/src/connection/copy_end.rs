//! The end of a `COPY`.
//!
//! # How it works
//!
//! The client stops reading before the server has ended the statement, and hides an error or a stall that follows. Its sink
//! and its streams can be asked further, though: the messages at the end are *unexpected* to them, and an error of the server
//! is returned as such. So they are asked until the statement is over.

use std::{error::Error as _, pin::Pin};

use bytes::Bytes;
use tokio_postgres::{Client, CopyInSink, Error};

/// The messages that the client leaves unread behind the data that the server sends: `CommandComplete` and
/// `ReadyForQuery`.
const UNREAD: u8 = 2;

/// The end of a `COPY … TO STDOUT`, as the stream of the client sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyOutEnd {
    unread: u8,
    // The client's stream of rows takes the end of the data, behind the last row, for a lost connection.
    hides_done: bool,
}

/// The next step after a result that was read behind the end of the data.
pub(crate) enum AfterEnd {
    ReadOn,
    Over,
    Failed(Error),
}

impl CopyOutEnd {
    pub(crate) const fn of_bytes() -> Self {
        Self { unread: UNREAD, hides_done: false }
    }

    pub(crate) const fn of_rows() -> Self {
        Self { unread: UNREAD, hides_done: true }
    }

    /// Takes the next result of the stream, after its first `None`.
    pub(crate) fn next<T>(&mut self, result: Option<Result<T, Error>>, client: &Client) -> AfterEnd {
        match result {
            Some(Err(error)) if is_unexpected(&error) => {
                (self.unread, self.hides_done) = (self.unread - 1, false);
                if self.unread == 0 { AfterEnd::Over } else { AfterEnd::ReadOn }
            }
            Some(Err(error)) if error.is_closed() && self.hides_done => {
                self.hides_done = false;
                AfterEnd::ReadOn
            }
            // A client that reads to the end by itself has nothing left.
            Some(Err(error)) if error.is_closed() && !client.is_closed() => AfterEnd::Over,
            Some(Err(error)) => AfterEnd::Failed(error),
            Some(Ok(_)) => AfterEnd::ReadOn,
            None => AfterEnd::Over,
        }
    }
}

/// Ends a `COPY … FROM STDIN`, and returns the number of rows that the server has taken.
pub(crate) async fn finish(mut sink: Pin<&mut CopyInSink<Bytes>>, client: &Client) -> Result<u64, Error> {
    let rows = sink.as_mut().finish().await?;
    match sink.finish().await {
        Err(error) if is_unexpected(&error) => Ok(rows),
        // As above.
        Err(error) if error.is_closed() && !client.is_closed() => Ok(rows),
        Err(error) => Err(error),
        Ok(_) => Ok(rows),
    }
}

/// Whether the client has met a message that it did not expect.
fn is_unexpected(error: &Error) -> bool {
    error.source().is_none() && !error.is_closed()
}
