//! Programs that must keep compiling, and the texts of messages.

use std::{panic::catch_unwind, sync::Arc, time::Duration};

use evenkeel_limit::{Acquire, AcquireMany, Denied, InvalidRate, Keyed, Rate, RateLimiter, Snapshot};
use evenkeel_testkit::World;

static LIMITER: RateLimiter = RateLimiter::per_second(100).burst(20);
static PACED: RateLimiter = RateLimiter::new(Rate::every(Duration::from_millis(10))).burst(1).start_empty();
static PER_MINUTE: RateLimiter = RateLimiter::per_minute(60);
static PER_HOUR: RateLimiter = RateLimiter::per_hour(5000).burst(10);
static UNLIMITED: RateLimiter = RateLimiter::unlimited();

fn assert_send_sync<T: Send + Sync + Unpin>() {}

#[test]
fn types_can_be_sent() {
    assert_send_sync::<RateLimiter>();
    assert_send_sync::<Acquire<'_>>();
    assert_send_sync::<AcquireMany<'_>>();
    assert_send_sync::<(Rate, InvalidRate, Denied, Snapshot)>();
}

/// The shape of a mapper in the operators of streams.
async fn mapped<F, Fut>(f: F) -> u32
where
    F: FnOnce(u32) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = u32> + Send,
{
    f.clone()(1).await + tokio::spawn(async move { f(2).await }).await.unwrap()
}

#[test]
fn closures_take_it_along() {
    World::run(async |_| {
        let limiter = Arc::new(RateLimiter::per_second(100));
        let by_arc = async move |item| {
            limiter.acquire().await;
            item
        };
        let by_static = async move |item| {
            LIMITER.acquire().await;
            PACED.acquire().await;
            UNLIMITED.acquire_many(item).await.unwrap();
            item
        };
        assert_eq!((mapped(by_arc).await, mapped(by_static).await), (3, 3));
    });
}

#[test]
fn zero_is_refused() {
    let second = Duration::from_secs(1);
    assert_eq!(Rate::try_per(0, second), Err(InvalidRate::ZeroPermits));
    assert_eq!(Rate::try_per(1, Duration::ZERO), Err(InvalidRate::ZeroTime));
    assert_eq!(Rate::try_per(1, Duration::MAX), Err(InvalidRate::TimeTooLong));
    assert!(Rate::try_per(u32::MAX, Duration::from_nanos(u64::MAX)).is_ok());

    assert!(catch_unwind(|| Rate::per_second(0)).is_err());
    assert!(catch_unwind(|| Rate::every(Duration::ZERO)).is_err());
    assert!(catch_unwind(|| RateLimiter::per_second(0)).is_err());
    assert!(catch_unwind(|| RateLimiter::per_minute(0)).is_err());
    assert!(catch_unwind(|| RateLimiter::per_hour(0)).is_err());
    assert!(catch_unwind(|| RateLimiter::per_second(1).burst(0)).is_err());
}

#[test]
fn rates_are_what_they_are_written_as() {
    assert_eq!(Rate::per_second(100), Rate::per(100, Duration::from_secs(1)));
    assert_eq!(Rate::every(Duration::from_millis(10)), Rate::per(1, Duration::from_millis(10)));
    assert_ne!(Rate::per_second(1), Rate::per(60, Duration::from_secs(60)));
    assert_eq!(Rate::per_minute(60), Rate::per(60, Duration::from_secs(60)));
    assert_eq!(Rate::per_hour(7), Rate::per(7, Duration::from_secs(3600)));
    assert_eq!(Rate::per(3, Duration::from_micros(1500)).to_string(), "3 per 1.5ms");
}

#[test]
fn a_minute_and_an_hour_have_names() {
    World::run(async |_| {
        PER_MINUTE.acquire_many(60).await.unwrap();
        assert_eq!(PER_MINUTE.try_acquire().unwrap_err().retry_after, Some(Duration::from_secs(1)));
        PER_HOUR.acquire_many(10).await.unwrap();
        assert_eq!(PER_HOUR.try_acquire().unwrap_err().retry_after, Some(Duration::from_millis(720)));
        let (minute, hour) = (Keyed::<u32>::per_minute(6).burst(1), Keyed::<u32>::per_hour(6).burst(1));
        minute.try_acquire(&7).unwrap();
        assert_eq!(minute.try_acquire(&7).unwrap_err().retry_after, Some(Duration::from_secs(10)));
        hour.try_acquire(&7).unwrap();
        assert_eq!(hour.try_acquire(&7).unwrap_err().retry_after, Some(Duration::from_secs(600)));
    });
}

#[test]
fn refusals_say_when_to_come_back() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(4).burst(1);
        limiter.try_acquire().unwrap();
        let busy = limiter.try_acquire().unwrap_err();
        assert_eq!(busy.to_string(), "limit reached: try again in 250ms");
        let never = limiter.try_acquire_many(2).unwrap_err();
        assert_eq!(never.to_string(), "more permits than the limit ever has at once");
        assert!(format!("{limiter:?}").contains("refused: 2"));
    });
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn a_future_is_ready_once() {
    let limiter = RateLimiter::per_second(1);
    let mut future = crate::fixtures::ByHand::new(limiter.acquire());
    assert!(future.poll().is_ready());
    let _ = future.poll();
}
