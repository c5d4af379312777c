//! A concurrency limit for each key: its promises in virtual time, dropped at every await, and on several threads.

use std::{
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_limit::{AcquireKeyPermit, ConcurrencyLimiter, KeyPermit, KeyedConcurrency, Reason};
use evenkeel_testkit::{World, assert_took, cancel};
use futures::future::{join, join_all};
use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};

use crate::fixtures::ByHand;

mod foreign;
mod histories;

static PER_HOST: KeyedConcurrency<String> = KeyedConcurrency::new(2).named("per host");

fn assert_send_sync<T: Send + Sync + Unpin>() {}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn types_can_be_sent() {
    assert_send_sync::<KeyedConcurrency<String>>();
    assert_send_sync::<AcquireKeyPermit<String>>();
    assert_send_sync::<KeyPermit<String>>();
}

#[test]
fn zero_permits_are_refused() {
    assert!(catch_unwind(|| KeyedConcurrency::<u64>::new(0)).is_err());
    let keyed: KeyedConcurrency<u64> = KeyedConcurrency::new(u32::MAX);
    assert!(keyed.try_acquire(&1).is_ok());
}

#[test]
fn each_key_has_its_own_permits() {
    World::run(async |_| {
        let keyed: KeyedConcurrency<String> = KeyedConcurrency::new(2);
        let call = async |key: &'static str| {
            let _permit = keyed.acquire(key).await.unwrap();
            sleep(secs(1)).await;
        };
        assert_took!(join_all(["a", "a", "a", "a", "a", "b", "b"].map(call)), secs(3));
        assert!(keyed.is_empty());
    });
}

#[test]
fn permits_of_a_static_and_of_an_arc_move_to_tasks() {
    World::run(async |_| {
        let shared: Arc<KeyedConcurrency<u64>> = Arc::new(KeyedConcurrency::new(1));
        let permits = (PER_HOST.acquire("a").await.unwrap(), shared.try_acquire(&1).unwrap());
        // The future as well: it outlives what it was asked of.
        let next = shared.acquire(&1);
        drop(shared);
        let holder = tokio::spawn(async move {
            sleep(secs(1)).await;
            drop(permits);
        });
        assert_took!(async { drop(tokio::spawn(next).await.unwrap().unwrap()) }, secs(1));
        holder.await.unwrap();
        assert!(PER_HOST.is_empty());
    });
}

#[test]
fn a_key_is_in_use_while_it_has_a_permit_or_a_future() {
    World::run(async |_| {
        let keyed: KeyedConcurrency<u64> = KeyedConcurrency::new(1);
        assert_eq!(format!("{keyed:?}"), "KeyedConcurrency { limit: 1, len: 0, .. }");
        let permit = keyed.try_acquire(&1).unwrap();
        assert_eq!(keyed.try_acquire(&1).unwrap_err().reason, Reason::Busy);
        let mut next = ByHand::queued(keyed.acquire(&1));
        let unpolled = keyed.acquire(&2);
        assert_eq!(keyed.len(), 2);
        drop(unpolled);
        assert_eq!(keyed.len(), 1);
        drop(permit);
        assert_eq!((keyed.len(), next.wakes()), (1, 1));
        assert_eq!(keyed.try_acquire(&1).unwrap_err().reason, Reason::Busy, "granted, and not seen yet");
        drop(next);
        assert!(keyed.is_empty());
        next = ByHand::new(keyed.acquire(&1));
        let permit = next.poll();
        assert!(permit.is_ready());
        drop(next);
        assert_eq!(keyed.len(), 1);
        drop(permit);
        assert!(keyed.is_empty());
    });
}

#[test]
fn a_request_has_a_deadline() {
    World::run(async |_| {
        let keyed: KeyedConcurrency<u64> = KeyedConcurrency::new(1);
        let permit = keyed.acquire(&1).await.unwrap();
        let in_two = || Instant::now() + secs(2);
        let late = assert_took!(keyed.acquire(&1).by(in_two()), secs(2));
        assert_eq!(late.unwrap_err().reason, Reason::Deadline);
        let in_time = join(keyed.acquire(&1).by(in_two()), async {
            sleep(secs(1)).await;
            drop(permit);
        });
        let (permit, ()) = assert_took!(in_time, secs(1));
        assert_eq!((permit.is_ok(), keyed.len()), (true, 1));
        drop(permit);
        assert!(keyed.is_empty());
    });
}

#[test]
fn a_denied_request_is_no_user_though_its_future_lives() {
    World::run(async |_| {
        let keyed: KeyedConcurrency<u64> = KeyedConcurrency::new(1);
        let permit = keyed.acquire(&1).await.unwrap();
        let mut late = ByHand::queued(keyed.acquire(&1).by(Instant::now() + secs(1)));
        sleep(secs(2)).await;
        assert!(late.poll().is_ready());
        drop(permit);
        assert!(keyed.is_empty());
    });
}

#[test]
fn a_panic_of_the_work_returns_its_permit() {
    World::builder().allow_panics(1).run(async |_| {
        let keyed: Arc<KeyedConcurrency<u64>> = Arc::new(KeyedConcurrency::new(1));
        let permit = keyed.acquire(&1).await.unwrap();
        let work = tokio::spawn(async move {
            let _permit = permit;
            panic!("work");
        });
        assert!(work.await.unwrap_err().is_panic());
        assert!(keyed.is_empty());
    });
}

/// It takes the permit of the key first, and the common one then, as the docs advise.
#[test]
fn a_slow_key_holds_no_common_permits_while_it_waits() {
    World::run(async |_| {
        let keyed: KeyedConcurrency<&str> = KeyedConcurrency::new(1);
        let common = ConcurrencyLimiter::new(2);
        let call = async |key: &'static str, time| {
            let _own = keyed.acquire(&key).await.unwrap();
            let _common = common.acquire().await.unwrap();
            sleep(time).await;
        };
        let slow = join_all((0..5).map(|_| call("slow", secs(100))));
        let quick = async {
            yield_now().await;
            assert_took!(call("quick", secs(1)), secs(1));
        };
        join(slow, quick).await;
    });
}

/// One permit of key 1 is held for a second, and another request waits for it.
async fn contended() -> Arc<KeyedConcurrency<u64>> {
    let keyed = Arc::new(KeyedConcurrency::new(1));
    let holder = Arc::clone(&keyed);
    tokio::spawn(async move {
        for _ in 0..2 {
            let _permit = holder.acquire(&1).await.unwrap();
            sleep(secs(1)).await;
        }
    });
    yield_now().await;
    keyed
}

async fn as_if_new(keyed: Arc<KeyedConcurrency<u64>>) {
    sleep(secs(10)).await;
    assert!(keyed.is_empty());
    let permit = keyed.try_acquire(&1).unwrap();
    assert!(keyed.try_acquire(&1).is_err());
    drop(permit);
}

#[test]
fn acquire_is_dropped_at_every_await() {
    let acquire = async |keyed: Arc<KeyedConcurrency<u64>>| {
        let _permit = keyed.acquire(&1).await.unwrap();
        yield_now().await;
    };
    assert_eq!(cancel::every_point(contended, acquire, as_if_new).points(), 2);
}

#[test]
fn acquire_by_is_dropped_at_every_await() {
    let acquire = async |keyed: Arc<KeyedConcurrency<u64>>| {
        assert!(keyed.acquire(&1).by(Instant::now() + secs(5)).await.is_ok());
    };
    assert_eq!(cancel::every_point(contended, acquire, as_if_new).points(), 1);
}

#[test]
fn threads_never_hold_more_than_the_limit() {
    const KEYS: usize = 3;
    const LIMIT: usize = 2;
    Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap().block_on(async {
        let keyed: Arc<KeyedConcurrency<usize>> = Arc::new(KeyedConcurrency::new(LIMIT as u32));
        let running: Arc<[AtomicUsize; KEYS]> = Arc::default();
        let mut tasks = JoinSet::new();
        for task in 0..8 {
            let (keyed, running) = (Arc::clone(&keyed), Arc::clone(&running));
            tasks.spawn(async move {
                for turn in 0..500 {
                    let key = (task * 7 + turn) % KEYS;
                    // Some requests give up while they wait, so that entries come and go.
                    let permit = match turn % 3 {
                        0 => keyed.try_acquire(&key).ok(),
                        1 => timeout(Duration::from_micros(50), keyed.acquire(&key))
                            .await
                            .ok()
                            .map(Result::unwrap),
                        _ => Some(keyed.acquire(&key).await.unwrap()),
                    };
                    if let Some(permit) = permit {
                        assert!(running[key].fetch_add(1, SeqCst) < LIMIT);
                        yield_now().await;
                        running[key].fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                }
            });
        }
        tasks.join_all().await;
        assert!(keyed.is_empty());
    });
}

/// The limiter of a key in use is in the dumps, with the place of the request that made it.
#[cfg(feature = "inspect")]
#[test]
fn keys_in_use_are_in_the_dumps() {
    use evenkeel_inspect::dump_of;
    use tokio::runtime::Handle;

    World::run(async |_| {
        let keyed: KeyedConcurrency<u64> = KeyedConcurrency::new(1).named("per tenant");
        let held = (keyed.acquire(&1).await.unwrap(), keyed.acquire(&2).await.unwrap());
        let (line, next) = (line!(), ByHand::queued(keyed.acquire(&2)));
        let look = || dump_of(Handle::current().id()).resources;
        let mut seen: Vec<_> = look()
            .iter()
            .map(|seen| {
                assert_eq!(
                    (seen.kind, seen.name.as_deref(), seen.capacity),
                    ("concurrency limit", Some("per tenant"), 1)
                );
                assert_eq!(seen.place.unwrap().file(), file!());
                let holders: Vec<_> = seen.holders.iter().map(|holder| holder.place.line()).collect();
                let waiters: Vec<_> = seen.waiters.iter().map(|waiter| waiter.place.line()).collect();
                (holders, waiters)
            })
            .collect();
        seen.sort();
        assert_eq!(seen, [(vec![line - 1], vec![]), (vec![line - 1], vec![line])]);
        drop((held, next));
        assert!(look().is_empty());
    });
}
