//! The pool behind a database: lends sessions, and repeats calls that did not begin.
//!
//! The server may end a connection that is idle. A call that meets that end is repeated on another connection, if it is
//! certain that its statement did not begin.

use std::{panic::Location, sync::Arc, time::Duration};

use evenkeel_pool::{BoxError, GetError, Pool};
use tokio::time::{Instant, sleep};

#[cfg(feature = "inspect")]
use crate::edges::Objects;
use crate::{
    Error,
    connection::prepared::PreparedStatement,
    edges::DatabaseEdges,
    manager::{ConnectSettings, ConnectionManager},
    recycle::Recycler,
    session::Session,
};

const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A pool that lends sessions.
#[derive(Clone)]
pub(crate) struct SessionPool {
    pub(crate) pool: Pool<ConnectionManager>,
    pub(crate) recycler: Arc<Recycler>,
    pub(crate) connect: ConnectSettings,
    pub(crate) acquire_timeout: Duration,
    pub(crate) edges: DatabaseEdges,
    #[cfg(feature = "inspect")]
    pub(crate) _objects: Objects,
}

impl SessionPool {
    pub(crate) async fn session(&self, place: &'static Location<'static>) -> Result<Session, Error> {
        if self.connect.is_unsupported() {
            return Err(Error::Unsupported("a database over a manager cannot have unnamed statements"));
        }
        match self.pool.get_at(place).await {
            Ok(lease) => Ok(Session::new(lease, Arc::clone(&self.recycler), place)),
            Err(mut error) => {
                if let GetError::Timeout(why) = &mut error
                    && why.snapshot.creating > 0
                    && why.cause.is_none()
                    && let Some(text) = self.connect.progress.describe_oldest()
                {
                    why.cause = Some(BoxError::from(text.as_str()).into());
                    why.last_failure = Some(text);
                }
                Err(Error::Get(error))
            }
        }
    }
}

/// The attempts of one call.
pub(crate) struct CallRetry<'a> {
    pool: &'a SessionPool,
    place: &'static Location<'static>,
    start: Option<Instant>,
    failures: usize,
}

impl<'a> CallRetry<'a> {
    #[track_caller]
    pub(crate) fn new(pool: &'a SessionPool) -> Self {
        Self::at(pool, Location::caller())
    }

    /// The attempts of a call at this place.
    pub(crate) fn at(pool: &'a SessionPool, place: &'static Location<'static>) -> Self {
        Self { pool, place, start: None, failures: 0 }
    }

    /// Returns a session for the next attempt.
    pub(crate) async fn session(&mut self) -> Result<Session, Error> {
        self.start.get_or_insert_with(Instant::now);
        // All connections may have ended while they were idle. After that many failures even new ones end at once, and
        // the attempts slow down.
        if self.failures > 0
            && let Some(extra) = self.failures.checked_sub(self.pool.pool.snapshot().max + 1)
        {
            sleep(MIN_PAUSE.saturating_mul(1 << extra.min(16)).min(MAX_PAUSE)).await;
        }
        self.pool.session(self.place).await
    }

    /// Whether the statement certainly did not begin, and there is time for another attempt.
    pub(crate) fn should_repeat<T>(&mut self, session: &Session, result: &Result<T, Error>) -> bool {
        let Err(Error::Statement(error) | Error::Batch { error, .. }) = result else { return false };
        self.failures += 1;
        let has_time = self.start.is_some_and(|start| start.elapsed() < self.pool.acquire_timeout);
        has_time && session.never_began(error).is_some()
    }

    /// Returns a session in which a transaction of this call has begun, and a statement that was prepared with it.
    pub(crate) async fn begin_with(&mut self, sql: &str) -> Result<(Session, PreparedStatement), Error> {
        loop {
            let mut session = self.session().await?;
            let begun = session.begin_with(sql).await;
            if !self.should_repeat(&session, &begun) {
                if begun.is_err() {
                    session.roll_back().await;
                }
                return begun.map(|prepared| (session, prepared));
            }
        }
    }

    /// Returns a session in which a transaction has begun.
    pub(crate) async fn begin(&mut self, sql: &str) -> Result<Session, Error> {
        loop {
            let mut session = self.session().await?;
            let begun = session.begin(sql).await;
            if !self.should_repeat(&session, &begun) {
                return begun.map(|()| session);
            }
        }
    }
}
