//! Runs a statement for many rows, pipelined.
//!
//! # How it works
//!
//! Up to [`MAX_IN_FLIGHT`] rows are sent before the first answer is read; the client sends a statement when its future is
//! first polled. The answers arrive in the same order. A parameter that does not fit fails at the first poll, before
//! anything is sent: then all answers in flight are read, and the row is sent once more with a new statement if the old one
//! was stale. After a failure no further rows are sent, and the error of the earliest row counts.

use std::{collections::VecDeque, future::poll_fn, task::Poll};

use super::Session;
use crate::{
    Error, Params,
    connection::{
        prepared::{PreparedStatement, StatementFailure},
        run::refuse_copy,
    },
    params::sealed::Refs as _,
};

/// The number of rows in flight at a time.
const MAX_IN_FLIGHT: usize = 256;

/// The number of rows affected so far, or the index and error of the earliest row that failed.
type Total = Result<u64, (u64, tokio_postgres::Error)>;

impl Session {
    pub(crate) async fn execute_many<I>(&self, sql: &str, rows: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item: Params>,
    {
        let (mut prepared, mut was_known) = self.get_or_prepare(sql).await?;
        self.refuse_tx_end(prepared.effect.ends_tx)?;
        self.refuse_session_use(sql, prepared.effect)?;
        refuse_copy(prepared.effect.copies)?;
        let guard = self.begin_statement(prepared.effect, sql);
        let send = |prepared: PreparedStatement, row: I::Item| {
            Box::pin(async move { (self.run_once(&prepared, &row.refs(), &mut drop).await, row) })
        };
        let mut total: Total = Ok(0);
        let mut rows = (0..).zip(rows);
        let mut in_flight = VecDeque::with_capacity(MAX_IN_FLIGHT);
        loop {
            while in_flight.len() < MAX_IN_FLIGHT
                && total.is_ok()
                && let Some((index, row)) = rows.next()
            {
                let mut sent = send(prepared.clone(), row);
                let mut first = poll_fn(|cx| Poll::Ready(sent.as_mut().poll(cx))).await;
                if let Poll::Ready((Err(failure), row)) = first {
                    while self.next_answer(&mut in_flight, &mut total, sql, was_known).await {}
                    match self.replace_stale(sql, &prepared, was_known, failure).await {
                        Ok(again) => {
                            (prepared, was_known) = (again, false);
                            sent = send(prepared.clone(), row);
                            first = poll_fn(|cx| Poll::Ready(sent.as_mut().poll(cx))).await;
                        }
                        Err(error) => {
                            add(&mut total, index, Err(error));
                            break;
                        }
                    }
                }
                match first {
                    Poll::Ready((result, _)) => {
                        let result = result.map_err(|failure| self.record_failure(failure, sql, was_known).0);
                        add(&mut total, index, result);
                    }
                    Poll::Pending => in_flight.push_back((index, sent)),
                }
            }
            if !self.next_answer(&mut in_flight, &mut total, sql, was_known).await {
                break;
            }
        }
        guard.finished();
        total.map_err(|(index, error)| Error::Row(index, error))
    }

    /// Waits for the answer to the row that was sent first; returns `false` if there is none.
    async fn next_answer<R>(
        &self,
        in_flight: &mut VecDeque<(u64, impl Future<Output = (Result<u64, StatementFailure>, R)>)>,
        total: &mut Total,
        sql: &str,
        was_known: bool,
    ) -> bool {
        let Some((index, sent)) = in_flight.pop_front() else { return false };
        let (result, _) = sent.await;
        add(total, index, result.map_err(|failure| self.record_failure(failure, sql, was_known).0));
        true
    }
}

/// Adds the result of a row.
fn add(total: &mut Total, index: u64, result: Result<u64, tokio_postgres::Error>) {
    match (&mut *total, result) {
        (Ok(total), Ok(count)) => *total += count,
        (Err((first, _)), Err(error)) if index < *first => *total = Err((index, error)),
        (Ok(_), Err(error)) => *total = Err((index, error)),
        (Err(_), _) => {}
    }
}
