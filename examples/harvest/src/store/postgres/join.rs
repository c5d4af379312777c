//! A harvest that several processes share: they have one lock and one token.
//!
//! A process takes the lock of the store in shared mode, and one of the harvest, both for as long as it lives. By the latter
//! others see whether anybody is at a harvest: the one that comes when all have gone begins another one, if that one is
//! complete, and goes on with it otherwise.

use std::time::Duration;

use evenkeel::{
    pipeline::PgQueue,
    postgres::{Error, Tx, TxOptions},
};

use super::{
    Checkpoint, NOW, PREPARE_LOCK, Pass, Postgres, StoreError, begin_pass, checkpoint, is_unfinished, lease,
    sql,
};
use crate::{
    board::{self, Board},
    process::unique,
    queue::{Job, letters},
};

/// The connections of a queue: two for fetches and settlements, one for jobs that are published.
const CONNECTIONS: usize = 3;

const LOCK: &str =
    "SELECT pg_try_advisory_xact_lock_shared(1751216758, 'harvest_lease'::regclass::oid::int4)";

/// Shows others that this process is at a harvest, for as long as the session of the lock lasts.
const PRESENT: &str = "SELECT pg_advisory_xact_lock_shared(1751216759, hashtext($1))";

/// Counts the processes that are at a harvest.
const AT_IT: &str = "
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
        AND classid = 1751216759 AND objid = hashtext($1)::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS harvest_shared (
        id INTEGER PRIMARY KEY, harvest TEXT NOT NULL, queue TEXT NOT NULL, is_published BOOLEAN NOT NULL
    )";
const HARVEST: &str = "SELECT harvest, queue, is_published FROM harvest_shared";
const SHARE: &str = "
    INSERT INTO harvest_shared (id, harvest, queue, is_published) VALUES (1, $1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET
        harvest = excluded.harvest, queue = excluded.queue, is_published = excluded.is_published";
const PUBLISHED: &str = "UPDATE harvest_shared SET is_published = TRUE WHERE harvest = $1";

/// A harvest that this process has begun or joined.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Its identity.
    pub(crate) harvest: String,
    pub(crate) checkpoint: Checkpoint,
    /// Others have just finished it.
    pub(crate) is_complete: bool,
    /// Its first jobs are in the queue.
    pub(crate) is_published: bool,
    /// The harvest before it, whose queue can go.
    pub(crate) before: Option<String>,
    pub(crate) board: Board,
}

/// A harvest in the store.
struct Present {
    harvest: String,
    queue: String,
    is_published: bool,
    workers: i64,
}

impl Postgres {
    /// Returns the queue of this store, whose name has the schema: stores of one database have one each.
    pub(in crate::store) async fn queue(&self, lease: Duration) -> Result<PgQueue, StoreError> {
        let (schema,): (Option<String>,) = self.db.fetch_one("SELECT current_schema()", ()).await?;
        let db = self.database(&format!("{} queue", self.name), CONNECTIONS).await?;
        let queue = PgQueue::new(&db, &format!("harvest {}", schema.unwrap_or_default())).lease(lease);
        queue.set_up().await?;
        Ok(self.jobs.get_or_init(|| queue).clone())
    }

    pub(in crate::store) async fn join(
        &self,
        source: &str,
        first: &str,
        queue: &str,
    ) -> Result<Joined, StoreError> {
        self.lock_by(LOCK).await?;
        let joined = self.db.transaction(TxOptions::new(), async |tx| {
            // One after the other: the first one begins the harvest, the others join it.
            tx.execute(PREPARE_LOCK, ()).await?;
            tx.batch_execute(TABLE).await?;
            tx.batch_execute(board::TABLE).await?;
            self.join_in(&tx, source, first, queue).await
        });
        let joined = joined.await?.map_err(StoreError::permanent)?;
        let _ = self.harvest.set(joined.harvest.clone());
        Ok(joined)
    }

    async fn join_in(
        &self,
        tx: &Tx,
        source: &str,
        first: &str,
        queue: &str,
    ) -> Result<Result<Joined, String>, Error> {
        let pass = tx.fetch_opt::<Pass>(sql::PASS, ()).await?;
        let is_unfinished = pass.as_ref().is_some_and(|pass| is_unfinished(pass, source));
        let is_same = pass.as_ref().is_some_and(|pass| pass.0 == source);
        let last = tx.fetch_opt::<(String, String, bool)>(HARVEST, ()).await?;
        let before = last.as_ref().map(|(harvest, ..)| harvest.clone());
        let present = present(tx, last).await?;
        if let (Some(Present { queue: other, workers: 1.., .. }), Some(pass)) = (&present, &pass) {
            if !is_same {
                return Ok(Err(format!(
                    "its workers harvest another source, {}; wait for their end",
                    pass.0
                )));
            }
            if other != queue {
                return Ok(Err(format!(
                    "its workers have their jobs in another queue, {other}; give that one"
                )));
            }
        }
        let goes_on =
            |present: &Present| present.workers > 0 && is_same || is_unfinished && present.queue == queue;
        let joined = match (present.filter(goes_on), pass) {
            (Some(Present { harvest, is_published, workers, .. }), Some(pass)) => {
                let checkpoint = checkpoint(tx, pass).await?;
                if workers == 0 {
                    // Each is there once: this finds what the queue may have lost.
                    self.enqueue(tx, &harvest, checkpoint.jobs()).await?;
                }
                let (is_complete, board) = (!is_unfinished, self.board());
                Joined { harvest, checkpoint, is_complete, is_published, before: None, board }
            }
            (_, pass) => {
                let harvest = unique();
                let name = format!("workers with a queue {queue}, the first of which is {}", self.run.name);
                tx.execute(&lease::with_clock(sql::TAKE_LEASE, NOW), (&harvest, name)).await?;
                let checkpoint = match pass.filter(|_| is_unfinished) {
                    Some(pass) => checkpoint(tx, pass).await?,
                    None => begin_pass(tx, source, first).await?,
                };
                tx.execute(board::CLEAR, ()).await?;
                let is_published = self.jobs.get().is_some();
                tx.execute(SHARE, (&harvest, queue, is_published)).await?;
                self.enqueue(tx, &harvest, checkpoint.jobs()).await?;
                let board = self.board();
                Joined { harvest, checkpoint, is_complete: false, is_published, before, board }
            }
        };
        self.show_presence(&joined.harvest).await?;
        Ok(Ok(joined))
    }

    pub(in crate::store) fn board(&self) -> Board {
        Board::Postgres(self.db.clone())
    }

    /// Shows others that this process is at the harvest.
    async fn show_presence(&self, harvest: &str) -> Result<(), Error> {
        match &*self.lock.lock().await {
            Some(lock) => lock.client.execute(PRESENT, &[&harvest]).await.map(drop).map_err(Error::Statement),
            None => Ok(()),
        }
    }

    /// Takes the lock again if its session was lost, and looks whether the store is still that of the harvest.
    pub(in crate::store) async fn keep(&self) -> Result<(), StoreError> {
        let Some(harvest) = self.harvest.get() else { return Ok(()) };
        let is_lost = self.lock.lock().await.as_ref().is_none_or(|lock| lock.client.is_closed());
        if is_lost {
            // Another run may have it by now: the token tells.
            let _ = self.lock_by(LOCK).await;
            self.show_presence(harvest).await?;
        }
        let (token, holder): (String, String) = self.db.fetch_one(sql::LEASE, ()).await?;
        if token == *harvest { Ok(()) } else { Err(lease::taken(&holder)) }
    }

    pub(in crate::store) async fn published(&self) -> Result<(), StoreError> {
        self.db.execute(PUBLISHED, (self.token(),)).await?;
        Ok(())
    }

    pub(in crate::store) async fn is_alone(&self) -> Result<bool, StoreError> {
        let (workers,): (i64,) = self.db.fetch_one(AT_IT, (self.token(),)).await?;
        Ok(workers <= 1)
    }

    /// Enqueues jobs with the transaction, if the queue is in this database.
    pub(super) async fn enqueue(&self, tx: &Tx, harvest: &str, jobs: Vec<Job>) -> Result<(), Error> {
        match self.jobs.get() {
            Some(queue) if !jobs.is_empty() => {
                queue.enqueue_many_in(tx, letters(harvest, jobs)).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// The harvest that has the lease, and how many processes are at it.
async fn present(tx: &Tx, last: Option<(String, String, bool)>) -> Result<Option<Present>, Error> {
    let Some((harvest, queue, is_published)) = last else { return Ok(None) };
    let lease = tx.fetch_opt::<(String, String)>(&format!("{} FOR UPDATE", sql::LEASE), ()).await?;
    if lease.is_none_or(|(token, _)| token != harvest) {
        return Ok(None);
    }
    let (workers,): (i64,) = tx.fetch_one(AT_IT, (&harvest,)).await?;
    Ok(Some(Present { harvest, queue, is_published, workers }))
}
