//! The row of a worker, by whose beats its jobs are leased.
//!
//! # How it works
//!
//! A source has a row of its own from its first fetch on, under a number that is never used again. Fetches and extensions
//! count its beats. A worker whose beats stand still for a lease, on the clock of another one that has looked all the while,
//! is gone: that one deletes its row, and hands its jobs on in the same statement. The clock of the server has no part in it.
//!
//! So the row decides. A settlement locks it: if it is there, no job was handed on, and a job that does not belong to the
//! fetch any more was settled before, by a call whose answer was lost. If it is gone, every delivery of it is superseded.
//!
//! A fetch whose answer was lost may have taken jobs that nobody knows of. Its number is recorded in the row before the next
//! one, so that it cannot begin any more, and the jobs that it has are handed back.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use evenkeel_base::lock;
use evenkeel_postgres::{Error, SqlBatch};
use tokio::time::Instant;

use super::PgQueue;

const REGISTER: &str = "insert into evenkeel_queue.worker (queue) values ($1) returning id";

const BEAT: &str = "update evenkeel_queue.worker set beats = beats + 1 where id = $1";

const END_FETCH: &str = "update evenkeel_queue.worker set claim = $2 where id = $1 and claim < $2";

const HAND_BACK_FETCH: &str = "
update evenkeel_queue.job set state = 'd', worker = null, ready_at = now()
where worker = $1 and claim = $2 and state = 'h'";

const WORKERS: &str = "select id, beats from evenkeel_queue.worker where queue = $1";

const TAKE_OVER: &str = "
delete from evenkeel_queue.worker
where (id, beats) in (select id, beats from unnest($1::bigint[], $2::bigint[]) as t(id, beats))";

/// A statement of its own behind the one above, so that it sees what a fetch has taken for which that one has waited.
const HAND_ON: &str = "
with job as (
    update evenkeel_queue.job j set state = 'd', worker = null, ready_at = now(), attempt = attempt + 1
    where j.worker = any($1::bigint[]) and j.state = 'h'
        and not exists (select 1 from evenkeel_queue.worker w where w.id = j.worker)
    returning j.id
)
select count(*) from job, pg_notify($2, '')";

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
}

#[derive(Default)]
struct State {
    /// The row, if there is one.
    id: Option<i64>,
    fetches: i64,
    /// A fetch whose answer is not known.
    open_fetch: Option<Fetch>,
    beat_at: Option<Instant>,
    next_sweep: Option<Instant>,
    /// The time of the last look, and since when each worker's beats stand still.
    looked_at: Option<Instant>,
    still: HashMap<i64, (i64, Instant)>,
}

/// The identity of a fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    pub(super) worker: i64,
    pub(super) number: i64,
    /// It counts as a beat. Not each one does: the versions of the row are kept as long as any old snapshot.
    pub(super) is_beat: bool,
}

impl Worker {
    pub(super) fn new(queue: PgQueue) -> Self {
        Self { queue, state: Mutex::default() }
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
        }
    }

    /// Ends a fetch whose answer was lost.
    async fn end_open_fetch(&self) -> Result<(), Error> {
        let open = lock(&self.state).open_fetch;
        if let Some(Fetch { worker, number, .. }) = open {
            let PgQueue { db, .. } = &self.queue;
            db.execute(&self.queue.sql(END_FETCH), (worker, number)).await?;
            db.execute(&self.queue.sql(HAND_BACK_FETCH), (worker, number)).await?;
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
                let id = db.fetch_scalar(&self.queue.sql(REGISTER), (&**name,)).await?;
                let mut state = lock(&self.state);
                (state.id, state.beat_at) = (Some(id), None);
                id
            }
        };
        let mut state = lock(&self.state);
        state.fetches += 1;
        let (now, pause) = (Instant::now(), self.queue.sweep_pause());
        let is_beat = state.beat_at.is_none_or(|at| now.duration_since(at) >= pause);
        let fetch = Fetch { worker, number: state.fetches, is_beat };
        state.open_fetch = Some(fetch);
        Ok(fetch)
    }

    /// Notes that the answer to the fetch has come, which was sent at an instant.
    pub(super) fn end_fetch(&self, fetch: Fetch, sent_at: Instant) {
        let mut state = lock(&self.state);
        state.open_fetch = None;
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
        let workers: Vec<(i64, i64)> = db.fetch_all(&self.queue.sql(WORKERS), (&**name,)).await?;
        let gone = self.look(&workers, Instant::now());
        if !gone.is_empty() {
            let (ids, beats): (Vec<i64>, Vec<i64>) = gone.into_iter().unzip();
            let mut batch = SqlBatch::new();
            batch.push(&self.queue.sql(TAKE_OVER), (&ids, beats));
            batch.push(&self.queue.sql(HAND_ON), (&ids, &**channel));
            db.batch(batch).await?;
        }
        Ok(())
    }

    /// Notes the beats of the workers, and returns those whose beats stand still.
    fn look(&self, workers: &[(i64, i64)], now: Instant) -> Vec<(i64, i64)> {
        let lease = self.queue.lease;
        let mut state = lock(&self.state);
        // While nobody looked, because the server was away or this process stood still, they may not have been able to beat.
        let longest = 3 * self.queue.sweep_pause() + Duration::from_secs(1);
        let has_looked = state.looked_at.is_some_and(|at| now.duration_since(at) <= longest);
        let before = if has_looked { std::mem::take(&mut state.still) } else { HashMap::new() };
        state.looked_at = Some(now);
        let own = state.id;
        let seen = workers.iter().filter(|(id, _)| Some(*id) != own).map(|(id, beats)| {
            let since = before.get(id).filter(|(last, _)| last == beats).map_or(now, |(_, since)| *since);
            (*id, (*beats, since))
        });
        state.still = seen.collect();
        let is_gone = |since: Instant| now.duration_since(since) >= lease;
        state
            .still
            .iter()
            .filter(|(_, (_, since))| is_gone(*since))
            .map(|(id, (beats, _))| (*id, *beats))
            .collect()
    }

    /// Hands everything back that this worker has, without an attempt, and deletes the row.
    pub(super) async fn leave(&self) -> Result<(), Error> {
        let Some(id) = self.id() else { return Ok(()) };
        // What it takes later would be nobody's.
        self.end_open_fetch().await?;
        let PgQueue { db, channel, .. } = &self.queue;
        db.fetch_scalar::<i64>(&self.queue.sql(LEAVE), (id, &**channel)).await?;
        self.lost(id);
        Ok(())
    }
}
