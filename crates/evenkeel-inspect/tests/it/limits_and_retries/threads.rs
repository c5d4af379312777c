//! Waits in a worker that is blocked, and beside looks, on real threads.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    task::Poll,
    time::Duration,
};

use evenkeel_inspect::{WaiterEdge, dump_of};
use evenkeel_limit::{Distributed, Keyed, Rate, RateLimiter, distributed::MemoryStore};
use evenkeel_retry::Policy;
use tokio::{
    runtime::{Builder, Handle},
    spawn,
};

use super::{Refused, all_forms, line, ms};
use crate::units::line_of;

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("threads.rs"), mark)
}

/// A future that waits, of those that this makes: time passes on its own here, and the first ones may be ready at once.
async fn waiting<F: Future>(make: impl Fn() -> F) -> Pin<Box<F>> {
    loop {
        let mut future = Box::pin(make());
        if poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await {
            return future;
        }
    }
}

/// Looks until the first wait of this kind is late: nothing but time ends the test, and it does not depend on how much.
fn late(runtime: tokio::runtime::Id, kind: &str) -> WaiterEdge {
    loop {
        let dump = dump_of(runtime);
        let resource = dump.resources.iter().find(|resource| resource.kind == kind).expect("it is blocked");
        let waiter = resource.waiters.first().expect("it is blocked").clone();
        if waiter.until.expect("an end") < dump.at {
            assert!(dump.to_string().contains("late by"), "{dump}");
            return waiter;
        }
        std::thread::yield_now();
    }
}

#[test]
fn waits_in_a_runtime_whose_only_worker_is_blocked() {
    let (release, released) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let calls = RateLimiter::per_second(1000).burst(1);
            let _turn = waiting(|| calls.acquire()).await; // is blocked
            let keys = Keyed::<u32>::per_second(1000).burst(1);
            let _turn_of_a_key = waiting(|| keys.acquire(&1)).await; // has a key that is blocked
            let policy = Policy::fixed(ms(1)).max_attempts(u32::MAX);
            let refused = async || Err::<(), _>(Refused);
            let _attempt = waiting(|| policy.run(refused)).await; // has a retry that is blocked
            tell.send(Handle::current().id()).unwrap();
            // It blocks its thread, as no task should.
            assert!(released.recv().is_err());
        });
    });
    let runtime = told.recv().unwrap();
    assert_eq!(line(&late(runtime, "rate limit")), at("is blocked"));
    assert_eq!(line(&late(runtime, "keyed rate limit")), at("has a key that is blocked"));
    assert_eq!(line(&late(runtime, "retry")), at("has a retry that is blocked"));
    drop(release);
    worker.join().unwrap();
}

/// Objects and waits come and go on two threads while a third one looks.
#[test]
fn looks_beside_waits_that_come_and_go() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let id = runtime.handle().id();
    let ended = Arc::new(AtomicBool::new(false));
    let looks = std::thread::spawn({
        let ended = ended.clone();
        move || {
            let mut seen = 0;
            while !ended.load(Relaxed) {
                let dump = dump_of(id);
                assert_eq!(dump.panics, 0, "{dump}");
                assert!(!dump.to_string().starts_with("deadlock"), "{dump}");
                seen += dump.resources.iter().map(|resource| resource.waiters.len()).sum::<usize>();
                assert!(all_forms(&dump).len() > 100);
            }
            seen
        }
    });
    runtime.block_on(async {
        for _ in 0..10 {
            let calls = Arc::new(RateLimiter::per_second(20_000).burst(1));
            let keys = Arc::new(Keyed::<u32>::per_second(20_000).burst(1).show_keys());
            let quota =
                Arc::new(Distributed::new(MemoryStore::new(), "quota", Rate::per_second(20_000)).burst(1));
            let policy = Arc::new(Policy::fixed(Duration::from_micros(10)).max_attempts(3));
            let tasks: Vec<_> = (0..40)
                .map(|n| {
                    let (calls, keys, quota, policy) =
                        (calls.clone(), keys.clone(), quota.clone(), policy.clone());
                    spawn(async move {
                        calls.acquire().await;
                        keys.acquire(&(n % 3)).await;
                        if n % 10 == 0 {
                            quota.acquire().await.unwrap();
                        }
                        assert!(policy.run(async || Err::<(), _>(Refused)).await.is_err());
                    })
                })
                .collect();
            // Half of them are cut off wherever they are.
            for (n, task) in tasks.into_iter().enumerate() {
                if n % 2 == 0 {
                    task.abort();
                }
                assert!(task.await.is_ok_and(|()| true) || n % 2 == 0);
            }
        }
    });
    drop(runtime);
    ended.store(true, Relaxed);
    looks.join().unwrap();
    let dump = dump_of(id);
    assert!(dump.resources.is_empty(), "{dump}");
}
