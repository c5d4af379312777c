//! Takes jobs, by one statement for a fetch.
//!
//! # How it works
//!
//! A fetch takes jobs that are due, then fresh ones behind its cursor, in the order of the transactions that enqueued
//! them. Rows that another fetch has locked are skipped. A job whose key has another one before it, or in hand, is set aside
//! instead; should two fetches take jobs of one key at the same moment, a unique index fails one of them.
//!
//! Dead entries of an index cost a fetch that walks over them, and stay as long as any session has a snapshot from before. So a
//! fetch begins at a position:
//!
//! | cursor | begins | used |
//! |---|---|---|
//! | fast | behind the last job that was taken | while each fetch comes back full |
//! | safe | where a transaction may still commit jobs | when a fetch was not full, and each second |
//! | full | at the start | each ten seconds, for what another process had locked and did not take |

use std::{sync::Arc, time::Duration};

use evenkeel_postgres::Error;
use tokio::time::Instant;

use super::{
    PgReceipt,
    worker::{Fetch, Worker},
};
use crate::{Delivery, Demand};

/// The statement of a fetch, with the parts that differ.
macro_rules! fetch {
    ($picked:literal) => {
        concat!(
            "
with me as (
    update evenkeel_queue.worker set beats = beats + 1, claim = $2 where id = $1 and claim < $2 returning id
), due as (
    select ctid as tid, id, greatest(octet_length(payload), 1) as size from evenkeel_queue.job
    where queue = $3 and ready_at >= to_timestamp($4) and ready_at <= now()
    order by ready_at limit $5::bigint for update skip locked
), fresh as (
    select ctid as tid, txid, id, greatest(octet_length(payload), 1) as size from evenkeel_queue.job
    where queue = $3 and state = 'f' and (txid, id) > ($6::bigint, $7::bigint)
    order by txid, id limit $5::bigint - (select count(*) from due) for update skip locked
), candidate as (
    select tid, false as is_fresh, null::bigint as txid, id, size from due
    union all select tid, true, txid, id, size from fresh
",
            $picked,
            "), job as (
    update evenkeel_queue.job j set
        state = case
            when j.key is null or j.state = 'd' then 'h'::\"char\"
            when exists (select 1 from evenkeel_queue.job b where b.queue = j.queue and b.key = j.key
                and b.key is not null and b.state in ('h', 'd')) then 'b'
            when exists (select 1 from evenkeel_queue.job b where b.queue = j.queue and b.key = j.key
                and b.id < j.id and b.state <> 's') then 'b'
            else 'h' end,
        worker = me.id, claim = $2, ready_at = null
    from me where j.ctid = any(array(select tid from picked))
    returning j.id, j.attempt, j.payload, j.state
)
select
    txid_snapshot_xmin(txid_current_snapshot()), extract(epoch from now())::float8,
    (select extract(epoch from min(ready_at) - now()) from evenkeel_queue.job
        where queue = $3 and ready_at > now())::float8,
    (select count(*) from due), (select count(*) from candidate), (select count(*) from picked),
    last.txid, last.id, taken.ids, taken.attempts, taken.payloads
from me
left join (select txid, id from picked where is_fresh order by txid desc, id desc limit 1) last on true
cross join (
    select array_agg(id) as ids, array_agg(attempt) as attempts, array_agg(payload) as payloads
    from job where state = 'h'
) taken"
        )
    };
}

const FETCH: &str = fetch!(
    "), picked as (
    select tid, is_fresh, txid, id from candidate where $8::bigint is not null
"
);

/// Takes jobs as far as the sum of their sizes allows, and one in any case.
const FETCH_BYTES: &str = fetch!(
    "), summed as (
    select tid, is_fresh, txid, id, size, sum(size) over (rows unbounded preceding) as bytes from candidate
), picked as (
    select tid, is_fresh, txid, id from summed where bytes <= $8::bigint or bytes = size
"
);

/// The answer to a fetch: the horizon of transactions, the time, that until the next scheduled job, the numbers of jobs that were
/// due, found and picked, the last fresh one, and the jobs that were taken.
type Row = (
    i64,
    f64,
    Option<f64>,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
    Option<Vec<i64>>,
    Option<Vec<i32>>,
    Option<Vec<Vec<u8>>>,
);

/// The time between two fetches from the start.
const FULL: Duration = Duration::from_secs(10);
/// The longest time in which fetches begin at the fast cursor alone.
const SAFE: Duration = Duration::from_secs(1);
/// How far behind its time a job may become due: the server's clock, and transactions that take long.
const DUE_MARGIN: f64 = 60.0;

/// The positions at which a fetch may begin.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    fast: (i64, i64),
    safe: (i64, i64),
    /// The time of the server before which no job is due any more, in seconds since 1970.
    due: f64,
    was_full: bool,
    safe_at: Option<Instant>,
    full_at: Option<Instant>,
}

/// The start of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fast,
    Safe,
    Full,
}

/// The start of a fetch, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    kind: Kind,
    fresh: (i64, i64),
    due: f64,
    at: Instant,
}

impl Cursor {
    /// Returns the start of the next fetch.
    pub(super) fn start(&self) -> Start {
        let at = Instant::now();
        let is_over = |last: Option<Instant>, time| last.is_none_or(|last| at.duration_since(last) >= time);
        let (kind, fresh, due) = if is_over(self.full_at, FULL) {
            (Kind::Full, (0, 0), 0.0)
        } else if !self.was_full || is_over(self.safe_at, SAFE) {
            (Kind::Safe, self.safe, self.due)
        } else {
            (Kind::Fast, self.fast, self.due)
        };
        Start { kind, fresh, due, at }
    }

    /// Moves on behind what was taken. Returns whether to look again at once, although nothing was.
    fn advance(&mut self, start: Start, asked: i64, row: &Row) -> bool {
        let &(xmin, now, _, due, found, picked, last_txid, last_id, ..) = row;
        let last = last_txid.zip(last_id);
        let horizon = (xmin, 0);
        self.was_full = found >= asked || picked < found;
        // No job is left behind the position that was not there, or locked.
        let is_exhausted = !self.was_full;
        if start.kind != Kind::Fast {
            self.safe_at = Some(start.at);
            self.safe = match last {
                _ if is_exhausted => horizon,
                Some(last) => last.min(horizon),
                None => start.fresh,
            };
        }
        self.fast = last.unwrap_or(if is_exhausted { horizon } else { start.fresh });
        if start.kind == Kind::Full {
            self.full_at = Some(start.at);
        }
        if due < asked && picked == found {
            self.due = now - DUE_MARGIN;
        }
        found > 0 || start.kind == Kind::Fast
    }
}

/// The result of a fetch.
pub(super) struct Fetched {
    start: Start,
    asked: i64,
    row: Option<Row>,
    fetch: Fetch,
    leased_at: Instant,
}

/// The jobs of a fetch, or why there are none.
pub(super) enum Taken {
    Jobs(Vec<Delivery<Vec<u8>, PgReceipt>>),
    /// There may be some at once.
    Again,
    /// There are none, and the next scheduled one is due after this time.
    Nothing(Option<Duration>),
}

/// Takes jobs for a worker.
pub(super) async fn fetch(worker: Arc<Worker>, demand: Demand, start: Start) -> Result<Fetched, Error> {
    const MOST: usize = 5000;
    let fetch = worker.begin_fetch().await?;
    let queue = &worker.queue;
    let asked = demand.items.clamp(1, MOST) as i64;
    let bytes = i64::try_from(demand.bytes).unwrap_or(i64::MAX);
    let sql = if demand.bytes == usize::MAX { FETCH } else { FETCH_BYTES };
    let leased_at = Instant::now();
    let (txid, id) = start.fresh;
    let params = (fetch.worker, fetch.number, &*queue.name, start.due, asked, txid, id, bytes);
    let row: Option<Row> = queue.db.fetch_opt(&queue.sql(sql), params).await?;
    worker.end_fetch();
    if row.is_none() {
        worker.lost(fetch.worker);
    }
    Ok(Fetched { start, asked, row, fetch, leased_at })
}

impl Fetched {
    /// Moves the cursor, and returns the jobs.
    pub(super) fn take(self, cursor: &mut Cursor) -> Taken {
        let Some(mut row) = self.row else { return Taken::Again };
        let is_again = cursor.advance(self.start, self.asked, &row);
        let (Some(ids), Some(attempts), Some(payloads)) = (row.8.take(), row.9.take(), row.10.take()) else {
            let next = row.2.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
            return if is_again { Taken::Again } else { Taken::Nothing(next) };
        };
        let Fetch { worker, number } = self.fetch;
        let jobs = ids.into_iter().zip(attempts).zip(payloads).map(|((job, attempt), item)| Delivery {
            size: item.len(),
            item,
            receipt: PgReceipt { job, worker, fetch: number },
            attempt: u32::try_from(attempt).unwrap_or(0).saturating_add(1),
            leased_at: self.leased_at,
        });
        let mut jobs: Vec<_> = jobs.collect();
        jobs.sort_unstable_by_key(|delivery| delivery.receipt.job);
        Taken::Jobs(jobs)
    }
}
