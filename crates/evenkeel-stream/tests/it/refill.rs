//! The map fills up while the consumer is busy: a worker waits for a source that was pending.

use std::{future::poll_fn, sync::Arc, task::Poll};

use evenkeel_stream::{paginate, prelude::*};
use evenkeel_testkit::{World, assert_took};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::{sync::Semaphore, time::sleep};

use crate::support::{Gauge, ms, slow};

#[test]
fn a_slow_source_fills_the_map_while_nobody_polls() {
    for ordered in [false, true] {
        World::run(async |_| {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let map = slow((0..100).map(|n| (10, n))).par_map(4, async move |n| {
                let _inside = inner.enter();
                sleep(ms(1000)).await;
                n
            });
            let mut map = if ordered { map.ordered() } else { map };
            assert!(map.next().now_or_never().is_none());
            sleep(ms(5)).await;
            for started in 0..=4 {
                assert_eq!(gauge.total(), started);
                sleep(ms(10)).await;
            }
            sleep(ms(100)).await;
            // Not one more than the limit, also when some have ended.
            assert_eq!((gauge.total(), gauge.now()), (4, 4));
            sleep(ms(2000)).await;
            assert_eq!((gauge.total(), gauge.now()), (4, 0));
            // Each result that is taken makes room for one item, which the source has 10 ms later.
            for taken in 1..=3 {
                assert_eq!(map.next().now_or_never().flatten(), Some(taken - 1));
                sleep(ms(11)).await;
                assert_eq!(gauge.total(), 4 + usize::try_from(taken).unwrap());
            }
        });
    }
}

/// Ten pages of 100 ms, and a consumer that needs 100 ms for each: one after the other they would take two seconds.
#[test]
fn a_source_goes_on_beside_its_consumer() {
    World::run(async |_| {
        let pages = paginate(1, async |page: u64| {
            sleep(ms(100)).await;
            Ok::<_, std::io::Error>((vec![page], (page < 10).then_some(page + 1)))
        });
        let pages = pages.try_par_map(2, async |page| Ok::<_, evenkeel_stream::PageError>(page));
        let written = pages.try_for_each(async |_| {
            sleep(ms(100)).await;
            Ok(())
        });
        assert_took!(written, ms(1100)).unwrap();
    });
}

#[test]
fn a_consumer_that_takes_the_lock_of_the_source_cannot_deadlock() {
    for limit in [1, 2, 16] {
        World::run(async |_| {
            let lock = Arc::new(Semaphore::new(1));
            let inner = lock.clone();
            let source = stream::iter(0..60).then(move |n| {
                let lock = inner.clone();
                async move {
                    let _permit = lock.acquire().await.expect("never closed");
                    sleep(ms(1)).await;
                    n
                }
            });
            let map = source.par_map(limit, async |n: u32| n);
            let work = map.for_each(async |_| {
                let _permit = lock.acquire().await.expect("never closed");
                sleep(ms(1)).await;
            });
            assert_took!(work, ms(120));
        });
    }
}

/// A source that is ready at every other poll only, and wakes before it returns.
#[test]
fn a_source_may_wake_inside_its_poll() {
    for limit in [1, 3, 64] {
        World::run(async |_| {
            let (mut next, mut is_ready) = (0, false);
            let source = stream::poll_fn(move |cx| {
                is_ready = !is_ready;
                if !is_ready {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                next += 1;
                Poll::Ready((next <= 100).then_some(next))
            });
            let sum = source.par_map(limit, async |n: u32| n).fold(0, async |sum, n| sum + n).await;
            assert_eq!(sum, 5050);
        });
    }
}

/// An item that wakes its task inside each poll, and is polled again for each of them.
#[test]
fn an_item_may_wake_inside_its_poll() {
    World::run(async |_| {
        let map = stream::iter(0..100).par_map(8, async |n: u32| {
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                cx.waker().wake_by_ref();
                if polls > 3 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            n
        });
        assert_eq!(map.count().await, 100);
    });
}

/// The waker of an item outlives it, and wakes the worker while it runs another one, or none.
#[test]
fn a_waker_that_an_item_leaves_behind_does_no_harm() {
    World::run(async |_| {
        let wakers = Arc::new(std::sync::Mutex::new(Vec::new()));
        let inner = wakers.clone();
        let mut map = stream::iter(0..20).par_map(2, async move |n: u32| {
            poll_fn(|cx| {
                inner.lock().unwrap().push(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
            sleep(ms(10)).await;
            n
        });
        let mut came = Vec::new();
        while let Some(n) = map.next().await {
            came.push(n);
            for _ in 0..5 {
                wakers.lock().unwrap().iter().for_each(std::task::Waker::wake_by_ref);
                sleep(ms(3)).await;
            }
        }
        assert!(came.into_iter().eq(0..20));
    });
}

tokio::task_local! {
    static REQUEST: u32;
}

/// Task-locals do not reach the items by themselves; `scope` takes them along, also to items that start while the
/// consumer is busy.
#[test]
fn a_task_local_reaches_the_items_through_its_scope() {
    World::run(async |_| {
        REQUEST
            .scope(7, async {
                let request = REQUEST.get();
                let map = slow((0..10).map(|n| (10, n))).par_map(4, async move |n: u32| {
                    let work = async {
                        sleep(ms(1)).await;
                        (n, REQUEST.get())
                    };
                    REQUEST.scope(request, work).await
                });
                let mut map = map.ordered();
                assert!(map.next().now_or_never().is_none());
                sleep(ms(500)).await;
                let seen: Vec<_> = map.collect().await;
                assert!(seen.into_iter().eq((0..10).map(|n| (n, 7))));
            })
            .await;
    });
}
