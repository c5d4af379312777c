//! Pauses that a server asks for: bounded, replaced, lifted.

use std::{sync::Arc, time::Duration};

use evenkeel_limit::{Keyed, Rate, RateLimiter, Reason};
use evenkeel_testkit::{World, assert_took};
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use crate::fixtures::ByHand;

const DAY: Duration = Duration::from_secs(86_400);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn kinds() -> [RateLimiter; 3] {
    let rate = Rate::per_second(10);
    [RateLimiter::new(rate), RateLimiter::new(rate).fast(), RateLimiter::sliding(rate)]
}

#[test]
fn a_pause_is_a_day_at_most_unless_set() {
    World::run(async |_| {
        for limiter in kinds() {
            limiter.penalize(Duration::MAX);
            assert_eq!(limiter.snapshot().paused_for, DAY);
            assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Some(DAY));
            limiter.set_pause(Duration::MAX);
            assert_eq!(limiter.snapshot().paused_for, DAY);
            assert_took!(limiter.acquire(), DAY);
            assert_eq!(limiter.snapshot().paused_for, Duration::ZERO);
        }
        for limiter in kinds() {
            let limiter = limiter.max_pause(ms(50));
            limiter.penalize(DAY);
            assert_took!(limiter.acquire(), ms(50));
        }
        let unlimited = RateLimiter::unlimited();
        unlimited.penalize(DAY);
        assert!(unlimited.try_acquire().is_ok() && !unlimited.resume());
    });
}

#[test]
fn a_pause_can_be_lifted_for_those_who_wait() {
    World::run(async |_| {
        for limiter in kinds() {
            let limiter = Arc::new(limiter);
            limiter.penalize(ms(60_000));
            let start = Instant::now();
            let turn = |limiter: Arc<RateLimiter>| async move {
                limiter.acquire().await;
                start.elapsed()
            };
            let first = tokio::spawn(turn(Arc::clone(&limiter)));
            tokio::task::yield_now().await;
            let waiting = ByHand::queued(limiter.acquire());
            sleep(ms(500)).await;
            assert_eq!(limiter.snapshot().paused_for, ms(59_500));
            assert!(limiter.resume() && !limiter.resume());
            assert_eq!((first.await.unwrap(), limiter.snapshot().paused_for), (ms(500), Duration::ZERO));
            assert_eq!(waiting.wakes(), 0, "one permit at most");
        }
    });
}

#[test]
fn the_last_word_of_a_server_counts_and_the_later_end_of_many() {
    World::run(async |_| {
        for limiter in kinds() {
            limiter.penalize(ms(1000));
            limiter.penalize(ms(200));
            assert_eq!(limiter.snapshot().paused_for, ms(1000));
            limiter.set_pause(ms(200));
            assert_eq!(limiter.snapshot().paused_for, ms(200));
            let start = Instant::now();
            let late = limiter.acquire().by(start + ms(199)).await.unwrap_err();
            assert_eq!((late.reason, late.retry_after), (Reason::Deadline, Some(ms(200))));
            limiter.set_pause(ms(300));
            assert_took!(limiter.acquire(), ms(300));
            limiter.penalize(ms(1000));
            limiter.set_pause(Duration::ZERO);
            assert!(limiter.snapshot().paused_for.is_zero());
        }
    });
}

/// In a long window each earlier pause would count until the window has passed.
#[test]
fn a_pause_that_was_replaced_takes_no_permits() {
    World::run(async |_| {
        let rate = Rate::per(10, ms(60_000));
        for limiter in [RateLimiter::new(rate), RateLimiter::sliding(rate)] {
            advance(ms(10)).await;
            for pause in [60_000, 5000, 4000, 3000] {
                limiter.set_pause(ms(pause));
                advance(ms(1000)).await;
            }
            assert_eq!(limiter.snapshot().paused_for, ms(2000));
            assert_took!(limiter.acquire(), ms(2000));
            assert_eq!(limiter.snapshot().available, 0);
            sleep(ms(120_000)).await;
            assert_eq!(limiter.snapshot().available, 10);
        }
    });
}

#[test]
fn a_pause_that_is_lifted_at_once_leaves_one_permit() {
    World::run(async |_| {
        for limiter in kinds() {
            limiter.penalize(ms(1000));
            assert!(limiter.resume());
            assert_eq!(limiter.snapshot().available, 1);
        }
    });
}

#[test]
fn a_pause_without_end_is_no_panic() {
    World::run(async |_| {
        for limiter in kinds() {
            let limiter = limiter.max_pause(Duration::MAX);
            limiter.penalize(Duration::MAX);
            limiter.set_pause(Duration::MAX);
            limiter.refund(10);
            assert!(limiter.try_acquire().is_err() && limiter.snapshot().available == 0);
            let waiter = ByHand::queued(limiter.acquire());
            limiter.set_pause(ms(1000));
            sleep(ms(1001)).await;
            assert_eq!(waiter.wakes(), 1);
        }
    });
}

#[test]
fn each_key_has_its_pause() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(10).burst(1).max_keys(2).max_pause(ms(1000));
        keyed.penalize(&1, Duration::MAX);
        assert_eq!(keyed.try_acquire(&1).unwrap_err().retry_after, Some(ms(1000)));
        assert!(keyed.try_acquire(&2).is_ok());
        keyed.penalize(&1, ms(1));
        keyed.set_pause(&1, ms(300));
        assert_eq!(keyed.limiter(&1).snapshot().paused_for, ms(300));
        advance(ms(150)).await;
        assert!(keyed.try_acquire(&3).is_ok(), "room for it, as the second is full");
        assert_eq!(keyed.try_acquire(&1).unwrap_err().retry_after, Some(ms(150)), "it is not forgotten");
        assert!(keyed.resume(&1) && keyed.try_acquire(&1).is_ok() && !keyed.resume(&1));
        keyed.set_pause(&4, ms(500));
        assert_eq!(keyed.limiter(&5).snapshot().paused_for, ms(500), "that of all that share the overflow");
    });
}

async fn charge(limiter: &RateLimiter, permits: u32) {
    if let Ok(reservation) = limiter.reserve(0).by(Instant::now()).await {
        reservation.settle(permits);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A lifted pause equals one that was to last until then.
    #[test]
    fn a_lifted_pause_is_a_short_one(
        sliding in any::<bool>(),
        taken in 0..10_u32,
        debt in 0..40_u32,
        time in 1..3000_u64,
        later in prop::collection::vec(0..700_u64, 1..8),
    ) {
        World::run(async |_| {
            let rate = Rate::per_second(10);
            let new = || if sliding { RateLimiter::sliding(rate) } else { RateLimiter::new(rate) };
            let (lifted, short) = (new(), new());
            for (limiter, pause) in [(&lifted, 3_600_000), (&short, time)] {
                let _taken = limiter.try_acquire_many(taken);
                charge(limiter, debt).await;
                limiter.penalize(ms(pause));
            }
            advance(ms(time)).await;
            lifted.resume();
            for millis in later {
                assert_eq!(lifted.snapshot().available, short.snapshot().available);
                advance(ms(millis)).await;
            }
        });
    }
}

#[test]
fn zero_is_refused() {
    use std::panic::catch_unwind;
    assert!(catch_unwind(|| RateLimiter::per_second(1).max_pause(Duration::ZERO)).is_err());
    assert!(catch_unwind(|| Keyed::<u8>::per_second(1).max_pause(Duration::ZERO)).is_err());
}
