//! The promises of a limit for every place of its permits: this process, memory, a store with faults,
//! Redis.

use std::{future::Future, sync::Mutex, time::Duration};

use evenkeel_limit::{
    Denied, Rate, RateLimiter, Reason,
    distributed::{Distributed, Error},
};
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

/// The precision of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the virtual tier has exact clocks, the real one has not")]
pub(crate) enum Clock {
    Exact,
    /// Permits may be late, and early by this much, because the server has another clock.
    Real(Duration),
}

impl Clock {
    fn check(self, start: Instant, expected: Duration) {
        match self {
            Self::Exact => assert_eq!(start.elapsed(), expected),
            Self::Real(sooner) => assert!(start.elapsed() + sooner >= expected, "{:?}", start.elapsed()),
        }
    }
}

pub(crate) trait Limit {
    fn acquire_many(&self, permits: u32) -> impl Future<Output = Result<(), Denied>>;
    fn try_acquire_many(&self, permits: u32) -> impl Future<Output = Result<(), Denied>>;
    fn refund(&self, permits: u32);
    fn close(&self) -> impl Future<Output = ()>;
}

impl Limit for RateLimiter {
    async fn acquire_many(&self, permits: u32) -> Result<(), Denied> {
        RateLimiter::acquire_many(self, permits).await
    }

    async fn try_acquire_many(&self, permits: u32) -> Result<(), Denied> {
        RateLimiter::try_acquire_many(self, permits)
    }

    fn refund(&self, permits: u32) {
        RateLimiter::refund(self, permits);
    }

    async fn close(&self) {
        RateLimiter::close(self);
    }
}

fn denied(error: Error) -> Denied {
    match error {
        Error::Denied(denied) => denied,
        error => panic!("{error:?}"),
    }
}

impl Limit for Distributed {
    async fn acquire_many(&self, permits: u32) -> Result<(), Denied> {
        Distributed::acquire_many(self, permits).await.map_err(denied)
    }

    async fn try_acquire_many(&self, permits: u32) -> Result<(), Denied> {
        Distributed::try_acquire_many(self, permits).await.map_err(denied)
    }

    fn refund(&self, permits: u32) {
        Distributed::refund(self, permits);
    }

    async fn close(&self) {
        Distributed::close(self).await;
    }
}

fn reason(result: Result<(), Denied>) -> Reason {
    result.unwrap_err().reason
}

/// Runs all checks, each with a limit of its own.
pub(crate) async fn suite<L: Limit>(clock: Clock, limit: impl Fn(Rate, u32) -> L) {
    burst_and_return(clock, limit(Rate::per_second(5), 3)).await;
    sizes(limit(Rate::per_second(1), 3)).await;
    pace(clock, limit(Rate::per_second(50), 1)).await;
    uneven_pace(clock, limit(Rate::per(300, Duration::from_secs(7)), 2)).await;
    weights(clock, limit(Rate::per_second(100), 5)).await;
    order(clock, limit(Rate::per_second(100), 4)).await;
    leaving(clock, limit(Rate::per_second(20), 8)).await;
    refunds(limit(Rate::per(1, Duration::from_secs(60)), 5)).await;
    closing(limit(Rate::per(1, Duration::from_secs(60)), 1)).await;
}

async fn burst_and_return(clock: Clock, limit: impl Limit) {
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(limit.try_acquire_many(1).await, Ok(()));
    }
    let denied = limit.try_acquire_many(1).await.unwrap_err();
    let wait = denied.retry_after.unwrap();
    assert_eq!(denied.reason, Reason::Busy);
    assert!(wait <= Duration::from_millis(200));
    sleep(wait).await;
    assert_eq!(limit.try_acquire_many(1).await, Ok(()));
    clock.check(start, Duration::from_millis(200));
}

async fn sizes(limit: impl Limit) {
    assert_eq!(reason(limit.try_acquire_many(4).await), Reason::NeverFits);
    assert_eq!(reason(limit.acquire_many(4).await), Reason::NeverFits);
    assert_eq!(limit.acquire_many(3).await, Ok(()));
    assert_eq!(reason(limit.try_acquire_many(2).await), Reason::Busy);
}

async fn pace(clock: Clock, limit: impl Limit) {
    let start = Instant::now();
    for _ in 0..6 {
        limit.acquire_many(1).await.unwrap();
    }
    clock.check(start, Duration::from_millis(100));
}

/// Permits are 23 1/3 ms apart: rounded thirds of a millisecond must not add up.
async fn uneven_pace(clock: Clock, limit: impl Limit) {
    let start = Instant::now();
    for _ in 0..10 {
        limit.acquire_many(1).await.unwrap();
    }
    clock.check(start, Duration::from_millis(187));
}

async fn weights(clock: Clock, limit: impl Limit) {
    let start = Instant::now();
    limit.acquire_many(4).await.unwrap();
    limit.acquire_many(5).await.unwrap();
    clock.check(start, Duration::from_millis(40));
}

/// Small requests do not overtake big ones, and no request overtakes waiters.
async fn order(clock: Clock, limit: impl Limit) {
    limit.acquire_many(4).await.unwrap();
    let start = Instant::now();
    let served = Mutex::new(vec![]);
    join_all([(0, 2), (1, 4), (2, 1), (3, 1)].map(|(who, permits)| {
        let (limit, served) = (&limit, &served);
        async move {
            limit.acquire_many(permits).await.unwrap();
            served.lock().unwrap().push(who);
        }
    }))
    .await;
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3]);
    clock.check(start, Duration::from_millis(80));
}

/// A dropped waiter takes nothing.
async fn leaving(clock: Clock, limit: impl Limit) {
    limit.acquire_many(8).await.unwrap();
    let start = Instant::now();
    assert!(timeout(Duration::from_millis(30), limit.acquire_many(8)).await.is_err());
    for _ in 0..5 {
        limit.acquire_many(1).await.unwrap();
    }
    clock.check(start, Duration::from_millis(250));
}

async fn refunds(limit: impl Limit) {
    limit.acquire_many(5).await.unwrap();
    limit.refund(2);
    limit.acquire_many(2).await.unwrap();
    assert_eq!(reason(limit.try_acquire_many(1).await), Reason::Busy);
    let (waited, ()) = tokio::join!(limit.acquire_many(3), async {
        sleep(Duration::from_millis(5)).await;
        limit.refund(2);
        limit.refund(1);
    });
    assert_eq!(waited, Ok(()));
}

async fn closing(limit: impl Limit) {
    limit.acquire_many(1).await.unwrap();
    let (waited, ()) = tokio::join!(limit.acquire_many(1), async {
        sleep(Duration::from_millis(5)).await;
        limit.close().await;
    });
    assert_eq!(reason(waited), Reason::Closed);
    assert_eq!(reason(limit.acquire_many(1).await), Reason::Closed);
    assert_eq!(reason(limit.try_acquire_many(1).await), Reason::Closed);
}
