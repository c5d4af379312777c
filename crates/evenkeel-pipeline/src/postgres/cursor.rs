//! The position in the order of the transactions that enqueued jobs, from which a source goes on.
//!
//! # How it works
//!
//! Dead entries of an index cost a fetch that walks over them, and stay as long as any session has a snapshot from before. So a
//! source walks over each entry once: it begins behind the last job that it has found.
//!
//! Two kinds of jobs may stand before its position, although no fetch of it has found them:
//!
//! | job | found by |
//! |---|---|
//! | of a transaction that was open when the position passed it | the list of such transactions; each fetch looks after those that have ended meanwhile |
//! | locked by another fetch, which did not take it | a look back, each ten seconds, from the first job that may be left |
//!
//! The number of the first job that may be left is stored for all sources of the queue: whoever looks back moves it on.

use std::time::Duration;

use evenkeel_postgres::Error;
use tokio::time::Instant;

use super::PgQueue;

/// The time between two looks back, and how often longer than the look itself it is at least.
const PASS: (Duration, u32) = (Duration::from_secs(10), 20);
/// How far behind its time a job may become due: the server's clock, and transactions that take long.
const DUE_MARGIN: f64 = 60.0;

// A number above all those of the server comes from another one: the tables were restored from a copy.
const LOOK_BACK: &str = "
with snapshot as (
    select txid_snapshot_xmin(txid_current_snapshot()) as xmin
), old as (
    select p.txid, p.id from evenkeel_queue.progress p, snapshot where p.queue = $1 and p.txid <= snapshot.xmin
), first as (
    select j.txid, j.id from evenkeel_queue.job j
    where j.queue = $1 and j.state = 'f'
        and (j.txid, j.id) >= (coalesce((select txid from old), 0), coalesce((select id from old), 0))
    order by j.txid, j.id limit 1
), moved as (
    insert into evenkeel_queue.progress (queue, txid, id)
    select $1, case when first.txid < xmin then first.txid else xmin end,
        case when first.txid < xmin then first.id else 0 end
    from snapshot left join first on true
    on conflict (queue) do update set txid = excluded.txid, id = excluded.id
        where (progress.txid, progress.id) <> (excluded.txid, excluded.id)
)
select snapshot.xmin, first.txid, first.id from snapshot left join first on true";

/// A transaction, and a job of it.
type Position = (i64, i64);

/// The position of a source.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    position: Position,
    /// The transactions before the position that were open when it passed them, in their order, with the last job that
    /// was taken of each.
    late: Vec<Position>,
    /// The time of the server before which no job is due any more, in seconds since 1970.
    due: f64,
    next_pass: Option<Instant>,
}

/// The start of a fetch.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) position: Position,
    pub(super) late: Vec<Position>,
    pub(super) due: f64,
    /// It looks back.
    pub(super) is_pass: bool,
    at: Instant,
}

/// The part of the answer to a fetch that moves the position.
#[derive(Debug)]
pub(super) struct Seen {
    /// The first transaction that had no number yet, and those that were open.
    pub(super) next_txid: i64,
    pub(super) open_txids: Vec<i64>,
    /// The last jobs that were taken, or set aside.
    pub(super) last_late: Option<Position>,
    pub(super) last_fresh: Option<Position>,
    pub(super) is_any: bool,
    /// There are no more.
    pub(super) is_all: bool,
    /// The time of the server until which all that was due was found.
    pub(super) due_until: Option<f64>,
}

impl Cursor {
    /// Returns the start of the next fetch.
    pub(super) fn start(&self) -> Start {
        let at = Instant::now();
        let is_pass = self.next_pass.is_none_or(|next| at >= next);
        let due = if is_pass { f64::NEG_INFINITY } else { self.due };
        Start { position: self.position, late: self.late.clone(), due, is_pass, at }
    }

    /// Moves on behind what was found.
    pub(super) fn advance(&mut self, start: Start, seen: &Seen) {
        let Start { position, mut late, is_pass, at, .. } = start;
        let is_open = |txid: i64| seen.open_txids.contains(&txid);
        // A fresh job was looked for behind all of those that have ended.
        let is_late_done = seen.is_all || seen.last_fresh.is_some();
        let is_left = |txid| !is_late_done && seen.last_late.is_none_or(|last| txid >= last.0);
        late.retain(|&(txid, _)| is_open(txid) || is_left(txid));
        if let Some(last) = seen.last_late
            && let Some(entry) = late.iter_mut().find(|entry| entry.0 == last.0)
        {
            *entry = last;
        }
        let next = match seen.last_fresh {
            _ if seen.is_all => (seen.next_txid, 0),
            Some(last) => last,
            None => position,
        };
        let is_passed = |txid: &&i64| (position.0..next.0).contains(*txid);
        late.extend(seen.open_txids.iter().filter(is_passed).map(|txid| (*txid, 0)));
        late.sort_unstable();
        late.dedup_by_key(|entry| entry.0);
        (self.position, self.late) = (next, late);
        if let Some(until) = seen.due_until {
            self.due = until - DUE_MARGIN;
        }
        if is_pass {
            let now = Instant::now();
            self.next_pass = now.checked_add(PASS.0.max((now - at) * PASS.1));
        }
    }
}

impl Start {
    /// Goes back to the first job that is left.
    pub(super) async fn look_back(&mut self, queue: &PgQueue) -> Result<(), Error> {
        let (first_open, txid, id): (i64, Option<i64>, Option<i64>) =
            queue.db.fetch_one(&queue.sized_sql(LOOK_BACK), (&*queue.name,)).await?;
        let first = txid.zip(id);
        // No job is left before this one, and no transaction is open.
        let floor = first.map_or((first_open, 0), |(txid, id)| (txid, id - 1).min((first_open, 0)));
        self.position = self.position.max(floor);
        if let Some((txid, id)) = first
            && (txid, id) <= self.position
            && self.late.iter().all(|late| late.0 != txid)
        {
            self.position = (txid, id - 1);
            self.late.retain(|late| late.0 < txid);
        }
        Ok(())
    }
}
