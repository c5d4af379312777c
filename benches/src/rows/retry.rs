//! Retry: the cost of a call without retries, with two without delay, and with one after a delay; and the cost of a
//! budget.

use std::{cell::Cell, future::ready, hint::black_box, sync::atomic::AtomicU32, time::Duration};

use backon::Retryable as _;
use evenkeel::retry::{Backoff, Budget, Policy};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tower::{
    Service, ServiceExt,
    retry::{
        Policy as TowerPolicy,
        budget::{Budget as _, TpsBudget},
    },
};

use crate::row::{AsyncRow, FLOOR, Metric, OURS, Row};

const INITIAL: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(10);

static POLICY: Policy = Policy::exponential(INITIAL, CAP).max_attempts(4);
static SOON: Policy = Policy::fixed(Duration::from_millis(1));
static AT_ONCE: Policy = Policy::new(Backoff::none()).max_attempts(3);

#[derive(Debug)]
struct Refused;

async fn succeed() -> Result<u64, Refused> {
    Ok(black_box(1))
}

/// Succeeds every third time.
async fn third(calls: &AtomicU32) -> Result<u64, Refused> {
    match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3 {
        2 => Ok(black_box(1)),
        _ => Err(Refused),
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let calls = success().everywhere().chain(zero_delay().everywhere());
    calls.chain([one_delay(), deposit(), deposit_on_two_threads()]).collect()
}

/// Peers are used as their documentation shows: with a builder for each call, except where they keep one.
fn success() -> AsyncRow {
    AsyncRow::new("retry/success", Metric::Cpu)
        .target(0.8)
        .with(OURS, |n| async move {
            for _ in 0..n {
                black_box(POLICY.run(succeed).await).ok();
            }
        })
        .with("backon", |n| async move {
            let builder = backon::ExponentialBuilder::default()
                .with_min_delay(INITIAL)
                .with_max_delay(CAP)
                .with_jitter();
            for _ in 0..n {
                black_box(succeed.retry(builder).await).ok();
            }
        })
        .with("backoff", |n| async move {
            for _ in 0..n {
                let operation = || async { succeed().await.map_err(backoff::Error::transient) };
                black_box(backoff::future::retry(backoff::ExponentialBackoff::default(), operation).await)
                    .ok();
            }
        })
        .with("tokio-retry", |n| async move {
            for _ in 0..n {
                let delays =
                    tokio_retry::strategy::ExponentialBackoff::from_millis(2).factor(50).max_delay(CAP);
                let delays = delays.map(tokio_retry::strategy::jitter).take(3);
                black_box(tokio_retry::Retry::start(delays, succeed).await).ok();
            }
        })
        .with("tower", |n| async move {
            let service = tower::service_fn(|()| succeed());
            let mut service = tower::retry::Retry::new(Never, service);
            for _ in 0..n {
                let Ok(service) = ServiceExt::<()>::ready(&mut service).await else { return };
                black_box(service.call(()).await).ok();
            }
        })
        .with(FLOOR, |n| async move {
            for _ in 0..n {
                black_box(succeed().await).ok();
            }
        })
}

/// The policy that tower leaves to its user: it retries errors at once, which never happens here.
#[derive(Clone)]
struct Never;

impl TowerPolicy<(), u64, Refused> for Never {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, (): &mut (), result: &mut Result<u64, Refused>) -> Option<Self::Future> {
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, (): &()) -> Option<()> {
        Some(())
    }
}

fn zero_delay() -> AsyncRow {
    AsyncRow::new("retry/two-without-delay", Metric::Wall)
        .target(0.001)
        .with(OURS, |n| async move {
            let calls = AtomicU32::new(0);
            for _ in 0..n {
                black_box(AT_ONCE.run(|| third(&calls)).await).ok();
            }
        })
        .with("backon", |n| async move {
            let calls = AtomicU32::new(0);
            let builder = backon::ConstantBuilder::default().with_delay(Duration::ZERO).with_max_times(2);
            for _ in 0..n {
                black_box((|| third(&calls)).retry(builder).await).ok();
            }
        })
        .with("tokio-retry", |n| async move {
            let calls = AtomicU32::new(0);
            for _ in 0..n {
                let delays = std::iter::repeat_n(Duration::ZERO, 2);
                black_box(tokio_retry::Retry::start(delays, || third(&calls)).await).ok();
            }
        })
}

/// Measures the work of a timer. Many calls wait at once, to make the wake-up negligible.
fn one_delay() -> Row {
    Row::new("retry/one-delay", Metric::Cpu)
        .fixed(10_000)
        .target(1.1)
        .with(OURS, at_once(async |calls| SOON.run(|| second(calls)).await.ok()))
        .with("backon", {
            let builder = backon::ConstantBuilder::default().with_delay(Duration::from_millis(1));
            at_once(async move |calls| (|| second(calls)).retry(builder).await.ok())
        })
        .with(
            "tokio-retry",
            at_once(async |calls| {
                let delays = tokio_retry::strategy::FixedInterval::from_millis(1).take(2);
                tokio_retry::Retry::start(delays, || second(calls)).await.ok()
            }),
        )
}

/// Fails the first time.
async fn second(calls: &Cell<u32>) -> Result<u64, Refused> {
    match calls.replace(calls.get() + 1) {
        0 => Err(Refused),
        _ => Ok(black_box(1)),
    }
}

fn at_once(call: impl AsyncFn(&Cell<u32>) -> Option<u64>) -> impl FnMut(u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime for a benchmark");
    move |operations| {
        let mut calls: FuturesUnordered<_> =
            (0..operations).map(async |_| call(&Cell::new(0)).await).collect();
        runtime.block_on(async {
            while let Some(answer) = calls.next().await {
                black_box(answer);
            }
        });
    }
}

/// The cost of a budget for every call while all is well: the bucket is full.
fn deposit() -> Row {
    let (ours, theirs) = (Budget::percent(10), tps_budget());
    Row::new("retry/budget-deposit", Metric::Cpu)
        .target(0.2)
        .with(OURS, move |n| (0..n).for_each(|_| black_box(&ours).deposit()))
        .with("tower", move |n| (0..n).for_each(|_| black_box(&theirs).deposit()))
}

fn deposit_on_two_threads() -> Row {
    let (ours, theirs) = (Budget::percent(10), tps_budget());
    // Enough operations to make the start of the threads negligible.
    Row::new("retry/budget-deposit/two-threads", Metric::Wall)
        .fixed(1_000_000)
        .target(0.4)
        .with(OURS, move |n| on_two_threads(n, || black_box(&ours).deposit()))
        .with("tower", move |n| on_two_threads(n, || black_box(&theirs).deposit()))
}

fn tps_budget() -> TpsBudget {
    TpsBudget::new(Duration::from_secs(10), 10, 0.1)
}

fn on_two_threads(operations: u64, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..operations / 2).for_each(|_| work()));
        }
    });
}
