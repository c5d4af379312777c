//! Calls that are made again because their connection had ended before they came.

use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::session::Session;
use crate::{Database, Error};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The attempts of one call.
pub(crate) struct Calls<'a> {
    db: &'a Database,
    place: &'static Location<'static>,
    begin: Option<Instant>,
    failures: usize,
}

impl<'a> Calls<'a> {
    #[track_caller]
    pub(crate) fn new(db: &'a Database) -> Self {
        Self { db, place: Location::caller(), begin: None, failures: 0 }
    }

    /// A session for the next attempt.
    pub(crate) async fn session(&mut self) -> Result<Session, Error> {
        self.begin.get_or_insert_with(Instant::now);
        // All connections may have ended while they were idle. If those end as well that are new, there is no hurry.
        if self.failures > 0
            && let Some(new) = self.failures.checked_sub(self.db.stats().max + 1)
        {
            sleep(FIRST_PAUSE.saturating_mul(1 << new.min(16)).min(LONGEST_PAUSE)).await;
        }
        self.db.session_at(self.place).await
    }

    /// Whether it is certain that the call was not even begun, and there is time for another attempt.
    pub(crate) fn again<T>(&mut self, session: &Session, result: &Result<T, Error>) -> bool {
        let Err(Error::Statement(error)) = result else { return false };
        self.failures += 1;
        let is_left = self.begin.is_some_and(|begin| begin.elapsed() < self.db.acquire_timeout());
        is_left && session.unbegun(error).is_some()
    }

    /// A session in which a transaction has begun.
    pub(crate) async fn begin(&mut self, sql: &str) -> Result<Session, Error> {
        loop {
            let mut session = self.session().await?;
            let begun = session.begin(sql).await;
            if !self.again(&session, &begun) {
                return begun.map(|()| session);
            }
        }
    }
}
