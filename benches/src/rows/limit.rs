//! Limits: a check that is granted, one that is refused, one of a key, a free permit, and ten thousand waiters.

use std::{
    hint::black_box,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel::limit::{Clock, ConcurrencyLimiter, Keyed, Rate, RateLimiter};
use governor::{DefaultDirectRateLimiter, Quota, clock::MonotonicClock};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    measure::measured,
    row::{AsyncRow, FLOOR, Metric, OURS, Round, Row},
    rows::waiter,
};

/// A rate and a burst that never refuse.
const FAST: u32 = 4_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);
const KEYS: u64 = 10_000;
const WAITERS: u64 = 10_000;
/// governor with tokio's clock; by default it reads the processor's counter.
const STD_CLOCK: &str = "governor, std's clock";

pub(crate) fn rows() -> Vec<Row> {
    let checks = [
        granted(),
        granted_cpu(),
        granted_fast(),
        refused(),
        refused_cpu(),
        on_two_threads(false),
        on_two_threads(true),
    ];
    let keys = [
        keyed("limit/keyed", |keyed| keyed).target(0.9),
        keyed("limit/keyed-cpu", |keyed| keyed.clock(Clock::Cpu)),
        keyed("limit/keyed-fast", Keyed::fast).target(0.8),
        bytes_of_a_key(),
    ];
    let ready = ready().everywhere().chain(ready_cpu().everywhere()).chain(ready_fast().everywhere());
    let ready = ready.chain(concurrency().everywhere());
    let waiters =
        [waiting(), memory_of_a_waiter(), memory_of_a_waiter_for_a_slot(), waiter_with_a_deadline()];
    checks.into_iter().chain(keys).chain(ready).chain(waiters).collect()
}

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

fn quota(rate: u32, burst: u32) -> Quota {
    Quota::per_second(number(rate)).allow_burst(number(burst))
}

fn governor_of(rate: u32, burst: u32) -> DefaultDirectRateLimiter {
    DefaultDirectRateLimiter::direct(quota(rate, burst))
}

fn ours_of(fast: bool) -> RateLimiter {
    if fast { exact().fast() } else { exact() }
}

fn exact() -> RateLimiter {
    RateLimiter::per_second(FAST).burst(FAST)
}

fn by_counter() -> RateLimiter {
    exact().clock(Clock::Cpu)
}

/// The floor is to read tokio's clock, and to store a time by one atomic step.
fn granted() -> Row {
    let (ours, theirs) = (ours_of(false), governor_of(FAST, FAST));
    let like_ours = governor::RateLimiter::direct_with_clock(quota(FAST, FAST), MonotonicClock);
    let (start, word) = (Instant::now(), AtomicU64::new(0));
    Row::new("limit/try-acquire-granted", Metric::Cpu)
        .target(1.2)
        .with(OURS, move |n| (0..n).filter(|_| black_box(ours.try_acquire()).is_ok()).count())
        .with("governor", move |n| (0..n).filter(|_| black_box(theirs.check()).is_ok()).count())
        .with(STD_CLOCK, move |n| (0..n).filter(|_| black_box(like_ours.check()).is_ok()).count())
        .with(FLOOR, move |n| {
            let step = || {
                let (last, now) = (word.load(Relaxed), start.elapsed().as_nanos() as u64);
                word.compare_exchange(last, now, Relaxed, Relaxed)
            };
            (0..n).filter(|_| black_box(step()).is_ok()).count()
        })
}

#[expect(clippy::disallowed_methods, reason = "the floor of rows that read the processor's counter")]
fn counter() -> quanta::Clock {
    quanta::Clock::new()
}

/// Both read the processor's counter. The floor is to read it, and to store a number by one atomic step.
fn granted_cpu() -> Row {
    let (ours, theirs) = (by_counter(), governor_of(FAST, FAST));
    let (clock, word) = (counter(), AtomicU64::new(0));
    Row::new("limit/try-acquire-granted-cpu", Metric::Cpu)
        .target(0.9)
        .with(OURS, move |n| (0..n).filter(|_| black_box(ours.try_acquire()).is_ok()).count())
        .with("governor", move |n| (0..n).filter(|_| black_box(theirs.check()).is_ok()).count())
        .with(FLOOR, move |n| {
            let step = || {
                let (last, now) = (word.load(Relaxed), clock.delta_as_nanos(0, clock.raw()));
                word.compare_exchange(last, now, Relaxed, Relaxed)
            };
            (0..n).filter(|_| black_box(step()).is_ok()).count()
        })
}

fn granted_fast() -> Row {
    let (ours, theirs) = (ours_of(true), governor_of(FAST, FAST));
    Row::new("limit/try-acquire-fast", Metric::Cpu)
        .target(0.6)
        .with(OURS, move |n| (0..n).filter(|_| black_box(ours.try_acquire()).is_ok()).count())
        .with("governor", move |n| (0..n).filter(|_| black_box(theirs.check()).is_ok()).count())
}

/// The floor is to read tokio's clock.
fn refused() -> Row {
    let ours = RateLimiter::new(Rate::every(DAY)).burst(1);
    let period = Quota::with_period(DAY).expect("a period above zero");
    let theirs = DefaultDirectRateLimiter::direct(period);
    let like_ours = governor::RateLimiter::direct_with_clock(period, MonotonicClock);
    ours.try_acquire().ok();
    theirs.check().ok();
    like_ours.check().ok();
    let start = Instant::now();
    Row::new("limit/try-acquire-refused", Metric::Cpu)
        .target(2.0)
        .with(OURS, move |n| (0..n).filter(|_| black_box(ours.try_acquire()).is_ok()).count())
        .with("governor", move |n| (0..n).filter(|_| black_box(theirs.check()).is_ok()).count())
        .with(STD_CLOCK, move |n| (0..n).filter(|_| black_box(like_ours.check()).is_ok()).count())
        .with(FLOOR, move |n| (0..n).filter(|_| black_box(start.elapsed()).is_zero()).count())
}

/// Both read the processor's counter, which alone is the floor.
fn refused_cpu() -> Row {
    let ours = RateLimiter::new(Rate::every(DAY)).burst(1).clock(Clock::Cpu);
    let theirs = DefaultDirectRateLimiter::direct(Quota::with_period(DAY).expect("a period above zero"));
    ours.try_acquire().ok();
    theirs.check().ok();
    let clock = counter();
    Row::new("limit/try-acquire-refused-cpu", Metric::Cpu)
        .target(0.9)
        .with(OURS, move |n| (0..n).filter(|_| black_box(ours.try_acquire()).is_ok()).count())
        .with("governor", move |n| (0..n).filter(|_| black_box(theirs.check()).is_ok()).count())
        .with(FLOOR, move |n| (0..n).filter(|_| black_box(clock.delta_as_nanos(0, clock.raw())) == 0).count())
}

/// One limiter for both threads.
fn on_two_threads(fast: bool) -> Row {
    let (ours, theirs) = (ours_of(fast), governor_of(FAST, FAST));
    let both = |operations: u64, work: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..operations / 2).for_each(|_| work()));
            }
        });
    };
    let id =
        if fast { "limit/try-acquire-fast/two-threads" } else { "limit/try-acquire-granted/two-threads" };
    // Enough operations to make the start of the threads negligible.
    let row = Row::new(id, Metric::Wall).fixed(1_000_000);
    let row = if fast { row.target(0.95) } else { row };
    row.with(OURS, move |n| both(n, &|| _ = black_box(ours.try_acquire())))
        .with("governor", move |n| both(n, &|| _ = black_box(theirs.check())))
}

/// Ten thousand keys in random order.
fn keyed(id: &'static str, with: fn(Keyed<u64>) -> Keyed<u64>) -> Row {
    let ours = with(Keyed::per_second(FAST).burst(FAST));
    let theirs = governor::RateLimiter::keyed(quota(FAST, FAST));
    let key = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS;
    Row::new(id, Metric::Cpu)
        .with(OURS, move |n| (0..n).filter(|n| black_box(ours.try_acquire(&key(*n))).is_ok()).count())
        .with("governor", move |n| (0..n).filter(|n| black_box(theirs.check_key(&key(*n))).is_ok()).count())
}

/// The bytes that stay allocated for each key.
fn bytes_of_a_key() -> Row {
    Row::new("limit/keyed-memory", Metric::Bytes)
        .fixed(100_000)
        .with(OURS, |n| {
            let keyed = Keyed::<u64>::per_second(1).max_keys(n as usize);
            (0..n).for_each(|key| _ = keyed.try_acquire(&key));
            keyed
        })
        .with("governor", |n| {
            let keyed = governor::RateLimiter::keyed(quota(1, 1));
            (0..n).for_each(|key| _ = keyed.check_key(&key));
            keyed
        })
}

fn ready() -> AsyncRow {
    free_permit("limit/acquire-ready", exact).with("leaky-bucket", |n| async move {
        let full = usize::MAX / 4;
        let limiter = leaky_bucket::RateLimiter::builder().initial(full).max(full).refill(1000).build();
        for _ in 0..n {
            limiter.acquire_one().await;
        }
    })
}

fn ready_cpu() -> AsyncRow {
    free_permit("limit/acquire-ready-cpu", by_counter).target(0.9)
}

fn ready_fast() -> AsyncRow {
    free_permit("limit/acquire-ready-fast", || exact().fast()).target(0.8)
}

fn free_permit(id: &'static str, ours: fn() -> RateLimiter) -> AsyncRow {
    AsyncRow::new(id, Metric::Cpu)
        .with(OURS, move |n| async move {
            let limiter = ours();
            for _ in 0..n {
                limiter.acquire().await;
            }
        })
        .with("governor", |n| async move {
            let limiter = governor_of(FAST, FAST);
            for _ in 0..n {
                limiter.until_ready().await;
            }
        })
}

fn concurrency() -> AsyncRow {
    AsyncRow::new("limit/concurrency-ready", Metric::Cpu)
        .with(OURS, |n| async move {
            let limiter = ConcurrencyLimiter::new(10);
            for _ in 0..n {
                drop(black_box(limiter.acquire().await));
            }
        })
        .with("tokio", |n| async move {
            let semaphore = Semaphore::new(10);
            for _ in 0..n {
                drop(black_box(semaphore.acquire().await));
            }
        })
}

/// Ten thousand waiters at once, at a thousand per second: ten seconds for each entrant.
fn waiting() -> Row {
    let mut row = Row::new("limit/ten-thousand-waiters", Metric::Cpu)
        .target(1.0)
        .also(Metric::Wall)
        .not_counted("ten seconds of real time, while a peer polls");
    (row.rounds, row.operations) = (Some(3), Some(WAITERS));
    let ours = crowd(
        || RateLimiter::new(Rate::per_second(1000)).burst(1),
        |limiter| async move { limiter.acquire().await },
    );
    row.with_round(OURS, ours)
        .with_round(
            "governor",
            crowd(|| governor_of(1000, 1), |limiter| async move { limiter.until_ready().await }),
        )
        .with_round(
            "leaky-bucket",
            crowd(
                || {
                    let mut limiter = leaky_bucket::RateLimiter::builder();
                    limiter.initial(1).max(10).refill(1).interval(Duration::from_millis(1)).build()
                },
                |limiter| async move { limiter.acquire_one().await },
            ),
        )
}

/// The time until a permit: a thousand waiters have their turns within a [`MONTH`], and none during a measurement.
const PERIOD: Duration = Duration::from_secs(600);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

async fn ours_used_up() -> RateLimiter {
    let limiter = RateLimiter::new(Rate::every(PERIOD)).burst(1);
    limiter.try_acquire().ok();
    limiter
}

async fn governor_used_up() -> DefaultDirectRateLimiter {
    let limiter = DefaultDirectRateLimiter::direct(Quota::with_period(PERIOD).expect("a period above zero"));
    limiter.check().ok();
    limiter
}

fn memory_of_a_waiter() -> Row {
    waiter::memory("limit/memory-per-waiter")
        .with(OURS, waiter::kept(ours_used_up, |limiter| async move { limiter.acquire().await }))
        .with(
            "governor",
            waiter::kept(governor_used_up, |limiter| async move { limiter.until_ready().await }),
        )
}

fn memory_of_a_waiter_for_a_slot() -> Row {
    waiter::memory("limit/concurrency-memory-per-waiter")
        .with(OURS, waiter::kept(slot_in_use, |limiter| async move { drop(limiter.acquire().await) }))
        .with("tokio", waiter::kept(no_permits, |permits| async move { drop(permits.acquire().await) }))
}

async fn slot_in_use() -> ConcurrencyLimiter {
    let limiter = ConcurrencyLimiter::new(1);
    std::mem::forget(limiter.try_acquire());
    limiter
}

async fn no_permits() -> Semaphore {
    Semaphore::new(0)
}

/// The peers have no deadline of their own: tokio's `timeout` is around them.
fn waiter_with_a_deadline() -> Row {
    waiter::cost("limit/waiter-with-deadline")
        .with(
            OURS,
            waiter::given_up(ours_used_up, |limiter| async move {
                limiter.acquire().by(Instant::now() + MONTH).await.ok();
            }),
        )
        .with(
            "governor",
            waiter::given_up(governor_used_up, |limiter| async move {
                timeout(MONTH, limiter.until_ready()).await.ok();
            }),
        )
}

/// Spawns one task for each operation, which waits once.
fn crowd<L, F>(limiter: fn() -> L, turn: fn(Arc<L>) -> F) -> Round
where
    L: 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime for a benchmark");
    Box::new(move |waiters| {
        let limiter = Arc::new(limiter());
        measured(|| {
            runtime.block_on(async {
                (0..waiters).map(|_| turn(Arc::clone(&limiter))).collect::<JoinSet<()>>().join_all().await
            })
        })
    })
}
