//! Waits for a rate, a key, a shared quota and the next attempt of a call, in virtual time and with real threads.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_inspect::{Dump, InspectedResource, TaskId, WaiterEdge};
use evenkeel_limit::{ConcurrencyLimiter, Keyed, RateLimiter, distributed::OnFailure};
use evenkeel_retry::Policy;
use evenkeel_testkit::{World, cancel};
use tokio::{spawn, task::JoinHandle, time::Instant};

use self::quotas::{Switch, quota};
use crate::units::{look, secs};

mod keys;
mod quotas;
mod rates;
mod retries;
mod threads;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The only resource of the dump.
fn only() -> InspectedResource {
    let dump = look();
    assert_eq!((dump.resources.len(), dump.panics), (1, 0), "{dump}");
    dump.resources[0].clone()
}

/// The line of a waiter, which is in one of these files.
fn line(waiter: &WaiterEdge) -> u32 {
    assert!(waiter.place.file().contains("limits_and_retries"), "{}", waiter.place);
    waiter.place.line()
}

/// The times from `start` at which the waits end.
fn ends(waiters: &[WaiterEdge], start: Instant) -> Vec<Duration> {
    waiters.iter().map(|waiter| waiter.until.expect("an end") - start).collect()
}

fn tasks<T>(tasks: &[JoinHandle<T>]) -> Vec<TaskId> {
    tasks.iter().map(|task| TaskId::Task(task.id())).collect()
}

/// All forms of a dump in one text.
fn all_forms(dump: &Dump) -> String {
    format!("{dump}\n{}\n{}\n{dump:?}", dump.to_json(), dump.to_html())
}

/// Polls a future once, with a waker that does nothing.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secret text")
    }
}

impl std::error::Error for Refused {}

async fn retried(policy: Arc<Policy>) -> bool {
    policy.run(async || Err::<(), _>(Refused)).await.is_ok()
}

/// A future that goes to another task after its first poll waits there.
#[test]
fn a_wait_that_moves_counts_for_the_task_that_polls_it() {
    World::run(async |world| {
        let calls = Arc::new(RateLimiter::per_second(1).start_empty());
        let slots = Arc::new(ConcurrencyLimiter::new(1));
        let held = slots.acquire().await.unwrap();
        let policy = Arc::new(Policy::fixed(secs(1)));
        let (to, moved) = tokio::sync::oneshot::channel();
        let first = spawn({
            let (calls, slots) = (calls.clone(), slots.clone());
            async move {
                let mut waits = Box::pin(async move {
                    tokio::join!(calls.acquire(), slots.acquire_owned(1), retried(policy))
                });
                assert!(poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
                assert!(to.send(waits).is_ok());
            }
        });
        let second = spawn(async { drop(moved.await.unwrap().await) });
        first.await.unwrap();
        world.settle().await;
        let dump = look();
        let waiters: Vec<_> = dump.resources.iter().flat_map(|resource| &resource.waiters).collect();
        assert_eq!(waiters.len(), 3, "{dump}");
        assert!(waiters.iter().all(|waiter| waiter.task == TaskId::Task(second.id())), "{dump}");
        drop(held);
        second.abort();
    });
}

#[test]
fn a_wait_that_is_dropped_leaves_the_dump() {
    let nobody = async |_| {
        let dump = look();
        assert!(dump.resources.iter().all(|resource| resource.waiters.is_empty()), "{dump}");
        assert!(dump.findings.is_empty(), "{dump}");
    };
    let used_up = async || {
        let limiter = Arc::new(RateLimiter::per_second(1));
        limiter.acquire().await;
        limiter
    };
    let cuts = cancel::every_point(used_up, async |calls| calls.acquire().await, nobody);
    assert_eq!(cuts.points(), 1);
    let nobody = async |_| assert!(look().resources.iter().all(|resource| resource.waiters.is_empty()));
    let used_up = async || {
        let keys = Arc::new(Keyed::<u32>::per_second(1));
        keys.acquire(&7).await;
        keys
    };
    let cuts = cancel::every_point(used_up, async |keys| keys.acquire(&7).await, nobody);
    assert_eq!(cuts.points(), 1);
    let nobody = async |_| assert!(look().resources.iter().all(|resource| resource.waiters.is_empty()));
    let slow = async || Arc::new(quota(&Switch::new(), OnFailure::Closed));
    let cuts = cancel::every_point(slow, async |quota| quota.acquire_many(2).await.is_ok(), nobody);
    assert!(cuts.points() > 0);
    let nobody = async |_| assert!(look().resources.is_empty());
    let policy = async || Arc::new(Policy::fixed(secs(1)).max_attempts(3));
    let cuts = cancel::every_point(policy, retried, nobody);
    assert_eq!(cuts.points(), 2);
    let nobody = async |_| assert!(look().resources.is_empty());
    let by_hand = async |policy: Arc<Policy>| {
        let mut attempts = policy.start();
        let failed = attempts.attempt(async { Err::<(), _>(fmt::Error) }).await.unwrap_err();
        attempts.backoff(failed).await.is_ok()
    };
    let cuts = cancel::every_point(policy, by_hand, nobody);
    assert_eq!(cuts.points(), 1);
}
