//! Dead letters in the database of their queue.

use std::{fmt, time::SystemTime};

use evenkeel_postgres::{Error, tokio_postgres::error::SqlState};

use super::{PgQueue, ack::release_keys, receipt};
use crate::{DeadLetter, Message, Sink, SinkError};

const BURY: &str = "
with letter as (
    select * from unnest($2::bigint[], $3::int[], $4::text[]) as t(id, attempts, reason)
), in_hand as (
    delete from evenkeel_queue.job j using letter t
    where j.id = t.id and j.state = 'h' and j.worker = any(array(select id from evenkeel_queue.worker where queue = $1))
        and j.queue = $1 and j.attempt + 1 >= t.attempts
    returning j.id, j.queue, j.key, j.dedup, j.payload, t.reason, t.attempts, j.enqueued_at
), handed_back as (
    delete from evenkeel_queue.job j using letter t
    where j.id = t.id and j.state = 'd' and j.queue = $1 and j.attempt + 1 >= t.attempts
    returning j.id, j.queue, j.key, j.dedup, j.payload, t.reason, t.attempts, j.enqueued_at
), job as (
    select * from in_hand union all select * from handed_back
), dead as (
    insert into evenkeel_queue.dead (id, queue, key, dedup, payload, reason, attempts, enqueued_at)
    select id, queue, key, dedup, payload, reason, attempts, enqueued_at from job
)
select array(select distinct key from job where key is not null)";

const ORIGIN: &str = "select origin from evenkeel_queue.version where number = 1";

const DEAD: &str = "
select id, payload, key, reason, attempts, died_at from evenkeel_queue.dead where queue = $1 order by id limit $2";

const REQUEUE: &str = "
with gone as (
    delete from evenkeel_queue.dead d where d.queue = $1 and d.id = any($2::bigint[]) and not exists (
        select 1 from evenkeel_queue.job b where b.queue = $1 and b.dedup = d.dedup and b.dedup is not null)
    returning id, queue, key, dedup, payload, enqueued_at
), job as (
    insert into evenkeel_queue.job (id, queue, state, key, dedup, payload, enqueued_at)
    select id, queue, 'f', key, dedup, payload, enqueued_at from gone returning id
)
select count(*) from job, pg_notify($3, '')";

const DISCARD: &str = "delete from evenkeel_queue.dead where queue = $1 and id = any($2::bigint[])";

/// The dead letters of a [`PgQueue`]: a sink that moves jobs into their table, by [`PgQueue::dead_letters`].
///
/// A job and its dead letter change places in one statement: neither is lost, and none is there twice, at whatever moment
/// the process ends. A letter about an attempt from before a [`requeue`](PgQueue::requeue) does nothing. Letters stay until they are
/// requeued or [discarded](PgQueue::discard).
#[derive(Clone, Debug)]
pub struct PgDeadLetters {
    queue: PgQueue,
}

/// A job that is dead: one of [`PgQueue::dead`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PgDeadJob {
    /// The number of the job, with which its [`Message::id`] ended.
    pub id: i64,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its [`key`](crate::PgJob::key).
    pub key: Option<String>,
    /// The reason of the last failure.
    pub reason: String,
    /// The number of attempts.
    pub attempts: u32,
    /// The time of the server at which its dead letter was written.
    pub died_at: SystemTime,
}

impl PgQueue {
    /// Returns the sink of the dead letters of this queue.
    #[must_use]
    pub fn dead_letters(&self) -> PgDeadLetters {
        PgDeadLetters { queue: self.clone() }
    }

    /// Returns jobs that are dead, at most `max`, those with the lowest numbers first.
    ///
    /// # Errors
    ///
    /// As [`Database::fetch_all`](evenkeel_postgres::Database::fetch_all).
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn dead(&self, max: u32) -> Result<Vec<PgDeadJob>, Error> {
        type Row = (i64, Vec<u8>, Option<String>, String, i32, SystemTime);
        let rows: Vec<Row> = self.db.fetch_all(&self.sql(DEAD), (&*self.name, i64::from(max))).await?;
        let job = |(id, payload, key, reason, attempts, died_at): Row| PgDeadJob {
            id,
            payload,
            key,
            reason,
            attempts: attempts.unsigned_abs(),
            died_at,
        };
        Ok(rows.into_iter().map(job).collect())
    }

    /// Enqueues dead jobs again, with their numbers and all their attempts, and returns how many.
    ///
    /// A job stays dead while another one has its [`dedup`](crate::PgJob::dedup) id.
    ///
    /// # Errors
    ///
    /// As [`Database::fetch_all`](evenkeel_postgres::Database::fetch_all); also if two of them have the same `dedup` id.
    ///
    /// # Cancel safety
    ///
    /// All or none may have been enqueued when the future is dropped.
    pub async fn requeue(&self, ids: &[i64]) -> Result<u64, Error> {
        let params = (&*self.name, ids, &*self.channel);
        Ok(self.db.fetch_scalar::<i64>(&self.sql(REQUEUE), params).await?.unsigned_abs())
    }

    /// Deletes dead jobs, and returns how many: nothing else ever does.
    ///
    /// # Errors
    ///
    /// As [`Database::execute`](evenkeel_postgres::Database::execute).
    ///
    /// # Cancel safety
    ///
    /// All or none may have been deleted when the future is dropped.
    pub async fn discard(&self, ids: &[i64]) -> Result<u64, Error> {
        self.db.execute(&self.sql(DISCARD), (&*self.name, ids)).await
    }
}

impl Sink<DeadLetter<Vec<u8>>> for PgDeadLetters {
    async fn send(&self, batch: Vec<Message<DeadLetter<Vec<u8>>>>) -> Result<(), SinkError> {
        let queue = &self.queue;
        let own: i64 = queue.db.fetch_scalar(&queue.sql(ORIGIN), ()).await?;
        let (mut ids, mut attempts, mut reasons, mut foreign) = (vec![], vec![], vec![], vec![]);
        for (index, Message { id, item, .. }) in batch.into_iter().enumerate() {
            let Some((_, id)) = receipt::parse(&id).filter(|(origin, _)| *origin == own) else {
                foreign.push(index);
                continue;
            };
            ids.push(id);
            attempts.push(i32::try_from(item.attempts).unwrap_or(i32::MAX));
            // A text of the server has no zero byte.
            reasons.push(item.reason.replace('\0', "\u{fffd}"));
        }
        let bury = async |reasons: &[String]| {
            let params = (&*queue.name, &ids, &attempts, reasons);
            queue.db.fetch_scalar::<Vec<String>>(&queue.sized_sql(BURY), params).await
        };
        let keys = match bury(&reasons).await {
            // The encoding of the database lacks a character.
            Err(error) if error.code() == Some(&SqlState::UNTRANSLATABLE_CHARACTER) => {
                bury(&reasons.iter().map(|reason| ascii(reason)).collect::<Vec<_>>()).await
            }
            buried => buried,
        }?;
        if !keys.is_empty() {
            release_keys(queue, &keys).await?;
        }
        match foreign.is_empty() {
            true => Ok(()),
            false => Err(SinkError::some("it is no job of this queue", foreign)),
        }
    }
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

impl fmt::Debug for PgDeadJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgDeadJob")
            .field("id", &self.id)
            .field("reason", &self.reason)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
