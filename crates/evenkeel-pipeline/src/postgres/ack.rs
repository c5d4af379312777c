//! Settles jobs, by one statement for a batch.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_postgres::Error;
use tokio::time::timeout;

use super::{PgQueue, PgReceipt, enqueue::seconds, error::source_error, worker::Worker};
use crate::{Ack, Settle, SettleOutcome, SourceError};

/// The statement that deletes jobs which are done, with the parts that differ.
///
/// The planner takes the jobs in hand for few, as they may have been when it looked, and would compare each of them with each
/// decision. So each job is looked up by its number, and the conditions are told once more in a form that no index has, for a row
/// that another transaction has changed meanwhile.
macro_rules! finish {
    ($decisions:literal, $found:literal, $fence:literal, $result:literal) => {
        concat!(
            "
with me as (
    select id from evenkeel_queue.worker where id = $1 for key share
), job as (
    delete from evenkeel_queue.job j
    where j.ctid = any(array(
        select found.tid from ",
            $decisions,
            " cross join lateral (
            select b.ctid as tid from evenkeel_queue.job b
            where b.worker = $1 and b.id = t.id and b.state = 'h' and ",
            $found,
            " offset 0
        ) found
    )) and (j.worker = (select id from me) and j.state = 'h' and ",
            $fence,
            ") is true",
            $result
        )
    };
}

/// For jobs without a key of a single fetch.
const FINISH_PLAIN: &str = finish!(
    "unnest($2::bigint[]) as t(id)",
    "b.claim = any($3::bigint[])",
    "j.claim = any($3::bigint[])",
    ") select me.id, '{}'::text[] from me"
);

const FINISH: &str = finish!(
    "unnest($2::bigint[], $3::bigint[]) as t(id, claim)",
    "b.claim = t.claim",
    "(j.id, j.claim) in (select id, claim from unnest($2::bigint[], $3::bigint[]) as t(id, claim))",
    " returning j.key) select me.id, array(select distinct key from job where key is not null) from me"
);

const HAND_BACK: &str = "
with me as (
    select id from evenkeel_queue.worker where id = $1 for key share
), job as (
    update evenkeel_queue.job j set state = 'd', worker = null, attempt = attempt + t.failed,
        ready_at = now() + make_interval(secs => t.delay)
    from unnest($2::bigint[], $3::bigint[], $4::int[], $5::float8[]) as t(id, claim, failed, delay)
    cross join lateral (
        select b.ctid as tid from evenkeel_queue.job b
        where b.worker = $1 and b.id = t.id and b.state = 'h' and b.claim = t.claim offset 0
    ) found
    where j.ctid = found.tid and j.state = 'h' and j.worker = (select id from me) returning j.id
)
select me.id from me, (select count(*) from job) counted, pg_notify($6, '')";

/// The statement that lets the first job of each key go, unless one of them holds the key.
macro_rules! next_of_key {
    ($free:literal) => {
        concat!(
            "
with first as (
    select key, (select b.id from evenkeel_queue.job b where b.queue = $1 and b.key = k.key and b.state <> 's'
        order by b.id limit 1) as id
    from unnest($2::text[]) as k(key)
), job as (
    update evenkeel_queue.job j set state = 'd', worker = null, ready_at = now() from first
    where j.queue = $1 and j.key = first.key and j.key is not null and j.id = first.id and j.state in ('f', 'b') and not exists (
        select 1 from evenkeel_queue.job b where b.queue = $1 and b.key = first.key and b.key is not null
            and b.state in ('h', 'd'))",
            $free,
            " returning j.id
)
select count(*) from job, pg_notify($3, '')"
        )
    };
}

const NEXT_OF_KEY: &str = next_of_key!("");

/// Passes over jobs that are locked.
const NEXT_OF_FREE_KEY: &str = next_of_key!(
    " and j.ctid = any(array(
        select b.ctid from evenkeel_queue.job b join first f on b.key = f.key and b.id = f.id
        where b.queue = $1 and b.key is not null for update of b skip locked))"
);

const STRANDED: &str = "
select distinct j.key from evenkeel_queue.job j where j.queue = $1 and j.state = 'b' and not exists (
    select 1 from evenkeel_queue.job b where b.queue = $1 and b.key = j.key and b.key is not null
        and b.state in ('h', 'd'))
limit 1000";

/// The half of a [`PgSource`](crate::PgSource) that settles.
#[derive(Clone)]
pub struct PgAck {
    worker: Arc<Worker>,
    /// Keys may have ended in a call whose answer was lost, so that their next jobs are not let go.
    is_unsure: Arc<AtomicBool>,
}

impl PgAck {
    pub(super) fn new(worker: Arc<Worker>) -> Self {
        Self { worker, is_unsure: Arc::default() }
    }

    /// Settles what belongs to this worker, and returns whether its row is still there.
    async fn settle_own(&self, worker: i64, batch: &[(PgReceipt, Settle)]) -> Result<bool, Error> {
        let PgQueue { db, channel, .. } = &self.worker.queue;
        let (mut done, mut done_fetches) = (Vec::new(), Vec::new());
        let mut is_plain = true;
        let (mut back, mut back_fetches, mut failed, mut delays) = (vec![], vec![], vec![], vec![]);
        for (receipt, settle) in batch.iter().filter(|(receipt, _)| receipt.worker == worker) {
            let (failures, delay) = match settle {
                Settle::Ack | Settle::Term => {
                    is_plain &=
                        !receipt.is_keyed && done_fetches.last().is_none_or(|last| *last == receipt.fetch);
                    done.push(receipt.job);
                    done_fetches.push(receipt.fetch);
                    continue;
                }
                Settle::Retry { after } => (1, seconds(*after)),
                Settle::Release => (0, 0.0),
            };
            back.push(receipt.job);
            back_fetches.push(receipt.fetch);
            failed.push(failures);
            delays.push(delay);
        }
        let has_keys = batch.iter().any(|(receipt, _)| receipt.is_keyed);
        let was_unsure = has_keys && self.is_unsure.swap(true, Relaxed);
        let (mut is_there, mut keys) = (true, Vec::new());
        if !done.is_empty() {
            done_fetches.truncate(if is_plain { 1 } else { usize::MAX });
            let sql = self.worker.queue.sized_sql(if is_plain { FINISH_PLAIN } else { FINISH });
            let row: Option<(i64, Vec<String>)> = db.fetch_opt(&sql, (worker, done, done_fetches)).await?;
            is_there = row.is_some();
            keys = row.map(|(_, keys)| keys).unwrap_or_default();
        }
        if is_there && !back.is_empty() {
            let params = (worker, back, back_fetches, failed, delays, &**channel);
            is_there =
                db.fetch_opt::<(i64,)>(&self.worker.queue.sized_sql(HAND_BACK), params).await?.is_some();
            self.worker.queue.changed.notify_one();
        }
        if !keys.is_empty() {
            release_keys(&self.worker.queue, &keys).await?;
        }
        if was_unsure {
            repair(&self.worker.queue).await?;
        }
        if has_keys {
            self.is_unsure.store(false, Relaxed);
        }
        Ok(is_there)
    }
}

/// Lets the next jobs of keys go whose job has ended. One that stays locked is left to the [repair]: its lock may be held by a
/// worker that stands still.
pub(super) async fn release_keys(queue: &PgQueue, keys: &[String]) -> Result<(), Error> {
    let params = (&*queue.name, keys, &*queue.channel);
    let sql = queue.sized_sql(NEXT_OF_KEY);
    timeout(queue.sweep_pause(), queue.db.fetch_scalar::<i64>(&sql, params)).await.unwrap_or(Ok(0))?;
    queue.changed.notify_one();
    Ok(())
}

/// Lets jobs go that wait for one that has ended, since a process ended between the two.
pub(super) async fn repair(queue: &PgQueue) -> Result<(), Error> {
    let keys: Vec<(String,)> = queue.db.fetch_all(&queue.sized_sql(STRANDED), (&*queue.name,)).await?;
    if !keys.is_empty() {
        let keys: Vec<String> = keys.into_iter().map(|(key,)| key).collect();
        let params = (&*queue.name, keys, &*queue.channel);
        queue.db.fetch_scalar::<i64>(&queue.sized_sql(NEXT_OF_FREE_KEY), params).await?;
    }
    Ok(())
}

impl Ack for PgAck {
    type Receipt = PgReceipt;

    fn ack_wait(&self) -> Option<Duration> {
        Some(self.worker.queue.lease)
    }

    /// The row of the worker decides, and its jobs are handed on when its beats stand still, and not before.
    fn is_fenced(&self) -> bool {
        true
    }

    /// A few milliseconds, so that a statement settles many.
    fn linger(&self) -> Duration {
        Duration::from_millis(5)
    }

    async fn settle(&self, batch: &[(PgReceipt, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        let worker = self.worker.id();
        let mut own = None;
        if let Some(worker) = worker.filter(|id| batch.iter().any(|(receipt, _)| receipt.worker == *id)) {
            if self.settle_own(worker, batch).await.map_err(source_error)? {
                self.worker.settled(batch.iter().map(|(receipt, _)| receipt));
                own = Some(worker);
            } else {
                self.worker.lost(worker);
            }
        }
        let outcome = |(receipt, _): &(PgReceipt, Settle)| {
            if Some(receipt.worker) == own { SettleOutcome::Confirmed } else { SettleOutcome::Superseded }
        };
        Ok(batch.iter().map(outcome).collect())
    }

    async fn extend(&self, receipts: &[PgReceipt]) -> Result<Vec<usize>, SourceError> {
        let mut own = self.worker.id();
        if let Some(id) = own
            && !self.worker.beat(id).await.map_err(source_error)?
        {
            self.worker.lost(id);
            own = None;
        }
        // The leases are extended, whatever comes of the others: a lock on the tables may hold it up for long.
        let _ = timeout(self.worker.queue.lease / 3, self.worker.sweep()).await;
        let is_lost = |(index, receipt): (usize, &PgReceipt)| (Some(receipt.worker) != own).then_some(index);
        Ok(receipts.iter().enumerate().filter_map(is_lost).collect())
    }
}

impl fmt::Debug for PgAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgAck").field("queue", &self.worker.queue).finish_non_exhaustive()
    }
}
