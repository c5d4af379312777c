//! Threads that share a pool with every setting, for a while.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use evenkeel_pool::{GetError, Lease, Order};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, timeout},
};

use crate::scripted::{Act, Broken, pool_with, secs};

/// Tasks take, return, break, discard, detach, give up, retire and resize; checks and creations take a moment, or fail. The
/// count of live objects never passes the largest size, nobody waits in vain, and all adds up in the end.
#[test]
#[ignore = "soak"]
fn nothing_is_lost_between_two_threads() {
    for (order, validate_after) in [(Order::Lifo, 0), (Order::Fifo, 0), (Order::Lifo, 1)] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            let (pool, script) = pool_with(4, |builder| {
                builder
                    .acquire_timeout(secs(60))
                    .order(order)
                    .min_idle(1)
                    .max_creating(3)
                    .validate_after(Duration::from_millis(validate_after))
                    .idle_timeout(Duration::from_millis(5))
                    .max_lifetime(Duration::from_millis(20))
            });
            script.create.set_all(&[Act::Ready, Act::Yield]);
            script.check.set_all(&[Act::Ready, Act::Yield, Act::Ready, Act::FAIL]);
            let end = Instant::now() + secs(10);
            let mut tasks = JoinSet::new();
            for task in 0..32_usize {
                let pool = pool.clone();
                tasks.spawn(async move {
                    let mut n = task;
                    while Instant::now() < end {
                        n += 1;
                        match n % 11 {
                            0 => drop(timeout(Duration::ZERO, pool.get()).await),
                            1 if n % 7 == 0 => pool.retire_all(),
                            2 if n % 5 == 0 => pool.resize(2 + n % 3).unwrap(),
                            3 => drop(pool.try_get()),
                            step => match pool.get().await {
                                Ok(mut lease) => {
                                    yield_now().await;
                                    match step {
                                        4 => lease.broken = Broken::Yes,
                                        5 => Lease::discard(lease),
                                        6 => {
                                            lease.uncount();
                                            drop(Lease::detach(lease));
                                        }
                                        7 => lease.unfit = true,
                                        _ => {}
                                    }
                                }
                                Err(GetError::Create(_)) => {}
                                Err(other) => panic!("{other:?}"),
                            },
                        }
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
            let snapshot = pool.snapshot();
            assert_eq!((snapshot.timeouts, snapshot.waiting, snapshot.in_use), (0, 0, 0), "{snapshot:?}");
            assert!(script.peak.load(SeqCst) <= 4, "{:?}", script.peak);
            assert!(pool.close(secs(60)).await.stragglers.is_empty());
            assert_eq!(script.live.load(SeqCst), 0);
        });
    }
}
