//! Takes jobs, by one statement for a fetch.
//!
//! # How it works
//!
//! A fetch takes jobs that are due, then those of transactions that have committed late, then fresh ones behind its cursor, in
//! the order of the transactions that enqueued them. Rows that another fetch has locked are skipped. A job whose key has another
//! one before it, or in hand, is set aside instead; should two fetches take jobs of one key at the same moment, a unique index
//! fails one of them.

use std::{sync::Arc, time::Duration};

use evenkeel_postgres::{Error, from_row, tokio_postgres::error::SqlState};
use tokio::time::Instant;

use super::{
    PgReceipt,
    cursor::{Cursor, Seen, Start},
    worker::{Fetch, Worker},
};
use crate::{Delivery, Demand};

/// The statement of a fetch, with the parts that differ.
macro_rules! fetch {
    ($picked:literal, $found:literal) => {
        concat!(
            "
with beat as (
    update evenkeel_queue.worker set beats = beats + 1, still_ms = 0, seen_at = now()
    where id = $1 and claim < $2 and $9 returning id
), held as (
    select id from evenkeel_queue.worker where id = $1 and claim < $2 and not $9 for share
), me as (
    select id from beat union all select id from held
), due as (
    select ctid as tid, id, greatest(octet_length(payload), 1) as size from evenkeel_queue.job
    where queue = $3 and ready_at >= to_timestamp($4) and ready_at <= now()
    order by ready_at limit $5::bigint for update skip locked
), late as (
    select l.* from unnest($10::bigint[], $11::bigint[]) as t(txid, id) cross join lateral (
        select ctid as tid, j.txid, j.id, greatest(octet_length(payload), 1) as size from evenkeel_queue.job j
        where queue = $3 and state = 'f' and j.txid = t.txid and j.id > t.id
        order by j.id limit $5::bigint for update skip locked
    ) l
    where txid_visible_in_snapshot(t.txid, txid_current_snapshot())
    limit $5::bigint - (select count(*) from due)
), fresh as (
    select ctid as tid, txid, id, greatest(octet_length(payload), 1) as size from evenkeel_queue.job
    where queue = $3 and state = 'f' and (txid, id) > ($6::bigint, $7::bigint)
    order by txid, id
    limit $5::bigint - (select count(*) from due) - (select count(*) from late) for update skip locked
), candidate as (
    select tid, 0 as lane, null::bigint as txid, id, size from due
    union all select tid, 1, txid, id, size from late
    union all select tid, 2, txid, id, size from fresh
",
            $picked,
            "), job as (
    update evenkeel_queue.job j set
        state = case
            when j.key is null or j.state = 'd' then 'h'::\"char\"
            when exists (select 1 from evenkeel_queue.job b where b.queue = j.queue and b.key = j.key
                and b.key is not null and b.state in ('h', 'd')) then 'b'
            when exists (select 1 from evenkeel_queue.job b where b.queue = j.queue and b.key = j.key
                and b.id < j.id and (b.state <> 's' or b.ready_at <= now())) then 'b'
            else 'h' end,
        worker = (select id from me), claim = $2, ready_at = null
    where j.ctid = any(array(select tid from picked)) and (select id from me) is not null
    returning j.id, j.attempt, j.key is not null as is_keyed, j.payload, j.state
)
select
    txid_snapshot_xmax(txid_current_snapshot()) as next_txid,
    array(select txid_snapshot_xip(txid_current_snapshot())) as open_txids,
    extract(epoch from now())::float8 as now,
    pg_relation_size('evenkeel_queue.job'::regclass) / current_setting('block_size')::bigint as pages,
    (select extract(epoch from least(min(ready_at), now() + interval '1 day') - now()) from evenkeel_queue.job
        where queue = $3 and ready_at > now())::float8 as next_due,
    facts.due, facts.picked, ",
            $found,
            " as found,
    facts.late_txid, (select max(id) from picked where lane = 1 and txid = facts.late_txid) as late_id,
    facts.fresh_txid, (select max(id) from picked where lane = 2 and txid = facts.fresh_txid) as fresh_id,
    taken.ids, taken.attempts, taken.keyed, taken.payloads
from me cross join (
    select count(*) as picked, count(*) filter (where lane = 0) as due,
        max(txid) filter (where lane = 1) as late_txid, max(txid) filter (where lane = 2) as fresh_txid
    from picked
) facts cross join (
    select array_agg(id) as ids, array_agg(attempt) as attempts, array_agg(is_keyed) as keyed, array_agg(payload) as payloads
    from job where state = 'h'
) taken"
        )
    };
}

const FETCH: &str = fetch!(
    "), picked as (
    select tid, lane, txid, id from candidate where $8::bigint is not null
",
    "facts.picked"
);

/// Takes jobs as far as the sum of their sizes allows, and one in any case.
const FETCH_BYTES: &str = fetch!(
    "), summed as (
    select tid, lane, txid, id, size, sum(size) over (rows unbounded preceding) as bytes from candidate
), picked as (
    select tid, lane, txid, id from summed where bytes <= $8::bigint or bytes = size
",
    "(select count(*) from candidate)"
);

/// The answer to a fetch.
struct Answer {
    next_txid: i64,
    open_txids: Vec<i64>,
    now: f64,
    pages: i64,
    /// The time until the next scheduled job.
    next_due: Option<f64>,
    due: i64,
    picked: i64,
    found: i64,
    late_txid: Option<i64>,
    late_id: Option<i64>,
    fresh_txid: Option<i64>,
    fresh_id: Option<i64>,
    ids: Option<Vec<i64>>,
    attempts: Option<Vec<i32>>,
    keyed: Option<Vec<bool>>,
    payloads: Option<Vec<Vec<u8>>>,
}

from_row!(Answer {
    next_txid,
    open_txids,
    now,
    pages,
    next_due,
    due,
    picked,
    found,
    late_txid,
    late_id,
    fresh_txid,
    fresh_id,
    ids,
    attempts,
    keyed,
    payloads
});

/// The result of a fetch.
pub(super) struct Fetched {
    start: Start,
    seen: Option<Seen>,
    jobs: Vec<Delivery<Vec<u8>, PgReceipt>>,
    next_due: Option<Duration>,
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
pub(super) async fn fetch(worker: Arc<Worker>, demand: Demand, mut start: Start) -> Result<Fetched, Error> {
    if start.is_pass {
        start.look_back(&worker.queue).await?;
    }
    match take(&worker, demand, start.clone()).await {
        Err(error) if is_too_large(&error) && worker.note_large() => take(&worker, demand, start).await,
        taken => taken,
    }
}

/// Whether the answer to a statement was more than the server can make.
fn is_too_large(error: &Error) -> bool {
    const CODES: [SqlState; 3] =
        [SqlState::PROGRAM_LIMIT_EXCEEDED, SqlState::OUT_OF_MEMORY, SqlState::INTERNAL_ERROR];
    error.code().is_some_and(|code| CODES.contains(code))
}

async fn take(worker: &Worker, demand: Demand, start: Start) -> Result<Fetched, Error> {
    const MOST: usize = 5000;
    /// The bytes of a fetch once one was too large: the server makes answers of 1 GiB at most.
    const LARGE: usize = 64 << 20;
    let fetch = worker.begin_fetch().await?;
    let queue = &worker.queue;
    let asked = demand.items.clamp(1, MOST) as i64;
    let most = if worker.is_large() { demand.bytes.min(LARGE) } else { demand.bytes };
    let bytes = i64::try_from(most).unwrap_or(i64::MAX);
    let sql = if most == usize::MAX { FETCH } else { FETCH_BYTES };
    let mut leased_at = Instant::now();
    let (txid, id) = start.position;
    let (late_txids, late_ids): (Vec<i64>, Vec<i64>) = start.late.iter().copied().unzip();
    let params = (
        fetch.worker,
        fetch.number,
        &*queue.name,
        start.due,
        asked,
        txid,
        id,
        bytes,
        fetch.is_beat,
        late_txids,
        late_ids,
    );
    let answer: Option<Answer> = queue.db.fetch_opt(&queue.sized_sql(sql), params).await?;
    let taken = answer.as_ref().and_then(|answer| answer.ids.as_deref()).unwrap_or_default();
    worker.end_fetch(fetch, leased_at, taken);
    let Some(answer) = answer else {
        worker.lost(fetch.worker);
        return Ok(Fetched { start, seen: None, jobs: Vec::new(), next_due: None });
    };
    queue.note_pages(answer.pages);
    // It has waited for a connection, as while the server was away: the lease would end soon.
    let now = Instant::now();
    if now.duration_since(leased_at) > queue.lease / 3 && matches!(worker.beat(fetch.worker).await, Ok(true))
    {
        leased_at = now;
    }
    let Fetch { worker, number, origin, .. } = fetch;
    let jobs = answer.ids.into_iter().flatten().zip(answer.attempts.into_iter().flatten());
    let jobs = jobs.zip(answer.keyed.into_iter().flatten()).zip(answer.payloads.into_iter().flatten());
    let jobs = jobs.map(|(((job, attempt), is_keyed), item)| Delivery {
        size: item.len(),
        item,
        receipt: PgReceipt { job, origin, worker, fetch: number, is_keyed },
        attempt: u32::try_from(attempt).unwrap_or(0).saturating_add(1),
        leased_at,
    });
    let mut jobs: Vec<_> = jobs.collect();
    jobs.sort_unstable_by_key(|delivery| delivery.receipt.job);
    let seen = Seen {
        next_txid: answer.next_txid,
        open_txids: answer.open_txids,
        last_late: answer.late_txid.zip(answer.late_id),
        last_fresh: answer.fresh_txid.zip(answer.fresh_id),
        is_any: answer.found > 0,
        is_all: answer.found < asked && answer.picked == answer.found,
        due_until: (answer.due < asked && answer.picked == answer.found).then_some(answer.now),
    };
    let next_due = answer.next_due.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    Ok(Fetched { start, seen: Some(seen), jobs, next_due })
}

impl Fetched {
    /// Moves the cursor, and returns the jobs.
    pub(super) fn taken(self, cursor: &mut Cursor) -> Taken {
        // Without an answer the worker is to be registered again.
        let is_again = self.seen.as_ref().is_none_or(|seen| seen.is_any);
        if let Some(seen) = self.seen {
            cursor.advance(self.start, &seen);
        }
        match self.jobs.is_empty() {
            false => Taken::Jobs(self.jobs),
            true if is_again => Taken::Again,
            true => Taken::Nothing(self.next_due),
        }
    }
}
