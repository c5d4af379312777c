//! Poolers between the client and the server: which there are, and what follows from it.
//!
//! # How it works
//!
//! A server names its process when a connection is made, and again when it is asked. A pooler makes up the first answer, and
//! passes the second one on. Where they differ there is a pooler. It does not tell its mode, so it is taken for one in
//! transaction mode, unless the settings say otherwise: everything that works there works in session mode as well.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::unnamed::PlainTls;

/// How statements are prepared on the server; set by [`Builder::prepared`](crate::Builder::prepared).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prepared {
    /// Once for each connection, under a name: parsed and planned once.
    ///
    /// It needs a session of its own, or a pooler that keeps track of statements, such as PgBouncer from 1.21 on with
    /// `max_prepared_statements`.
    Named,
    /// With each call, in the same message: it costs no round trip, and parses and plans each time.
    Unnamed,
}

/// The session that a connection leads to; set by [`Builder::pool_mode`](crate::Builder::pool_mode).
///
/// The names are those of PgBouncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolMode {
    /// One session of the server, as long as the connection lives: that of the server itself, or of a pooler in session
    /// mode.
    Session,
    /// A session for each transaction, which others use before and after it: that of a pooler in transaction mode. Calls
    /// that need the session beyond their transaction are refused.
    Transaction,
}

/// The knowledge about a pooler; shared by the connections of a database.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolerSettings {
    pub(crate) prepared: Option<Prepared>,
    pub(crate) mode: Option<PoolMode>,
    // A connection has led to a pooler.
    has_pooler: Arc<AtomicBool>,
}

/// How a connection is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pooling {
    /// Others use the session between two transactions.
    pub(crate) is_shared: bool,
    /// Prepared statements have no name on the server.
    pub(crate) is_unnamed: bool,
}

impl PoolerSettings {
    /// How connections are used, as far as it is known.
    pub(crate) fn pooling(&self) -> Pooling {
        let is_shared =
            self.mode.map_or_else(|| self.has_pooler.load(Relaxed), |mode| mode == PoolMode::Transaction);
        let is_unnamed = self.prepared.map_or(is_shared, |prepared| prepared == Prepared::Unnamed);
        Pooling { is_shared, is_unnamed }
    }

    /// Finds out whether a connection leads to a pooler, if that is still open.
    pub(crate) async fn observe(&self, client: &Client) -> Result<(), Error> {
        if self.mode.is_none() && !self.has_pooler.load(Relaxed) && leads_to_pooler(client).await? {
            self.has_pooler.store(true, Relaxed);
        }
        Ok(())
    }
}

async fn leads_to_pooler(client: &Client) -> Result<bool, Error> {
    let answers = match client.simple_query("SELECT pg_catalog.pg_backend_pid()").await {
        Ok(answers) => answers,
        Err(error) if client.is_closed() || error.as_db_error().is_none() => return Err(error),
        // Another kind of server.
        Err(_) => return Ok(false),
    };
    let asked = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse::<i32>().ok(),
        _ => None,
    });
    Ok(asked.is_some_and(|asked| named_process(client).is_some_and(|named| named != asked)))
}

/// The process that was named when the connection was made. The client keeps it to itself, but for requests to cancel.
fn named_process(client: &Client) -> Option<i32> {
    let mut request = CapturedRequest::default();
    let token = client.cancel_token();
    {
        let mut writes = std::pin::pin!(token.cancel_query_raw(&mut request, PlainTls));
        // Nothing in it waits.
        let _ = writes.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
    }
    // Its length, its code, the process and the key.
    let process = request.0.last_chunk::<16>()?.get(8..12)?;
    process.try_into().ok().map(i32::from_be_bytes)
}

/// A request to cancel, which is sent nowhere.
#[derive(Default)]
struct CapturedRequest(Vec<u8>);

impl AsyncRead for CapturedRequest {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // The answer to the question for TLS.
        buf.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CapturedRequest {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
