//! Several processes that share one quota.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::{
    Rate, Reason,
    distributed::{Distributed, Error, OnFailure},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    plan::{Fault, Plan, Request, ms},
    store::{Account, LyingStore, World},
    unless_dropped,
};
use crate::{Trace, checks::lock, note};

/// The time limit of a call, the default.
const CALL: Duration = Duration::from_millis(100);

pub(super) async fn simulate(seed: u64, plan: Plan, faults: Vec<Fault>, trace: &Trace) -> Result<(), String> {
    let longest = plan.longest(&faults);
    let world = World::new(seed, plan, faults, trace);
    let (mut processes, mut others) = (JoinSet::new(), JoinSet::new());
    for process in 0..plan.processes {
        processes.spawn(live(Arc::clone(&world), process));
    }
    others.spawn(break_store(Arc::clone(&world)));
    let all = async {
        while let Some(ended) = processes.join_next().await {
            world.checks.that(ended.is_ok(), || format!("a task of the simulation failed: {ended:?}"));
        }
    };
    tokio::select! {
        biased;
        _ = world.checks.broken() => {}
        () = all => {}
        () = sleep(longest) => world.checks.fail(format!("not over after {longest:?}")),
    }
    world.checks.result()
}

/// Breaks the store by the script.
async fn break_store(world: Arc<World>) {
    let mut faults = world.faults.clone();
    faults.sort_by_key(Fault::time);
    for fault in faults {
        sleep_until(world.at(fault.time())).await;
        match fault {
            Fault::ClockJump { by, .. } => world.jump_clock(by),
            Fault::Forget { .. } => world.forget(),
            _ => continue,
        }
        note!(world.trace, "{fault:?}");
        world.trace.reached(if matches!(fault, Fault::Forget { .. }) {
            "buckets forgotten"
        } else {
            "clock jumps"
        });
    }
}

/// Runs a process: its requests, its kills, and its end.
async fn live(world: Arc<World>, process: u64) {
    let mut kills: Vec<(u64, u64)> = Vec::new();
    for fault in &world.faults {
        if let Fault::Kill { process: whose, at, down } = *fault
            && whose == process
        {
            kills.push((at, down));
        }
    }
    kills.sort_unstable();
    let mut kills = VecDeque::from(kills);
    let mut from = 0;
    loop {
        let mut incarnation = Incarnation::start(&world, process, from);
        while kills.front().is_some_and(|(at, _)| *at < from) {
            kills.pop_front();
        }
        let Some((at, down)) = kills.pop_front() else { return incarnation.end().await };
        sleep_until(world.at(at)).await;
        note!(world.trace, "process {process} is killed");
        world.trace.reached("kills");
        incarnation.requests.shutdown().await;
        drop(incarnation);
        sleep(ms(down)).await;
        from = at + down;
    }
}

/// One start of a process.
struct Incarnation {
    world: Arc<World>,
    process: u64,
    account: Arc<Mutex<Account>>,
    quota: Arc<Distributed>,
    requests: JoinSet<()>,
}

impl Incarnation {
    fn start(world: &Arc<World>, process: u64, from: u64) -> Self {
        let plan = world.plan;
        let account = Arc::default();
        let store = LyingStore { world: Arc::clone(world), process, account: Arc::clone(&account) };
        let policy = match plan.policy {
            0 => OnFailure::Closed,
            1 => OnFailure::LocalShare(plan.processes as u32),
            _ => OnFailure::Open,
        };
        let quota = Distributed::new(store, "quota", Rate::per_second(plan.rate as u32))
            .burst(plan.burst as u32)
            .lease(plan.lease.min(plan.burst) as u32)
            .on_failure(policy);
        let quota = Arc::new(quota);
        let mut requests = JoinSet::new();
        for number in 0..plan.requests {
            let request = plan.request(world.seed, number);
            if request.process == process && request.at >= from {
                let caller = Caller { world: Arc::clone(world), account: Arc::clone(&account), process };
                requests.spawn(caller.ask(Arc::clone(&quota), number, request));
            }
        }
        for fault in &world.faults {
            if let Fault::Close { process: whose, at } = *fault
                && whose == process
                && at >= from
            {
                requests.spawn(close(Arc::clone(world), process, world.at(at), Arc::clone(&quota)));
            }
        }
        Self { world: Arc::clone(world), process, account, quota, requests }
    }

    /// Waits for all requests, and for the return of permits that nobody uses.
    async fn end(mut self) {
        let Self { world, process, account, quota, requests } = &mut self;
        while let Some(ended) = requests.join_next().await {
            world.checks.that(ended.is_ok(), || format!("a request failed: {ended:?}"));
        }
        sleep(Duration::from_secs(3)).await;
        let snapshot = quota.snapshot();
        world.checks.that((snapshot.leased, snapshot.waiting) == (0, 0), || {
            format!("process {process} has {} permits and {} waiters left", snapshot.leased, snapshot.waiting)
        });
        {
            let account = lock(account);
            let is_exact = account.failures == 0 && account.refunded == 0;
            world.checks.that(!is_exact || account.used == account.taken, || {
                format!(
                    "process {process} has used {} permits of {}: some are lost",
                    account.used, account.taken
                )
            });
            world.trace.reached_times("permits", account.used as u64);
            world.trace.reached_times("calls that failed", account.failures);
        }
        close(Arc::clone(world), *process, Instant::now(), Arc::clone(quota)).await;
    }
}

async fn close(world: Arc<World>, process: u64, at: Instant, quota: Arc<Distributed>) {
    sleep_until(at).await;
    let start = Instant::now();
    note!(world.trace, "process {process} closes its limit");
    quota.close().await;
    let (took, snapshot) = (start.elapsed(), quota.snapshot());
    world
        .checks
        .that(took <= 2 * CALL + ms(2), || format!("process {process} took {took:?} to close its limit"));
    world.checks.that(snapshot.leased == 0, || {
        format!("process {process} has closed its limit, and {} permits are left", snapshot.leased)
    });
}

/// A caller of a limit.
struct Caller {
    world: Arc<World>,
    account: Arc<Mutex<Account>>,
    process: u64,
}

impl Caller {
    async fn ask(self, quota: Arc<Distributed>, number: u64, request: Request) {
        let Self { world, account, process } = &self;
        let Request { at, permits, tries, leaves, held, refunds, .. } = request;
        sleep_until(world.at(at)).await;
        let place = lock(account).queue.comes(permits, tries);
        let start = Instant::now();
        let ask = async {
            if tries { quota.try_acquire_many(permits).await } else { quota.acquire_many(permits).await }
        };
        let result = unless_dropped(leaves, ask).await;
        let took = start.elapsed();
        note!(world.trace, "process {process}, request {number} for {permits}: {result:?}");
        world.checks.that(!tries || took <= 2 * CALL + ms(2), || {
            format!("process {process}, request {number} only tries, and took {took:?}")
        });
        match result {
            Some(Ok(())) => {
                self.is_granted(place, permits);
                if refunds {
                    sleep(held).await;
                    quota.refund(permits);
                    lock(account).refunded += i64::from(permits);
                }
            }
            Some(Err(error)) => {
                let mut account = lock(account);
                account.queue.leaves(place);
                let is_right = self.is_right(&error, &account, tries);
                world.checks.that(is_right, || format!("process {process}, request {number}: {error:?}"));
            }
            None => {
                lock(account).queue.leaves(place);
                world.trace.reached("requests dropped");
            }
        }
    }

    fn is_granted(&self, place: u64, permits: u32) {
        let Self { world, account, process } = self;
        let plan = world.plan;
        let mut account = lock(account);
        if let Err(broken) = account.queue.is_granted(place) {
            world.checks.fail(format!("process {process}: {broken}"));
        }
        account.used += i64::from(permits);
        // A local share is used beside the store, and nothing is counted without it.
        let beside = match plan.policy {
            _ if account.failures == 0 => 0,
            0 => 0,
            1 => {
                let share = account.failed_for().as_millis() as u64 * plan.rate / 1000 / plan.processes;
                (share + account.failures * (1 + plan.burst)) as i64
            }
            _ => i64::MAX,
        };
        let too_many = account.used - account.refunded - account.taken;
        world.checks.that(too_many <= beside, || {
            format!("process {process} has used {too_many} permits that it did not take, and {beside} may be")
        });
    }

    fn is_right(&self, error: &Error, account: &Account, tries: bool) -> bool {
        let is_closed = self
            .world
            .faults
            .iter()
            .any(|fault| matches!(fault, Fault::Close { process, .. } if *process == self.process));
        match error {
            Error::Denied(denied) => match denied.reason {
                Reason::Busy => tries,
                Reason::Closed => is_closed,
                _ => false,
            },
            Error::Unavailable { retry_after, .. } => {
                self.world.plan.policy == 0 && account.failures > 0 && *retry_after <= Duration::from_secs(1)
            }
            _ => false,
        }
    }
}
