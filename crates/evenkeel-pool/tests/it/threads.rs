//! The pool under real threads: no timing, only counting.

use std::sync::atomic::Ordering::SeqCst;

use evenkeel_pool::{GetError, Lease, Pool};
use tokio::task::{JoinSet, yield_now};

use crate::scripted::{Act, Broken, Scripted, assert_sound, assert_whole, pool_with, secs};

/// Many tasks on few objects take, return, discard and detach, and give up in the middle; checks and creations take
/// a moment, or fail. No caller waits in vain, there are never too many objects, and all adds up in the end.
#[test]
fn stress() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let (pool, script) = pool_with(3, |builder| builder.acquire_timeout(secs(60)));
        // A failure costs a pause in real time, so there are few.
        let creations: Vec<_> = [Act::Ready, Act::Yield].repeat(8).into_iter().chain([Act::FAIL]).collect();
        script.create.set_all(&creations);
        script.check.set_all(&[Act::Ready, Act::Yield, Act::Ready, Act::Yield, Act::FAIL]);
        let mut users = JoinSet::new();
        for user in 0..16 {
            users.spawn(use_it(pool.clone(), user));
        }
        let mut failures = 0;
        while let Some(failed) = users.join_next().await {
            assert_sound(&pool, &script);
            failures += failed.unwrap();
        }
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.timeouts, snapshot.waiting, snapshot.in_use), (0, 0, 0));
        assert!(0 < failures && failures <= snapshot.create_failures, "{failures} failures, {snapshot:?}");
        // Creations and checks whose callers have left may still go on.
        while script.running.load(SeqCst) > 0 || pool.snapshot().creating + pool.snapshot().checking > 0 {
            yield_now().await;
        }
        script.create.set(Act::Yield);
        script.check.set(Act::Yield);
        assert_whole(&pool, &script).await;
        assert!(pool.close(secs(60)).await.stragglers.is_empty());
        assert_eq!(script.live.load(SeqCst), 0);
    });
}

/// The thread of `block_on` waits for a creation. A worker begins with that and with the timer of the waiters at once:
/// the object may be there, and the timer may find that nobody waits any more and end, before the thread goes on.
#[test]
fn a_timer_that_ends_at_once_is_no_shutdown() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        for _ in 0..5_000 {
            let (pool, _script) = pool_with(1, |builder| builder.acquire_timeout(secs(60)));
            drop(pool.get().await.unwrap());
            assert_eq!((pool.snapshot().timeouts, pool.snapshot().waiting), (0, 0));
        }
    });
}

/// Uses the pool, and returns the number of creations that failed for it.
async fn use_it(pool: Pool<Scripted>, user: usize) -> u64 {
    let mut failed = 0;
    for n in 0..300 {
        match (n + user) % 7 {
            // It gives up after two polls.
            0 => tokio::select! {
                biased;
                _ = pool.get() => {}
                () = yield_now() => {}
            },
            step => match pool.get().await {
                Ok(mut lease) => {
                    yield_now().await;
                    match step {
                        1 if n % 3 == 0 => Lease::discard(lease),
                        2 if n % 3 == 0 => {
                            lease.uncount();
                            drop(Lease::detach(lease));
                        }
                        3 => lease.broken = Broken::Yes,
                        4 => lease.unfit = true,
                        _ => {}
                    }
                }
                Err(GetError::Create(_)) => failed += 1,
                Err(other) => panic!("{other:?}"),
            },
        }
    }
    failed
}
