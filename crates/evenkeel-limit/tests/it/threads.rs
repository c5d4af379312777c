//! Several threads at once (P14, P15). No test here depends on the duration of anything.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use evenkeel_limit::{Rate, RateLimiter};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const THREADS: usize = 4;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap()
}

/// One permit a day: practically none during a test.
fn frozen(burst: u32) -> Arc<RateLimiter> {
    Arc::new(RateLimiter::new(Rate::every(Duration::from_secs(86_400))).burst(burst))
}

#[test]
fn a_full_bucket_gives_what_it_holds() {
    for _ in 0..20 {
        let (limiter, barrier) = (frozen(20), Arc::new(Barrier::new(THREADS)));
        let threads = [(); THREADS].map(|()| {
            let (limiter, barrier) = (Arc::clone(&limiter), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                (0..20).filter(|_| limiter.try_acquire().is_ok()).count()
            })
        });
        let granted: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert_eq!(granted, 20);
        assert!(limiter.try_acquire().is_err());
        assert_eq!((limiter.snapshot().granted, limiter.snapshot().refused), (20, 61));
    }
}

#[test]
fn no_permit_is_lost_in_the_queue() {
    runtime().block_on(async {
        let limiter = frozen(50);
        let mut tasks = JoinSet::new();
        for id in 0..200_u64 {
            let limiter = Arc::clone(&limiter);
            tasks.spawn(async move {
                let max_wait = Duration::from_micros(id % 7 * 300);
                timeout(max_wait, limiter.acquire_many(1 + (id % 2) as u32)).await.map_or(0, |_| 1 + id % 2)
            });
        }
        let granted: u64 = tasks.join_all().await.iter().sum();
        let snapshot = limiter.snapshot();
        assert_eq!((granted, snapshot.waiting), (50 - u64::from(snapshot.available), 0));
    });
}

#[test]
fn never_faster_than_its_rate_and_never_stuck() {
    const BURST: u32 = 10;
    let start = Instant::now();
    let limiter = Arc::new(RateLimiter::per_second(10_000).burst(BURST));
    let granted: usize = runtime().block_on(async {
        let mut tasks = JoinSet::new();
        for id in 0..400 {
            let limiter = Arc::clone(&limiter);
            tasks.spawn(async move {
                let mut granted = 0;
                while granted < 5 {
                    granted += match id % 4 {
                        0 => limiter.acquire_many(1).await.map_or(0, |()| 1),
                        1 => {
                            timeout(Duration::from_millis(id / 4), limiter.acquire()).await.map_or(0, |()| 1)
                        }
                        2 => {
                            tokio::select! { () = limiter.acquire() => 1, () = limiter.acquire() => 1 }
                        }
                        _ => {
                            limiter.acquire().await;
                            let more = limiter.try_acquire().map_or(0, |()| 1);
                            1 + more
                        }
                    };
                }
                granted
            });
        }
        let granted = tasks.join_all().await.iter().sum();
        sleep(Duration::from_millis(2)).await;
        limiter.acquire().await;
        granted
    });
    let possible = f64::from(BURST) + start.elapsed().as_secs_f64() * 10_000.0;
    assert!(granted as f64 <= possible, "{granted} of {possible}");
    assert_eq!(limiter.snapshot().waiting, 0);
}
