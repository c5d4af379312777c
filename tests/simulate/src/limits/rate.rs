//! The rate limiter of one process, alone and for each key, while requests are dropped.

use std::sync::{Arc, Mutex};

use evenkeel_limit::{Denied, Keyed, Rate, RateLimiter, Reason};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    plan::{Fault, Kind, Plan, Request, ms},
    queue::Queue,
    unless_dropped,
};
use crate::{Checks, Trace, checks::lock, note};

/// The parts of a permit: a nanosecond earns as many as the rate has permits in a second.
const PARTS: i128 = 1_000_000_000;

enum Limiter {
    Alone(RateLimiter),
    Keyed(Keyed<u64>),
}

impl Limiter {
    fn new(plan: &Plan) -> Self {
        let (rate, burst) = (Rate::per_second(plan.rate as u32), plan.burst as u32);
        match (plan.kind, plan.is_fast) {
            (Kind::Keyed, false) => Self::Keyed(Keyed::new(rate).burst(burst)),
            (Kind::Keyed, true) => Self::Keyed(Keyed::new(rate).burst(burst).fast()),
            (_, false) => Self::Alone(RateLimiter::new(rate).burst(burst)),
            (_, true) => Self::Alone(RateLimiter::new(rate).burst(burst).fast()),
        }
    }

    async fn acquire(&self, key: u64, permits: u32) -> Result<(), Denied> {
        match self {
            Self::Alone(limiter) => limiter.acquire_many(permits).await,
            Self::Keyed(limiter) => limiter.acquire_many(&key, permits).await,
        }
    }

    fn try_acquire(&self, key: u64, permits: u32) -> Result<(), Denied> {
        match self {
            Self::Alone(limiter) => limiter.try_acquire_many(permits),
            Self::Keyed(limiter) => limiter.try_acquire_many(&key, permits),
        }
    }
}

/// The account of one key: a bucket that is exact, and has seen the same grants.
#[derive(Debug)]
struct Account {
    queue: Queue,
    level: i128,
    at: Instant,
    /// All grants, less the refunds.
    moves: Vec<(Instant, i128)>,
    pauses: Vec<(Instant, Instant)>,
}

struct World {
    seed: u64,
    plan: Plan,
    limiter: Limiter,
    accounts: Vec<Mutex<Account>>,
    checks: Checks,
    trace: Trace,
    start: Instant,
    /// The highest rate of the run.
    rate: u64,
    /// Whether the rate is the same all the time, so that each turn is known.
    is_plain: bool,
}

pub(super) async fn simulate(seed: u64, plan: Plan, faults: Vec<Fault>, trace: &Trace) -> Result<(), String> {
    let longest = plan.longest(&faults);
    let rates = faults
        .iter()
        .filter_map(|fault| if let Fault::Set { limit, .. } = fault { Some(*limit) } else { None });
    let now = Instant::now();
    let account = || Account {
        queue: Queue::default(),
        level: i128::from(plan.burst) * PARTS,
        at: now,
        moves: Vec::new(),
        pauses: Vec::new(),
    };
    let world = Arc::new(World {
        seed,
        plan,
        limiter: Limiter::new(&plan),
        accounts: (0..plan.processes).map(|_| Mutex::new(account())).collect(),
        checks: Checks::default(),
        trace: trace.clone(),
        start: now,
        rate: rates.chain([plan.rate]).max().unwrap_or(plan.rate),
        is_plain: faults.is_empty(),
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
    world.is_complete().await
}

/// Changes the limiter by the script.
async fn change(world: Arc<World>, mut faults: Vec<Fault>) {
    faults.sort_by_key(Fault::time);
    for fault in faults {
        sleep_until(world.start + ms(fault.time())).await;
        note!(world.trace, "{fault:?}");
        match (fault, &world.limiter) {
            (Fault::Set { limit, .. }, Limiter::Alone(limiter)) => {
                limiter.set_rate(Rate::per_second(limit as u32))
            }
            (Fault::Set { limit, .. }, Limiter::Keyed(limiter)) => {
                limiter.set_rate(Rate::per_second(limit as u32))
            }
            (Fault::Penalize { time, .. }, limiter) => {
                let now = Instant::now();
                lock(&world.accounts[0]).pauses.push((now, now + ms(time)));
                match limiter {
                    Limiter::Alone(limiter) => limiter.penalize(ms(time)),
                    Limiter::Keyed(limiter) => limiter.penalize(&0, ms(time)),
                }
            }
            _ => {}
        }
        world.trace.reached("changes of a limiter");
    }
}

async fn ask(world: Arc<World>, number: u64) {
    let Request { process, at, permits, tries, leaves, held, refunds } =
        world.plan.request(world.seed, number);
    let key = if world.plan.kind == Kind::Keyed { process } else { 0 };
    let account = &world.accounts[key as usize];
    sleep_until(world.start + ms(at)).await;
    let place = lock(account).queue.comes(permits, tries);
    let ask = async {
        if tries {
            world.limiter.try_acquire(key, permits)
        } else {
            world.limiter.acquire(key, permits).await
        }
    };
    let result = unless_dropped(leaves, ask).await;
    note!(world.trace, "key {key}, request {number} for {permits}: {result:?}");
    match result {
        Some(Ok(())) => {
            world.is_granted(key, place, permits, tries);
            if let (true, Limiter::Alone(limiter)) = (refunds, &world.limiter) {
                sleep(held).await;
                let mut account = lock(account);
                account.advance(world.plan.rate, world.plan.burst);
                account.level =
                    (account.level + i128::from(permits) * PARTS).min(i128::from(world.plan.burst) * PARTS);
                account.moves.push((Instant::now(), -i128::from(permits)));
                account.queue.returns();
                drop(account);
                note!(world.trace, "request {number} gives its permits back");
                limiter.refund(permits);
            }
        }
        Some(Err(denied)) => {
            lock(account).queue.leaves(place);
            world
                .checks
                .that(tries && denied.reason == Reason::Busy, || format!("request {number}: {denied:?}"));
        }
        None => {
            lock(account).queue.leaves(place);
            world.trace.reached("requests dropped");
        }
    }
}

impl Account {
    fn advance(&mut self, rate: u64, burst: u64) {
        let now = Instant::now();
        let passed = now.duration_since(self.at).as_nanos() as i128;
        self.at = now;
        self.level = (self.level + passed * i128::from(rate)).min(i128::from(burst) * PARTS);
    }

    /// Returns the most that was granted too much in a stretch of time that ends now, in parts.
    fn excess(&self, rate: u64, burst: u64) -> i128 {
        let now = Instant::now();
        let mut sum = 0;
        let mut moves = self.moves.iter().rev().peekable();
        let mut most = 0;
        while let Some((from, permits)) = moves.next() {
            sum += permits;
            // Permits that came back in the same instant count as well.
            if moves.peek().is_none_or(|(before, _)| before < from) {
                // A timer that fires late delays one grant, and not those after it.
                let passed = now.duration_since(*from).as_nanos() as i128 + PARTS / 1000;
                most = most.max((sum - i128::from(burst)) * PARTS - passed * i128::from(rate));
            }
        }
        most
    }
}

impl World {
    fn is_granted(&self, key: u64, place: u64, permits: u32, tries: bool) {
        let (rate, burst) = (self.plan.rate, self.plan.burst);
        let now = Instant::now();
        let mut account = lock(&self.accounts[key as usize]);
        let mut broken = None;
        account.moves.push((now, permits.into()));
        if account.excess(self.rate, burst) > 0 {
            broken = Some(format!("key {key}: more than the burst and the rate, with {permits} more"));
        }
        if account.pauses.iter().any(|(from, until)| *from < now && now < *until) {
            broken = Some(format!("key {key}: {permits} permits during a pause"));
        }
        account.advance(rate, burst);
        let above = account.level - i128::from(permits) * PARTS;
        account.level = above;
        match account.queue.is_granted(place) {
            Err(overtaken) => broken = Some(format!("key {key}: {overtaken}")),
            Ok(first_since) if self.is_plain && !self.plan.is_fast && !tries => {
                // The time for which it was the first, and its permits were there.
                let late = now.duration_since(first_since).as_nanos() as i128;
                let late = late.min(above / i128::from(rate));
                if late > PARTS / 1000 + 1000 {
                    broken = Some(format!("key {key}: {permits} permits come {late} ns late"));
                }
            }
            Ok(_) => {}
        }
        drop(account);
        self.trace.reached_times("permits", permits.into());
        self.checks.that(broken.is_none(), || broken.unwrap_or_default());
    }

    /// Nobody waits, and no permit is lost: all are there again after a time.
    async fn is_complete(&self) -> Result<(), String> {
        let slowest = self.rate.min(self.plan.rate).clamp(1, 20);
        sleep(ms(3000 + 1000 * (self.plan.burst + 1) / slowest * 20)).await;
        for (key, account) in self.accounts.iter().enumerate() {
            if lock(account).queue.len() > 0 {
                return Err(format!("key {key}: requests are left"));
            }
            // Permits that a fast limiter has granted count as granted at the next look at the clock.
            let missing = if self.plan.is_fast { self.plan.burst / 16 } else { 0 };
            let all = self.limiter.try_acquire(key as u64, (self.plan.burst - missing) as u32);
            if let Err(denied) = all {
                return Err(format!("key {key}: the bucket does not fill: {denied:?}"));
            }
            if self.plan.kind != Kind::Keyed {
                break;
            }
        }
        if let Limiter::Alone(limiter) = &self.limiter
            && limiter.snapshot().waiting > 0
        {
            return Err("a waiter is left".to_owned());
        }
        Ok(())
    }
}
