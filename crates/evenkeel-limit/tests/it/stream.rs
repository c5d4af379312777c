//! Streams at the pace of a limiter.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_limit::{
    RateLimiter,
    stream::{throttle, throttle_by},
};
use evenkeel_testkit::{World, assert_took, cancel};
use futures::{
    FutureExt, StreamExt,
    stream::{self, FusedStream, Stream},
};
use tokio::time::{Instant, sleep};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn items_pass_in_order_each_at_its_turn() {
    World::run(async |_| {
        let (limiter, start) = (Arc::new(RateLimiter::per_second(10).burst(2)), Instant::now());
        let passed =
            throttle(stream::iter(0..5), Arc::clone(&limiter)).map(move |item| (item, start.elapsed()));
        let task = tokio::spawn(passed.collect::<Vec<_>>());
        assert_eq!(task.await.unwrap(), [(0, ms(0)), (1, ms(0)), (2, ms(100)), (3, ms(200)), (4, ms(300))]);
        assert_eq!(limiter.snapshot().granted, 5, "none for the end");
    });
}

#[test]
fn a_slow_stream_takes_no_permits_while_it_has_no_items() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10).burst(1);
        let slow = stream::iter(0..3).then(async |item| {
            sleep(ms(1000)).await;
            item
        });
        let mut slow = pin!(throttle(slow, &limiter));
        assert!(slow.next().now_or_never().is_none());
        assert!(limiter.try_acquire().is_ok());
        assert_took!(slow.as_mut().collect::<Vec<_>>(), ms(3000));
    });
}

#[test]
fn items_may_cost_more_than_one() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(1000).burst(1).oversize_as_debt();
        let chunks = stream::iter([vec![0_u8; 2000], vec![], vec![0; 1]]);
        let start = Instant::now();
        let times =
            throttle_by(chunks, &limiter, |chunk| chunk.len() as u32).map(|_| start.elapsed().as_millis());
        // An item of cost zero waits, too, until the debt is paid.
        assert_eq!(times.collect::<Vec<_>>().await, [0, 1999, 2000]);
    });
}

#[test]
#[should_panic(expected = "can never pass: more permits than the limit ever has at once")]
fn an_item_that_never_fits_panics() {
    let limiter = RateLimiter::per_second(1000).burst(1);
    let mut stream = pin!(throttle_by(stream::iter([2]), &limiter, |cost| *cost));
    let _ = stream.as_mut().poll_next(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn it_says_how_many_are_left_and_when_it_has_ended() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10).burst(1).start_empty();
        let mut stream = pin!(throttle(stream::iter(0..2).fuse(), &limiter));
        assert_eq!(stream.size_hint(), (2, Some(2)));
        assert!(stream.next().now_or_never().is_none());
        assert_eq!(stream.size_hint(), (2, Some(2)), "with the one that waits");
        assert_eq!((stream.next().await, stream.is_terminated()), (Some(0), false));
        assert_eq!((stream.next().await, stream.next().await, stream.is_terminated()), (Some(1), None, true));
    });
}

#[test]
fn a_next_that_is_dropped_loses_nothing() {
    type Shared = Arc<tokio::sync::Mutex<futures::stream::BoxStream<'static, i32>>>;
    let two = async || -> Shared {
        let limiter = Arc::new(RateLimiter::per_second(10).burst(1).start_empty());
        Arc::new(tokio::sync::Mutex::new(throttle(stream::iter(0..2), limiter).boxed()))
    };
    let next = async |stream: Shared| assert_eq!(stream.lock().await.next().await, Some(0));
    let check = async |stream: Shared| {
        let rest: Vec<i32> = stream.lock().await.by_ref().collect().await;
        assert_eq!(rest.last(), Some(&1));
        assert!(rest.len() == 1 || rest == [0, 1]);
    };
    assert_eq!(cancel::every_point(two, next, check).points(), 1);
}

#[test]
fn dropped_with_an_item_that_waits_it_takes_nothing() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10).burst(1).start_empty();
        {
            let mut stream = pin!(throttle(stream::iter(0..2), &limiter));
            let poll = stream.as_mut().poll_next(&mut Context::from_waker(Waker::noop()));
            assert_eq!((poll, limiter.snapshot().waiting), (Poll::Pending, 1));
        }
        assert_eq!(limiter.snapshot().waiting, 0);
        assert_took!(limiter.acquire(), ms(100));
    });
}
