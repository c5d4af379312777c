//! The same on several threads, without a clock.

use std::sync::Arc;

use evenkeel_stream::{ItemError, paginate, prelude::*};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Barrier;
use tokio::task::yield_now;

use crate::support::Gauge;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled() {
    let gauge = Gauge::default();
    let inner = gauge.clone();
    let numbers = stream::iter(0..2000_u64).par_map(16, async move |n| {
        let _inside = inner.enter();
        yield_now().await;
        n
    });
    let ordered = numbers.ordered().par_map(16, async |n| n).ordered();
    assert!(ordered.collect::<Vec<_>>().await.into_iter().eq(0..2000));
    assert_eq!((gauge.total(), gauge.now()), (2000, 0));
    assert!(gauge.most() <= 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_items_run_at_the_same_time() {
    // Each of two items blocks its thread until the other is there as well.
    let both = Arc::new(std::sync::Barrier::new(2));
    let waits = stream::iter(0..2).par_map(2, async move |_| both.wait().is_leader());
    let leaders: Vec<bool> = tokio::spawn(waits.collect()).await.unwrap();
    assert_eq!(leaders.into_iter().filter(|is_leader| *is_leader).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_leaves_nothing_running() {
    for _ in 0..100 {
        let gauge = Gauge::default();
        let inner = gauge.clone();
        let all = Arc::new(Barrier::new(8));
        let map = stream::iter(0..8).map(Ok::<_, ()>).try_par_map(8, async move |n| {
            let _inside = inner.enter();
            all.wait().await;
            if n == 5 { Err::<(), ()>(()) } else { std::future::pending().await }
        });
        assert_eq!(map.try_collect::<Vec<()>>().await, Err(()));
        assert_eq!((gauge.now(), gauge.total()), (0, 8));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_panics_and_errors_all_arrive() {
    let pages = paginate(0, async |page: u64| {
        yield_now().await;
        Ok::<_, &str>(((0..100).map(|n| 100 * page + n).collect(), (page < 9).then_some(page + 1)))
    });
    let outcomes = pages.prefetch(2).try_par_map(8, async |n| {
        yield_now().await;
        match n % 10 {
            3 => std::panic::resume_unwind(Box::new("boom")),
            4 => Err(Box::from("four")),
            _ => Ok::<_, Box<dyn std::error::Error + Send + Sync>>(n),
        }
    });
    let outcomes: Vec<_> = outcomes.settled().collect().await;
    let count =
        |is: fn(&Result<u64, ItemError<_>>) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    assert_eq!(count(|outcome| matches!(outcome, Err(ItemError::Panic(_)))), 100);
    assert_eq!(count(|outcome| matches!(outcome, Err(ItemError::Error(_)))), 100);
    assert_eq!(count(Result::is_ok), 800);
}
