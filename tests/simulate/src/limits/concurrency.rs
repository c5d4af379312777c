//! A limit of what runs at the same time, while requests are dropped and the limit changes.

use std::sync::{Arc, Mutex};

use evenkeel_limit::{ConcurrencyLimiter, Reason};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    plan::{Fault, Plan, Request, ms},
    queue::Queue,
    unless_dropped,
};
use crate::{Checks, Trace, checks::lock, note};

struct World {
    seed: u64,
    plan: Plan,
    limiter: Arc<ConcurrencyLimiter>,
    account: Mutex<Account>,
    checks: Checks,
    trace: Trace,
    start: Instant,
    /// The lowest limit of the run.
    lowest: u64,
}

#[derive(Debug)]
struct Account {
    queue: Queue,
    in_use: u64,
    limit: u64,
    /// The highest limit of this instant, as requests may have been granted before a change.
    highest: u64,
    at: Instant,
}

impl Account {
    /// Begins an event. At the end of the last instant the first that waited did not fit.
    fn begin(&mut self, checks: &Checks) {
        let now = Instant::now();
        if self.at == now {
            return;
        }
        self.at = now;
        self.highest = self.limit;
        let fits = self.queue.first().is_some_and(|permits| self.in_use + u64::from(permits) <= self.limit);
        checks.that(!fits, || {
            format!(
                "the first request waits for {:?}, and {} of {} are used",
                self.queue.first(),
                self.in_use,
                self.limit
            )
        });
    }
}

pub(super) async fn simulate(seed: u64, plan: Plan, faults: Vec<Fault>, trace: &Trace) -> Result<(), String> {
    let longest = plan.longest(&faults);
    let limits = faults
        .iter()
        .filter_map(|fault| if let Fault::Set { limit, .. } = fault { Some(*limit) } else { None });
    let now = Instant::now();
    let account =
        Account { queue: Queue::default(), in_use: 0, limit: plan.burst, highest: plan.burst, at: now };
    let world = Arc::new(World {
        seed,
        plan,
        limiter: Arc::new(ConcurrencyLimiter::new(plan.burst as u32)),
        account: Mutex::new(account),
        checks: Checks::default(),
        trace: trace.clone(),
        start: now,
        lowest: limits.chain([plan.burst]).min().unwrap_or(plan.burst),
    });
    let mut tasks = JoinSet::new();
    for number in 0..plan.requests {
        tasks.spawn(ask(Arc::clone(&world), number));
    }
    tasks.spawn(change(Arc::clone(&world), faults));
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            world.checks.that(ended.is_ok(), || format!("a task of the simulation failed: {ended:?}"));
        }
    };
    tokio::select! {
        biased;
        _ = world.checks.broken() => {}
        () = all => {}
        () = sleep(longest) => world.checks.fail(format!("not over after {longest:?}")),
    }
    world.checks.result()?;
    let snapshot = world.limiter.snapshot();
    let limit = lock(&world.account).limit;
    if snapshot.in_use > 0 || snapshot.waiting > 0 || u64::from(snapshot.limit) != limit {
        return Err(format!("with a limit of {limit} there is left: {snapshot:?}"));
    }
    world
        .limiter
        .try_acquire_many(limit as u32)
        .map(drop)
        .map_err(|denied| format!("a permit is lost: {denied:?}"))
}

/// Changes the limit by the script.
async fn change(world: Arc<World>, mut faults: Vec<Fault>) {
    faults.sort_by_key(Fault::time);
    for fault in faults {
        sleep_until(world.start + ms(fault.time())).await;
        if let Fault::Set { limit, .. } = fault {
            note!(world.trace, "{fault:?}");
            world.trace.reached("changes of a limiter");
            let mut account = lock(&world.account);
            account.begin(&world.checks);
            account.limit = limit;
            account.highest = account.highest.max(limit);
            drop(account);
            world.limiter.set_limit(limit as u32);
        }
    }
}

async fn ask(world: Arc<World>, number: u64) {
    let Request { at, permits, tries, leaves, held, .. } = world.plan.request(world.seed, number);
    sleep_until(world.start + ms(at)).await;
    let place = {
        let mut account = lock(&world.account);
        account.begin(&world.checks);
        account.queue.comes(permits, tries)
    };
    let ask = async {
        if tries {
            world.limiter.try_acquire_owned(permits)
        } else {
            world.limiter.acquire_owned(permits).await
        }
    };
    let result = unless_dropped(leaves, ask).await;
    note!(world.trace, "request {number} for {permits}: {:?}", result.as_ref().map(Result::is_ok));
    let permit = {
        let mut account = lock(&world.account);
        account.begin(&world.checks);
        match result {
            Some(Ok(permit)) => {
                if let Err(broken) = account.queue.is_granted(place) {
                    world.checks.fail(broken);
                }
                account.in_use += u64::from(permits);
                let (in_use, highest) = (account.in_use, account.highest);
                world.checks.that(in_use <= highest, || format!("{in_use} in use with a limit of {highest}"));
                permit
            }
            Some(Err(denied)) => {
                account.queue.leaves(place);
                let is_right = match denied.reason {
                    Reason::Busy => tries,
                    Reason::NeverFits => world.lowest < permits.into(),
                    _ => false,
                };
                return world.checks.that(is_right, || format!("request {number}: {denied:?}"));
            }
            None => {
                account.queue.leaves(place);
                return world.trace.reached("requests dropped");
            }
        }
    };
    world.trace.reached_times("permits", permits.into());
    if !held.is_zero() {
        sleep(held).await;
    }
    {
        let mut account = lock(&world.account);
        account.begin(&world.checks);
        account.in_use -= u64::from(permits);
    }
    drop(permit);
}
