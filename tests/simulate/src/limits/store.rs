//! A store that fails, lies about time, and loses answers; and its account of each permit.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::distributed::{
    MemoryStore,
    store::{Store, Take, Taken},
};
use tokio::time::{Instant, sleep};

use super::{
    plan::{Broken, Fault, Plan, ms},
    queue::Queue,
};
use crate::{
    Checks, Random, Trace,
    checks::{lock, plant_panic},
    note,
};

/// The numbers of a run that all processes share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) faults: Vec<Fault>,
    pub(super) checks: Checks,
    pub(super) trace: Trace,
    pub(super) start: Instant,
    store: Mutex<MemoryStore>,
    bucket: Mutex<Bucket>,
}

/// The takes that were carried out.
#[derive(Debug, Default)]
struct Bucket {
    /// The permits that were taken, less those returned.
    moves: Vec<(Instant, i64)>,
    /// The instants at which the bucket may have filled by a lie.
    fills: Vec<Instant>,
    calls: u64,
    last_full_in: Duration,
}

/// The account of one process.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) queue: Queue,
    /// Permits of answers that have arrived, less those that were returned.
    pub(super) taken: i64,
    pub(super) used: i64,
    pub(super) refunded: i64,
    pub(super) failures: u64,
    /// Since when calls fail.
    failing_since: Option<Instant>,
    failed_for: Duration,
}

impl Account {
    /// Returns the time in which calls failed.
    pub(super) fn failed_for(&self) -> Duration {
        self.failed_for + self.failing_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn ended(&mut self, is_ok: bool) {
        if is_ok {
            if let Some(since) = self.failing_since.take() {
                self.failed_for += since.elapsed();
            }
        } else {
            self.failures += 1;
            self.failing_since.get_or_insert_with(Instant::now);
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, plan: Plan, faults: Vec<Fault>, trace: &Trace) -> Arc<Self> {
        Arc::new(Self {
            seed,
            plan,
            faults,
            checks: Checks::default(),
            trace: trace.clone(),
            start: Instant::now(),
            store: Mutex::new(MemoryStore::new()),
            bucket: Mutex::new(Bucket::default()),
        })
    }

    pub(super) fn at(&self, millis: u64) -> Instant {
        self.start + ms(millis)
    }

    pub(super) fn jump_clock(&self, by: i64) {
        if by > 0 {
            lock(&self.bucket).fills.push(Instant::now());
        }
        lock(&self.store).jump_clock(by.saturating_mul(1000));
    }

    pub(super) fn forget(&self) {
        lock(&self.bucket).fills.push(Instant::now());
        *lock(&self.store) = MemoryStore::new();
    }

    /// The fault of a call that begins now.
    fn fault(&self, process: u64) -> Option<Broken> {
        let now = Instant::now();
        self.faults.iter().find_map(|fault| match *fault {
            Fault::Store { process: whose, at, time, how }
                if (whose == process || whose >= self.plan.processes)
                    && (self.at(at)..self.at(at + time)).contains(&now) =>
            {
                Some(how)
            }
            _ => None,
        })
    }

    /// Carries out a call.
    async fn carry_out(&self, take: Take<'_>) -> Taken {
        let store = lock(&self.store).clone();
        let taken = store.take(take).await.unwrap_or_else(|never| match never {});
        let now = Instant::now();
        let mut bucket = lock(&self.bucket);
        bucket.moves.push((now, i64::from(taken.granted) - i64::from(take.returned)));
        let Bucket { moves, fills, .. } = &*bucket;
        // Each stretch of time that ends now.
        let (mut sum, mut broken) = (0, None);
        for (from, net) in moves.iter().rev() {
            sum += net;
            let filled = fills.iter().filter(|at| **at >= *from).count() as i64;
            let micros = now.duration_since(*from).as_micros() as i64 + 2;
            let burst = (take.depth / take.cost) as i64 * (1 + filled);
            if i128::from(sum - burst) * i128::from(take.cost) > i128::from(micros) * i128::from(take.speed) {
                broken = Some(format!("the store granted {sum} permits in {micros} µs"));
            }
        }
        drop(bucket);
        self.checks.that(broken.is_none(), || broken.unwrap_or_default());
        taken
    }
}

/// The store, as one process calls it.
#[derive(Debug)]
pub(super) struct LyingStore {
    pub(super) world: Arc<World>,
    pub(super) process: u64,
    pub(super) account: Arc<Mutex<Account>>,
}

/// A call that has failed unless its answer arrives.
struct Call<'a> {
    account: &'a Mutex<Account>,
    has_arrived: bool,
    may_fail: bool,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        lock(self.account).ended(self.has_arrived && !self.may_fail);
    }
}

impl Store for LyingStore {
    type Error = &'static str;

    async fn take(&self, take: Take<'_>) -> Result<Taken, &'static str> {
        let Self { world, process, account } = self;
        let mut call = Call { account, has_arrived: false, may_fail: false };
        let number = {
            let mut bucket = lock(&world.bucket);
            bucket.calls += 1;
            bucket.calls
        };
        let wanted = lock(account).queue.wanted();
        let Take { returned, least, most, .. } = take;
        note!(world.trace, "process {process} returns {returned} permits, takes {least} to {most}");
        let largest = world.plan.lease.max(wanted).min(world.plan.burst);
        world.checks.that(least <= most && u64::from(most) <= largest, || {
            format!("process {process} takes {least} to {most} permits, and {wanted} are waited for")
        });
        // They are on their way, whatever becomes of the call.
        lock(account).taken -= i64::from(returned);
        let mut random = Random::of(world.seed, &[2, number]);
        let (there, back) = (random.millis(world.plan.latency / 2), random.millis(world.plan.latency / 2));
        let fault = world.fault(*process);
        if !there.is_zero() {
            sleep(there).await;
        }
        match fault {
            Some(Broken::Refused) => return Err("connection refused"),
            Some(Broken::Hangs) => pending().await,
            Some(Broken::Panics) => plant_panic("in the store"),
            Some(Broken::Nonsense) => return Ok(Taken { granted: most + 1, full_in: Duration::ZERO }),
            _ => {}
        }
        let mut taken = world.carry_out(take).await;
        match fault {
            Some(Broken::AnswerLost) => return Err("the answer was lost"),
            Some(Broken::AnswerHangs) => pending().await,
            Some(Broken::Stale) if most > 0 => {
                let last = lock(&world.bucket).last_full_in;
                if !last.is_zero() && last != taken.full_in {
                    world.trace.reached("stale answers");
                    // It may contradict the question, and be a failure then.
                    call.may_fail = true;
                    taken.full_in = last;
                }
            }
            _ => {}
        }
        lock(&world.bucket).last_full_in = taken.full_in;
        if !back.is_zero() {
            sleep(back).await;
        }
        note!(world.trace, "process {process} gets {} permits", taken.granted);
        lock(account).taken += i64::from(taken.granted);
        call.has_arrived = true;
        Ok(taken)
    }
}
