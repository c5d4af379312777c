//! Pools: a checkout without a wait, and one among many that wait.

use std::{
    convert::Infallible,
    hint::black_box,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel::pool::{Manager, Pool};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::yield_now,
    time::{Instant, timeout_at},
};

use crate::{
    row::{AsyncRow, FLOOR, Metric, OURS, Row},
    rows::waiter,
};

/// Makes objects at no cost.
struct Units;

impl Manager for Units {
    type Object = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(0)
    }
}

impl deadpool::managed::Manager for Units {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn recycle(
        &self,
        _: &mut u64,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

/// A permit and a vector behind a lock, which deadpool is made of: no check, no time-out, no holders, and no end.
struct Floor {
    permits: Semaphore,
    objects: Mutex<Vec<u64>>,
}

struct FloorLease<'a> {
    floor: &'a Floor,
    object: u64,
    _permit: SemaphorePermit<'a>,
}

impl Floor {
    fn new(max: usize) -> Self {
        Self { permits: Semaphore::new(max), objects: Mutex::new(vec![0; max]) }
    }

    fn objects(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get(&self) -> Option<FloorLease<'_>> {
        let permit = self.permits.acquire().await.ok()?;
        let object = self.objects().pop()?;
        Some(FloorLease { floor: self, object, _permit: permit })
    }
}

impl Drop for FloorLease<'_> {
    fn drop(&mut self) {
        self.floor.objects().push(self.object);
    }
}

const TASKS: u64 = 1000;
const OBJECTS: usize = 10;
const CROWD: u64 = 100_000;

pub(crate) fn rows() -> Vec<Row> {
    let checkouts = uncontended().everywhere().chain(contended().everywhere());
    let crowds =
        [1_000, 100_000].into_iter().flat_map(|waiters| [crowd(waiters), crowd_of_deadlines(waiters)]);
    checkouts.chain([memory_of_a_waiter(), waiter_with_a_deadline()]).chain(crowds).collect()
}

fn ours(max: usize) -> Pool<Units> {
    Pool::builder(Units).max(max).build().expect("a pool of some objects")
}

/// deadpool with a time-out for the wait, as ours has; without one it waits for ever.
fn deadpool_of(max: usize) -> deadpool::managed::Pool<Units> {
    let builder = deadpool::managed::Pool::builder(Units).max_size(max).runtime(deadpool::Runtime::Tokio1);
    builder.wait_timeout(Some(Duration::from_secs(30))).build().expect("a pool of some objects")
}

fn uncontended() -> AsyncRow {
    AsyncRow::new("pool/get", Metric::Cpu)
        .target(0.4)
        .with(FLOOR, |n| async move {
            let pool = Floor::new(4);
            for _ in 0..n {
                drop(black_box(pool.get().await));
            }
        })
        .with(OURS, |n| async move {
            let pool = ours(4);
            for _ in 0..n {
                black_box(pool.get().await).ok();
            }
        })
        .with("deadpool", |n| async move {
            let pool = deadpool_of(4);
            for _ in 0..n {
                black_box(pool.get().await).ok();
            }
        })
}

/// A thousand tasks share ten objects, and hold one over a yield.
fn contended() -> AsyncRow {
    AsyncRow::new("pool/get-contended", Metric::Cpu)
        .target(0.6)
        .with(FLOOR, |n| {
            share(n, Arc::new(Floor::new(OBJECTS)), async |pool| {
                let lease = pool.get().await;
                yield_now().await;
                drop(black_box(lease));
            })
        })
        .with(OURS, |n| {
            let pool = ours(OBJECTS);
            share(n, Arc::new(pool), async |pool| {
                let lease = pool.get().await;
                yield_now().await;
                drop(black_box(lease));
            })
        })
        .with("deadpool", |n| {
            let pool = deadpool_of(OBJECTS);
            share(n, Arc::new(pool), async |pool| {
                let lease = pool.get().await;
                yield_now().await;
                drop(black_box(lease));
            })
        })
}

/// A pool whose only object is in use.
async fn ours_used_up() -> Pool<Units> {
    let pool = ours(1);
    std::mem::forget(pool.get().await);
    pool
}

async fn deadpool_used_up() -> deadpool::managed::Pool<Units> {
    let pool = deadpool_of(1);
    std::mem::forget(pool.get().await);
    pool
}

fn memory_of_a_waiter() -> Row {
    waiter::memory("pool/memory-per-waiter")
        .with(OURS, waiter::kept(ours_used_up, |pool| async move { drop(pool.get().await) }))
        .with("deadpool", waiter::kept(deadpool_used_up, |pool| async move { drop(pool.get().await) }))
}

/// Both have a time-out of 30 s for the wait.
fn waiter_with_a_deadline() -> Row {
    waiter::cost("pool/waiter-with-deadline")
        .with(OURS, waiter::given_up(ours_used_up, |pool| async move { drop(pool.get().await) }))
        .with("deadpool", waiter::given_up(deadpool_used_up, |pool| async move { drop(pool.get().await) }))
}

/// Waiters that come together and give up together: the cost of each must not depend on their number.
fn crowd(waiters: u64) -> Row {
    let wait = |pool: Arc<Pool<Units>>| async move { drop(pool.get().await) };
    let peer = |pool: Arc<deadpool::managed::Pool<Units>>| async move { drop(pool.get().await) };
    Row::new(format!("pool/crowd/{waiters}"), Metric::Cpu)
        .fixed(CROWD)
        .with(OURS, waiter::given_up_by(waiters, ours_used_up, wait))
        .with("deadpool", waiter::given_up_by(waiters, deadpool_used_up, peer))
}

/// The same with a deadline of each, and every other one is earlier than all before.
fn crowd_of_deadlines(waiters: u64) -> Row {
    let wait = |pool: Arc<Pool<Units>>| async move { drop(pool.get_by(next_deadline()).await) };
    let peer = |pool: Arc<deadpool::managed::Pool<Units>>| async move {
        drop(timeout_at(next_deadline(), pool.get()).await);
    };
    Row::new(format!("pool/crowd-of-deadlines/{waiters}"), Metric::Cpu)
        .fixed(CROWD)
        .with(OURS, waiter::given_up_by(waiters, ours_used_up, wait))
        .with("deadpool", waiter::given_up_by(waiters, deadpool_used_up, peer))
}

/// Returns a deadline in half an hour: alternately later and earlier than all before.
fn next_deadline() -> Instant {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let n = CALLS.fetch_add(1, Relaxed) % (2 * CROWD);
    let apart = Duration::from_micros(n);
    let middle = Instant::now() + Duration::from_secs(1800);
    if n.is_multiple_of(2) { middle + apart } else { middle - apart }
}

async fn share<P, F, Fut>(n: u64, pool: Arc<P>, checkout: F)
where
    P: Send + Sync + 'static,
    F: Fn(Arc<P>) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS.min(n) {
        let pool = pool.clone();
        let times = n / TASKS + u64::from(task < n % TASKS);
        tasks.spawn(async move {
            for _ in 0..times {
                checkout(pool.clone()).await;
            }
        });
    }
    tasks.join_all().await;
}
