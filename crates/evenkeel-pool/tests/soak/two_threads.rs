//! Threads that share a pool with every setting, for a minute: more of them than there are processors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_pool::{GetError, Lease, Order, Pool, PoolEvent};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};

use crate::scripted::{Act, Broken, Script, Scripted, ms, pool_with, secs};

const TASKS: usize = 48;
const MAX: usize = 4;

/// The counts of the callers and of the observer, to be compared with the numbers of the pool.
#[derive(Default)]
struct Seen {
    created: AtomicU64,
    create_failures: AtomicU64,
    discarded: AtomicU64,
    detached: AtomicU64,
    timeouts: AtomicU64,
    closed: AtomicU64,
}

impl Seen {
    fn hear(&self, event: &PoolEvent<'_>) {
        match event {
            PoolEvent::Created => self.created.fetch_add(1, SeqCst),
            PoolEvent::CreateFailed { .. } => self.create_failures.fetch_add(1, SeqCst),
            PoolEvent::Discarded { .. } => self.discarded.fetch_add(1, SeqCst),
            _ => 0,
        };
    }
}

struct Variant {
    order: Order,
    validate_after: u64,
    min_idle: usize,
    /// Whether the pool is closed in the middle of it.
    closes: bool,
}

/// Tasks take, return, break, discard, detach, give up, run out of time, retire, resize, warm and close; checks and creations
/// take a moment, or fail. The count of live objects never passes the largest size, nobody waits in vain, and all adds up to
/// the last one in the end.
#[test]
#[ignore = "soak"]
fn nothing_is_lost_between_threads() {
    let variant =
        |order, validate_after, min_idle, closes| Variant { order, validate_after, min_idle, closes };
    for variant in [
        variant(Order::Lifo, 0, 0, false),
        variant(Order::Fifo, 0, 1, false),
        variant(Order::Lifo, 1, 2, false),
        variant(Order::Fifo, 0, 1, true),
    ] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(8).enable_time().build().unwrap();
        runtime.block_on(share(&variant));
    }
}

async fn share(variant: &Variant) {
    let seen = Arc::new(Seen::default());
    let hears = Arc::clone(&seen);
    let (pool, script) = pool_with(MAX, |builder| {
        builder
            .acquire_timeout(secs(60))
            .order(variant.order)
            .min_idle(variant.min_idle)
            .max_creating(3)
            .validate_after(ms(variant.validate_after))
            .idle_timeout(ms(5))
            .max_lifetime(ms(20))
            .hold_warning(ms(3))
            .observer(move |event| hears.hear(event))
    });
    script.create.set_all(&[Act::Ready, Act::Yield, Act::Slow(ms(1))]);
    script.check.set_all(&[Act::Ready, Act::Yield, Act::Ready, Act::FAIL]);
    let end = Instant::now() + secs(15);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(use_it(pool.clone(), task, end, Arc::clone(&seen)));
    }
    if variant.closes {
        sleep(secs(12)).await;
        assert!(pool.close(secs(60)).await.stragglers.is_empty());
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    account(&pool, &script, &seen, variant).await;
}

async fn use_it(pool: Pool<Scripted>, task: usize, end: Instant, seen: Arc<Seen>) {
    let mut n = task;
    while Instant::now() < end {
        n += 1;
        let result = match n % 17 {
            0 => {
                drop(timeout(Duration::ZERO, pool.get()).await);
                continue;
            }
            1 if n.is_multiple_of(7) => {
                pool.retire_all();
                continue;
            }
            2 if n.is_multiple_of(5) => {
                pool.resize(1 + n % MAX).unwrap();
                continue;
            }
            3 => {
                drop(pool.try_get());
                continue;
            }
            4 if n.is_multiple_of(11) => {
                pool.warm(n % 7).await;
                continue;
            }
            // Most of these are over at once, or in the same moment in which there is an object.
            5 => pool.get_by(Instant::now()).await,
            6 => pool.get_by(Instant::now() + Duration::from_micros((n % 300) as u64)).await,
            7 => pool.get_by(Instant::now() + secs(3600)).await,
            _ => pool.get().await,
        };
        match result {
            Ok(lease) => end_lease(lease, n, &seen).await,
            Err(GetError::Timeout(_)) => {
                assert!(n % 17 == 5 || n % 17 == 6, "it waited in vain: {:?}", pool.snapshot());
                seen.timeouts.fetch_add(1, SeqCst);
            }
            Err(GetError::Closed) => {
                seen.closed.fetch_add(1, SeqCst);
                yield_now().await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn end_lease(mut lease: Lease<Scripted>, n: usize, seen: &Seen) {
    yield_now().await;
    match n % 13 {
        0 => lease.broken = Broken::Yes,
        1 => Lease::discard(lease),
        2 => {
            lease.uncount();
            drop(Lease::detach(lease));
            seen.detached.fetch_add(1, SeqCst);
        }
        3 => lease.unfit = true,
        4 => sleep(ms(1)).await,
        5 => drop(tokio::task::spawn_blocking(move || drop(lease)).await),
        _ => {}
    }
}

async fn account(pool: &Pool<Scripted>, script: &Script, seen: &Seen, variant: &Variant) {
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.waiting, snapshot.in_use), (0, 0), "{snapshot:?}");
    assert!(script.peak.load(SeqCst) <= MAX, "{:?}", script.peak);
    assert!(pool.close(secs(60)).await.stragglers.is_empty());
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.size, script.live.load(SeqCst)), (0, 0), "{snapshot:?}");
    assert_eq!(snapshot.created, snapshot.discarded + snapshot.detached, "{snapshot:?}");
    assert_eq!(snapshot.created, script.made.load(SeqCst) as u64);
    // Creations that the close has cut are counted, and no failures to be told.
    let cut = script.creations.load(SeqCst) as u64 - snapshot.created;
    assert_eq!(snapshot.create_failures, cut + seen.create_failures.load(SeqCst));
    let counts =
        [&seen.created, &seen.discarded, &seen.detached, &seen.timeouts].map(|count| count.load(SeqCst));
    let numbers = [snapshot.created, snapshot.discarded, snapshot.detached, snapshot.timeouts];
    assert_eq!(counts, numbers, "what was told is what was counted");
    assert_eq!(seen.closed.load(SeqCst) > 0, variant.closes);
}
