//! Timers of any instant, in tasks that are never short of work.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use evenkeel_base::{far_future, poll_timer, sleep_until};
use tokio::{
    task::{coop, yield_now},
    time::{self, Instant},
};

#[tokio::test(start_paused = true)]
async fn an_instant_that_no_timer_can_express_is_thirty_years_away() {
    let start = Instant::now();
    let mut last = start;
    for exponent in 0..64 {
        last = last.checked_add(Duration::from_secs(1 << exponent)).unwrap_or(last);
    }
    let timer = sleep_until(last);
    assert_eq!(timer.deadline(), far_future(start));
    assert_eq!(sleep_until(start + Duration::from_secs(1)).deadline(), start + Duration::from_secs(1));
    timer.await;
    assert_eq!(start.elapsed(), Duration::from_secs(30 * 365 * 86_400));
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_seen_to_fire_when_the_budget_is_used_up() {
    let mut timer = pin!(sleep_until(Instant::now() + Duration::from_secs(1)));
    assert!(poll_fn(|cx| Poll::Ready(poll_timer(timer.as_mut(), cx))).await.is_pending());
    time::advance(Duration::from_secs(1)).await;
    yield_now().await;
    let polls = poll_fn(|cx| {
        while coop::has_budget_remaining() {
            // A unit of budget, as a channel that always has a value takes it.
            let Poll::Ready(unit) = coop::poll_proceed(cx) else { break };
            unit.made_progress();
        }
        Poll::Ready((timer.as_mut().poll(cx), poll_timer(timer.as_mut(), cx)))
    });
    assert_eq!(polls.await, (Poll::Pending, Poll::Ready(())));
}
