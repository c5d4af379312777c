//! Stores jobs, by one statement for a batch.

use std::time::{Duration, SystemTime};

use evenkeel_postgres::{Database, Error, FromRow, Params, Tx};

use super::{
    PgQueue,
    job::{PgJob, Ready},
};

const PLAIN: &str = "
insert into evenkeel_queue.job (queue, state, payload) values ($1, 'f', $2)
returning case when pg_notify($3, '') is not null then id end";

const PLAIN_MANY: &str = "
with job as (
    insert into evenkeel_queue.job (queue, state, payload)
    select $1, 'f', payload from unnest($2::bytea[]) as t(payload) returning id
)
select count(*) from job, pg_notify($3, '')";

const ANY: &str = "
with job as (
    insert into evenkeel_queue.job (queue, state, ready_at, payload, key, dedup)
    select $1, case when at > now() then 's'::\"char\" else 'f' end, case when at > now() then at end, payload, key, dedup
    from (
        select payload, key, dedup, coalesce(at, now() + make_interval(secs => delay)) as at
        from unnest($2::bytea[], $4::text[], $5::text[], $6::timestamptz[], $7::float8[])
            as t(payload, key, dedup, at, delay)
    ) j
    on conflict (queue, dedup) where dedup is not null do nothing
    returning id
)
select job.id from job, pg_notify($3, '')";

/// The connection that stores.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Database(&'a Database),
    Tx(&'a Tx),
}

impl PgQueue {
    async fn store<R: FromRow>(
        &self,
        target: Target<'_>,
        sql: &'static str,
        params: impl Params,
    ) -> Result<Vec<R>, Error> {
        let sql = self.sql(sql);
        match target {
            Target::Database(db) => {
                let stored = db.fetch_all(&sql, params).await?;
                self.changed.notify_one();
                Ok(stored)
            }
            Target::Tx(tx) => tx.fetch_all(&sql, params).await,
        }
    }

    pub(super) async fn store_one(&self, target: Target<'_>, job: PgJob) -> Result<Option<i64>, Error> {
        let rows: Vec<(i64,)> = if job.is_plain() {
            let params = (&*self.name, &*job.payload, &*self.channel);
            self.store(target, PLAIN, params).await?
        } else {
            self.store_any(target, &[job]).await?
        };
        Ok(rows.first().map(|(id,)| *id))
    }

    pub(super) async fn store_many(&self, target: Target<'_>, jobs: Vec<PgJob>) -> Result<u64, Error> {
        if jobs.is_empty() {
            return Ok(0);
        }
        if !jobs.iter().all(PgJob::is_plain) {
            return Ok(self.store_any(target, &jobs).await?.len() as u64);
        }
        let payloads: Vec<&[u8]> = jobs.iter().map(|job| &*job.payload).collect();
        let rows = self.store(target, PLAIN_MANY, (&*self.name, payloads, &*self.channel)).await?;
        Ok(rows.first().map_or(0, |(count,): &(i64,)| count.unsigned_abs()))
    }

    async fn store_any(&self, target: Target<'_>, jobs: &[PgJob]) -> Result<Vec<(i64,)>, Error> {
        let payloads: Vec<&[u8]> = jobs.iter().map(|job| &*job.payload).collect();
        let keys: Vec<Option<&str>> = jobs.iter().map(|job| job.key.as_deref()).collect();
        let dedups: Vec<Option<&str>> = jobs.iter().map(|job| job.dedup.as_deref()).collect();
        let at = |job: &PgJob| match job.ready {
            Ready::At(time) => Some(within_range(time)),
            _ => None,
        };
        let delay = |job: &PgJob| match job.ready {
            Ready::After(delay) => seconds(delay),
            _ => 0.0,
        };
        let times: Vec<Option<SystemTime>> = jobs.iter().map(at).collect();
        let delays: Vec<f64> = jobs.iter().map(delay).collect();
        let params = (&*self.name, payloads, &*self.channel, keys, dedups, times, delays);
        self.store(target, ANY, params).await
    }
}

/// Returns a time that the server can tell, and the driver can write: the year 292277 overflows its microseconds.
fn within_range(time: SystemTime) -> SystemTime {
    /// In the year 192102.
    const LATEST: Duration = Duration::from_secs(6_000_000_000_000);
    let latest = SystemTime::UNIX_EPOCH.checked_add(LATEST);
    latest.map_or(time, |latest| time.min(latest)).max(SystemTime::UNIX_EPOCH)
}

/// Returns a duration in seconds, at most a thousand years: the server has no later times than the year 294276.
pub(super) fn seconds(duration: Duration) -> f64 {
    const LONGEST: f64 = 1000.0 * 365.0 * 86_400.0;
    duration.as_secs_f64().min(LONGEST)
}
