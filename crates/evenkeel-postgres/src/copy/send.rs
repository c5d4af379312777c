//! Sends chunks to a `COPY … FROM STDIN`.
//!
//! # How it works
//!
//! The client's sink takes a chunk as soon as the task of the connection has taken the one before, so that the next chunk
//! is made while one is on the wire. The server reports an error of a row at the end alone.
//!
//! A source that fails, or is silent for too long, ends the `COPY`: the sink is dropped, by which the client tells the
//! server to give up. A call that is dropped leaves an abandoned connection, as with all other statements.
//!
//! The client sends two requests for an answer with each `COPY`: with the statement, and with the end of the data or when it
//! gives up. A server that is copying passes over the first one. One that has failed before it reads data answers to both,
//! and the client takes the second answer for that to the next statement. So the next one after a failure is a question
//! with a known answer; if it has another one, the connection is not used again. If the server did not even begin to copy,
//! there is always a second answer.

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
use tokio_postgres::{CopyInSink, SimpleQueryMessage};

use crate::{
    Error,
    connection::{Condition, Connection, TxState, copy_end::finish, prepared::PreparedStatement},
    sqlstate::is_in_failed_transaction,
};

/// The text in dumps, as that of the statement is not at hand.
const COPY: &str = "COPY … FROM STDIN";

impl Connection {
    /// Runs a `COPY … FROM STDIN`, and returns the number of rows that the server has stored.
    pub(crate) async fn copy_from(
        &self,
        prepared: &PreparedStatement,
        chunks: impl Stream<Item = Result<Bytes, Error>>,
        idle_timeout: Duration,
    ) -> Result<u64, Error> {
        self.refuse_tx_end(prepared.effect.ends_tx)?;
        let guard = self.begin_statement(prepared.effect, COPY);
        let number = self.next_number();
        let mut has_begun = false;
        let copy = async {
            let mut sink = Box::pin(self.client().copy_in(&prepared.statement).await?);
            has_begun = true;
            match send_all(sink.as_mut(), chunks, idle_timeout).await {
                Ok(()) | Err(Error::Statement(_)) => Ok(finish(sink.as_mut(), self.client()).await?),
                Err(error) => Err(error),
            }
        };
        let result = copy.await;
        match &result {
            Ok(_) => self.record_end(number, None, false),
            Err(Error::Statement(error)) => self.record_end(number, Some(error), false),
            Err(_) => {}
        }
        let step = match &result {
            Ok(_) => Some(true),
            Err(_) if has_begun => self.is_in_step().await,
            Err(_) => Some(false),
        };
        let is_of_user = self.tx_state == TxState::Open && !self.tx_is_of_call;
        // The client hides the server's answer to a copy that was given up, so that a transaction of the user cannot tell its
        // failure.
        let is_failure_known = matches!(result, Ok(_) | Err(Error::Statement(_)));
        match step {
            Some(true) if is_failure_known || !is_of_user => guard.finished(),
            Some(false) if !is_of_user => {
                self.worsen(Condition::Lost);
                guard.finished();
            }
            // The guard marks the connection as abandoned.
            _ => {}
        }
        result.map_err(|error| match error {
            Error::Statement(error) => Error::Statement(self.explained(error)),
            error => error,
        })
    }

    /// Whether the answers of the server are in step with the statements after a copy that has failed, as they are when a
    /// question has its own answer. Returns `None` if there is no answer in time: the server may still be copying.
    async fn is_in_step(&self) -> Option<bool> {
        let answers = timeout(self.options.cleanup_timeout, self.client().simple_query("SELECT 1")).await;
        Some(match answers.ok()? {
            Ok(answers) => answers.iter().any(|answer| matches!(answer, SimpleQueryMessage::Row(_))),
            // The transaction has failed.
            Err(error) => is_in_failed_transaction(&error),
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
