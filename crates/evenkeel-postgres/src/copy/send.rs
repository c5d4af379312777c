//! Sends chunks to a `COPY … FROM STDIN`.
//!
//! # How it works
//!
//! The client's sink takes a chunk as soon as the task of the connection has taken the one before, so that the next chunk
//! is made while one is on the wire. The server reports an error of a row at the end alone.
//!
//! A source that fails, or is silent for too long, ends the `COPY`: the sink is dropped, by which the client tells the
//! server to give up, and an empty statement waits until it has. A call that is dropped leaves an abandoned connection,
//! as with all other statements.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink as _;
use tokio::time::timeout;
use tokio_postgres::CopyInSink;

use crate::{
    Error,
    connection::{Connection, TxState, prepared::PreparedStatement},
};

impl Connection {
    /// Runs a `COPY … FROM STDIN`, and returns the number of rows that the server has stored.
    pub(crate) async fn copy_from(
        &self,
        prepared: &PreparedStatement,
        chunks: impl Stream<Item = Result<Bytes, Error>>,
        idle_timeout: Duration,
    ) -> Result<u64, Error> {
        self.refuse_tx_end(prepared.effect.ends_tx)?;
        let guard = self.begin_statement(prepared.effect);
        let number = self.next_number();
        let copy = async {
            let mut sink = Box::pin(self.client().copy_in(&prepared.statement).await?);
            match send_all(sink.as_mut(), chunks, idle_timeout).await {
                Ok(()) => Ok(sink.as_mut().finish().await?),
                Err(Error::Statement(_)) => Ok(sink.as_mut().finish().await?),
                Err(error) => {
                    drop(sink);
                    let _ = self.control("").await;
                    Err(error)
                }
            }
        };
        let result = copy.await;
        match &result {
            Ok(_) => self.record_end(number, None, false),
            Err(Error::Statement(error)) => self.record_end(number, Some(error), false),
            // The client hides the server's answer to a copy that was given up, so that a transaction of the user cannot tell
            // its failure: it counts as abandoned.
            Err(_) if self.tx_state == TxState::Open && !self.tx_is_of_call => return result,
            Err(_) => {}
        }
        guard.finished();
        result.map_err(|error| match error {
            Error::Statement(error) => Error::Statement(self.explained(error)),
            error => error,
        })
    }
}

/// Sends all chunks of the source.
async fn send_all(
    mut sink: Pin<&mut CopyInSink<Bytes>>,
    chunks: impl Stream<Item = Result<Bytes, Error>>,
    idle_timeout: Duration,
) -> Result<(), Error> {
    let mut chunks = pin!(chunks);
    loop {
        // Most chunks are ready, and need no timer.
        let next = match poll_fn(|cx| Poll::Ready(chunks.as_mut().poll_next(cx))).await {
            Poll::Ready(next) => next,
            Poll::Pending => timeout(idle_timeout, poll_fn(|cx| chunks.as_mut().poll_next(cx)))
                .await
                .map_err(|_| Error::SourceIdle(idle_timeout))?,
        };
        let Some(chunk) = next.transpose()? else { return Ok(()) };
        poll_fn(|cx| sink.as_mut().poll_ready(cx)).await?;
        sink.as_mut().start_send(chunk)?;
    }
}
