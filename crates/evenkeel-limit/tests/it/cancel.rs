//! Every future of a rate limiter, dropped at every await (P10).

use std::{sync::Arc, time::Duration};

use evenkeel_limit::{Rate, RateLimiter};
use evenkeel_testkit::{cancel, took};

/// A limiter whose next permit is due in 10 ms, with another waiter in its queue.
async fn contended() -> Arc<RateLimiter> {
    let limiter = Arc::new(RateLimiter::new(Rate::per_second(100)).burst(1));
    limiter.acquire().await;
    let other = Arc::clone(&limiter);
    tokio::spawn(async move { other.acquire().await });
    tokio::task::yield_now().await;
    limiter
}

/// After an hour the limiter has its burst, and an empty queue.
async fn as_if_new(limiter: Arc<RateLimiter>) {
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.available, snapshot.waiting), (1, 0));
    limiter.acquire().await;
    assert_eq!(took(limiter.acquire()).await, ((), Duration::from_millis(10)));
}

#[test]
fn acquire() {
    let cuts = cancel::every_point(contended, async |limiter| limiter.acquire().await, as_if_new);
    assert_eq!(cuts.points(), 1);
}

#[test]
fn acquire_many() {
    let many = async |limiter: Arc<RateLimiter>| limiter.acquire_many(1).await.unwrap();
    let cuts = cancel::every_point(contended, many, as_if_new);
    assert_eq!(cuts.points(), 1);
}

#[test]
fn acquire_by() {
    let by = async |limiter: Arc<RateLimiter>| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
        limiter.acquire().by(deadline).await.unwrap();
    };
    let cuts = cancel::every_point(contended, by, as_if_new);
    assert_eq!(cuts.points(), 1);
}

#[test]
fn reserve() {
    let reserved = async |limiter: Arc<RateLimiter>| {
        let reservation = limiter.reserve(1).await.unwrap();
        tokio::task::yield_now().await;
        reservation.commit();
    };
    let cuts = cancel::every_point(contended, reserved, as_if_new);
    assert_eq!(cuts.points(), 2);
}
