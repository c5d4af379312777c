//! The row of a worker, by whose beats its jobs are leased.
//!
//! # How it works
//!
//! A source has a row of its own from its first fetch on, under a number that is never used again. Fetches and extensions
//! count its beats. A worker whose beats stand still for a lease, on the clocks of others that look at them, is gone: one of
//! them deletes its row, and hands its jobs on in the same statement. The clock of the server has no part in it; that a beat
//! has seen it is noted for jobs that wait for a time, as it may be set back.
//!
//! - A look counts the time since the last one, two pauses at most: while nobody could look, nobody could beat.
//! - Time is recorded in the row once it is longer than a living worker takes for a beat, and only if nobody else has
//!   recorded any meanwhile. So it goes on to count if the ones that look are killed as well, and counts once if they are many.
//! - A row that is locked is passed over: a worker may stand still in the middle of a statement.
//!
//! So the row decides. A settlement locks it: if it is there, no job was handed on, and a job that does not belong to the
//! fetch any more was settled before, by a call whose answer was lost. If it is gone, every delivery of it is superseded.
//!
//! A server that has lost what it had confirmed, as a replica does that had not received all, may bring jobs back that were settled:
//! in the hand of a worker that does not know of them, and lives. So each worker compares, and hands such jobs on.
//!
//! A fetch whose answer was lost may have taken jobs that nobody knows of. Its number is recorded in the row before the next
//! one, so that it cannot begin any more, and the jobs that it has are handed back.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_postgres::{Error, SqlBatch};
use tokio::time::Instant;

use super::{PgQueue, PgReceipt};

/// Refused at another isolation level: statements would not see what was committed since their transaction began, and
/// jobs could stay with a worker that is gone.
const REGISTER: &str = "
insert into evenkeel_queue.worker (queue) select $1
where current_setting('transaction_isolation') in ('read committed', 'read uncommitted')
returning id, (select origin from evenkeel_queue.version where number = 1)";

const ISOLATION: &str = "work off a queue above the isolation level read committed, which is the default of this user or database: \
                         connect the queue with `config.options(\"-c default_transaction_isolation=read\\\\ committed\")`";

const BEAT: &str =
    "update evenkeel_queue.worker set beats = beats + 1, still_ms = 0, seen_at = now() where id = $1";

const END_FETCH: &str = "update evenkeel_queue.worker set claim = $2 where id = $1 and claim < $2";

const HAND_BACK_FETCH: &str = "
update evenkeel_queue.job set state = 'd', worker = null, ready_at = now()
where worker = $1 and claim = $2 and state = 'h'";

const WORKERS: &str = "
select id, beats, still_ms, seen_at > now() + interval '1 second' from evenkeel_queue.worker where queue = $1";

/// Lets jobs go that had been due before the clock of the server was set back, as far as a worker has seen it.
const CLOCK_SET_BACK: &str = "
with ahead as (
    select id, seen_at from evenkeel_queue.worker where queue = $1 and seen_at > now() for update skip locked
), worker as (
    update evenkeel_queue.worker w set seen_at = now() from ahead where w.id = ahead.id
), late as (
    select ctid as tid from evenkeel_queue.job
    where queue = $1 and ready_at > now() and ready_at <= (select max(seen_at) from ahead) for update skip locked
), job as (
    update evenkeel_queue.job set ready_at = now() where ctid = any(array(select tid from late)) returning id
)
select count(*) from job, pg_notify($2, '')";

const RECORD: &str = "
with unchanged as (
    select w.id, t.more from evenkeel_queue.worker w
    join unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as t(id, beats, still_ms, more) using (id)
    where w.beats = t.beats and w.still_ms = t.still_ms for update of w skip locked
)
update evenkeel_queue.worker w set still_ms = still_ms + more from unchanged where w.id = unchanged.id";

const TAKE_OVER: &str = "
with unchanged as (
    select w.id from evenkeel_queue.worker w
    join unnest($1::bigint[], $2::bigint[], $3::bigint[]) as t(id, beats, still_ms) using (id)
    where w.beats = t.beats and w.still_ms = t.still_ms for update of w skip locked
)
delete from evenkeel_queue.worker w using unchanged where w.id = unchanged.id";

/// A statement of its own behind the one above, so that it sees what a fetch has taken that was in between.
const HAND_ON: &str = "
with job as (
    update evenkeel_queue.job j set state = 'd', worker = null, ready_at = now(), attempt = attempt + 1
    where j.worker = any($1::bigint[]) and j.state = 'h'
        and not exists (select 1 from evenkeel_queue.worker w where w.id = j.worker)
    returning j.id
)
select count(*) from job, pg_notify($2, '')";

/// Hands jobs on that came back after they were settled. A join with the jobs in hand, of which the planner sees few, would compare
/// each of them with each other one.
const HAND_ON_UNKNOWN: &str = "
update evenkeel_queue.job j set state = 'd', worker = null, ready_at = now(), attempt = attempt + 1
where j.worker = $1 and j.state = 'h' and j.claim <= $2
    and ((j.claim, j.id) in (select claim, id from unnest($3::bigint[], $4::bigint[]) as t(claim, id))) is not true";

const LEAVE: &str = "
with gone as (
    delete from evenkeel_queue.worker where id = $1 returning id
), job as (
    update evenkeel_queue.job j set state = 'd', worker = null, ready_at = now()
    from gone where j.worker = gone.id and j.state = 'h' returning j.id
)
select count(*) from job, pg_notify($2, '')";

/// The worker of a source.
pub(super) struct Worker {
    pub(super) queue: PgQueue,
    state: Mutex<State>,
    /// The jobs of a full fetch were more than the server can send.
    is_large: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The row, if there is one.
    id: Option<i64>,
    /// The identity of the tables.
    origin: i64,
    fetches: i64,
    /// A fetch whose answer is not known.
    open_fetch: Option<Fetch>,
    beat_at: Option<Instant>,
    /// The jobs in hand, each behind the number of its fetch.
    held: HashSet<(i64, i64)>,
    next_comparison: Option<Instant>,
    next_sweep: Option<Instant>,
    /// The time of the last look, and what it has shown.
    looked_at: Option<Instant>,
    seen: HashMap<i64, Seen>,
}

/// A worker as the last look has shown it.
#[derive(Clone, Copy)]
struct Seen {
    beats: i64,
    still_ms: i64,
    /// The time for which these two stand still, as far as it is not recorded.
    more: Duration,
}

/// Workers whose row is to be changed, if it is what it was.
#[derive(Default)]
struct Unchanged {
    ids: Vec<i64>,
    beats: Vec<i64>,
    still_ms: Vec<i64>,
    more: Vec<i64>,
}

/// The identity of a fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    pub(super) worker: i64,
    pub(super) number: i64,
    /// It counts as a beat. Not each one does: the versions of the row are kept as long as any old snapshot.
    pub(super) is_beat: bool,
    /// The identity of the tables.
    pub(super) origin: i64,
}

impl Worker {
    pub(super) fn new(queue: PgQueue) -> Self {
        Self { queue, state: Mutex::default(), is_large: AtomicBool::new(false) }
    }

    /// Whether fetches are bounded in bytes.
    pub(super) fn is_large(&self) -> bool {
        self.is_large.load(Relaxed)
    }

    /// Bounds fetches in bytes from now on; returns whether they were not.
    pub(super) fn note_large(&self) -> bool {
        !self.is_large.swap(true, Relaxed)
    }

    /// Returns the row, if there is one.
    pub(super) fn id(&self) -> Option<i64> {
        lock(&self.state).id
    }

    /// Notes that the row is gone.
    pub(super) fn lost(&self, id: i64) {
        let mut state = lock(&self.state);
        if state.id == Some(id) {
            state.id = None;
            state.held.clear();
        }
    }

    /// Notes that jobs were settled.
    pub(super) fn settled<'a>(&self, receipts: impl Iterator<Item = &'a PgReceipt>) {
        let mut state = lock(&self.state);
        let own = state.id;
        for receipt in receipts.filter(|receipt| own == Some(receipt.worker)) {
            state.held.remove(&(receipt.fetch, receipt.job));
        }
    }

    /// Ends a fetch whose answer was lost.
    async fn end_open_fetch(&self) -> Result<(), Error> {
        let open = lock(&self.state).open_fetch;
        if let Some(Fetch { worker, number, .. }) = open {
            let PgQueue { db, .. } = &self.queue;
            db.execute(&self.queue.sql(END_FETCH), (worker, number)).await?;
            db.execute(&self.queue.sized_sql(HAND_BACK_FETCH), (worker, number)).await?;
            lock(&self.state).open_fetch = None;
        }
        Ok(())
    }

    /// Begins a fetch: registers, and ends the fetch before it if its answer was lost.
    pub(super) async fn begin_fetch(&self) -> Result<Fetch, Error> {
        let PgQueue { db, name, .. } = &self.queue;
        self.end_open_fetch().await?;
        let worker = match self.id() {
            Some(id) => id,
            None => {
                let row: Option<(i64, i64)> = db.fetch_opt(&self.queue.sql(REGISTER), (&**name,)).await?;
                let (id, origin) = row.ok_or(Error::Unsupported(ISOLATION))?;
                let mut state = lock(&self.state);
                (state.id, state.origin, state.beat_at) = (Some(id), origin, None);
                id
            }
        };
        let mut state = lock(&self.state);
        state.fetches += 1;
        let (now, pause) = (Instant::now(), self.queue.sweep_pause());
        let is_beat = state.beat_at.is_none_or(|at| now.duration_since(at) >= pause);
        let fetch = Fetch { worker, number: state.fetches, is_beat, origin: state.origin };
        state.open_fetch = Some(fetch);
        Ok(fetch)
    }

    /// Notes that the answer to the fetch has come, which was sent at an instant, with jobs.
    pub(super) fn end_fetch(&self, fetch: Fetch, sent_at: Instant, jobs: &[i64]) {
        let mut state = lock(&self.state);
        state.open_fetch = None;
        if state.id == Some(fetch.worker) {
            state.held.extend(jobs.iter().map(|job| (fetch.number, *job)));
        }
        if fetch.is_beat {
            state.beat_at = Some(sent_at);
        }
    }

    /// Beats, and returns whether the row is still there.
    pub(super) async fn beat(&self, id: i64) -> Result<bool, Error> {
        Ok(self.queue.db.execute(&self.queue.sql(BEAT), (id,)).await? > 0)
    }

    /// Looks after the other workers of the queue, if it is time to.
    pub(super) async fn sweep(&self) -> Result<(), Error> {
        let pause = self.queue.sweep_pause();
        let now = Instant::now();
        {
            let mut state = lock(&self.state);
            if state.next_sweep.is_some_and(|next| now < next) {
                return Ok(());
            }
            state.next_sweep = now.checked_add(pause);
        }
        let PgQueue { db, name, channel, .. } = &self.queue;
        let asked_at = Instant::now();
        let workers: Vec<(i64, i64, i64, bool)> = db.fetch_all(&self.queue.sql(WORKERS), (&**name,)).await?;
        if workers.iter().any(|(.., is_ahead)| *is_ahead) {
            db.fetch_scalar::<i64>(&self.queue.sized_sql(CLOCK_SET_BACK), (&**name, &**channel)).await?;
        }
        let (late, gone) = self.look(&workers, asked_at);
        if !late.ids.is_empty() {
            let Unchanged { ids, beats, still_ms, more } = late;
            db.execute(&self.queue.sql(RECORD), (ids, beats, still_ms, more)).await?;
        }
        if !gone.ids.is_empty() {
            let Unchanged { ids, beats, still_ms, .. } = gone;
            let mut batch = SqlBatch::new();
            batch.push(&self.queue.sql(TAKE_OVER), (&ids, beats, still_ms));
            batch.push(&self.queue.sized_sql(HAND_ON), (&ids, &**channel));
            db.batch(batch).await?;
        }
        self.compare().await
    }

    /// Hands on what the server takes to be in hand here, and is not.
    async fn compare(&self) -> Result<(), Error> {
        const PAUSE: Duration = Duration::from_secs(10);
        let now = Instant::now();
        let (id, known, fetches, jobs) = {
            let mut state = lock(&self.state);
            let Some(id) = state.id.filter(|_| state.next_comparison.is_none_or(|at| now >= at)) else {
                return Ok(());
            };
            state.next_comparison = now.checked_add(PAUSE.min(self.queue.lease));
            // A fetch that is under way may have taken more.
            let known = state.open_fetch.map_or(state.fetches, |open| open.number - 1);
            let (fetches, jobs): (Vec<i64>, Vec<i64>) = state.held.iter().copied().unzip();
            (id, known, fetches, jobs)
        };
        let params = (id, known, fetches, jobs);
        self.queue.db.execute(&self.queue.sized_sql(HAND_ON_UNKNOWN), params).await?;
        Ok(())
    }

    /// Notes how long the beats of the others stand still; returns those whose time is to be recorded, and those that are gone.
    fn look(&self, workers: &[(i64, i64, i64, bool)], asked_at: Instant) -> (Unchanged, Unchanged) {
        let (lease, pause) = (self.queue.lease, self.queue.sweep_pause());
        let (mut late, mut gone) = (Unchanged::default(), Unchanged::default());
        let mut state = lock(&self.state);
        let since = state.looked_at.map_or(Duration::ZERO, |at| asked_at.duration_since(at)).min(2 * pause);
        let before = std::mem::take(&mut state.seen);
        let own = state.id;
        for &(id, beats, still_ms, _) in workers.iter().filter(|(id, ..)| Some(*id) != own) {
            let mut seen = Seen { beats, still_ms, more: Duration::ZERO };
            if let Some(last) =
                before.get(&id).filter(|last| (last.beats, last.still_ms) == (beats, still_ms))
            {
                seen.more = last.more + since;
            }
            if millis(still_ms) + seen.more >= lease {
                gone.push(id, seen);
            } else if seen.more >= 2 * pause {
                late.push(id, seen);
                seen.still_ms += seen.more.as_millis() as i64;
                seen.more = Duration::ZERO;
            }
            state.seen.insert(id, seen);
        }
        let now = Instant::now();
        state.looked_at = Some(now);
        state.next_sweep = now.checked_add(pause);
        (late, gone)
    }

    /// Hands everything back that this worker has, without an attempt, and deletes the row.
    pub(super) async fn leave(&self) -> Result<(), Error> {
        let Some(id) = self.id() else { return Ok(()) };
        // Jobs that it takes later would be nobody's.
        self.end_open_fetch().await?;
        let PgQueue { db, channel, .. } = &self.queue;
        db.fetch_scalar::<i64>(&self.queue.sized_sql(LEAVE), (id, &**channel)).await?;
        self.lost(id);
        Ok(())
    }
}

impl Unchanged {
    fn push(&mut self, id: i64, seen: Seen) {
        self.ids.push(id);
        self.beats.push(seen.beats);
        self.still_ms.push(seen.still_ms);
        self.more.push(seen.more.as_millis() as i64);
    }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}
