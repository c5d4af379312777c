//! Generators: lazy, one item at a time, and sound however their yields are used.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use evenkeel_stream::{Generate, Yielder, generate, try_generate};
use evenkeel_testkit::{World, assert_took, cancel};
use futures::{
    FutureExt as _, Stream as _, StreamExt as _, TryStreamExt as _, future::join_all,
    stream::FuturesUnordered,
};
use tokio::{task::yield_now, time::sleep};

use crate::support::{Gauge, ms};

#[test]
fn it_is_lazy_and_never_ahead_of_its_consumer() {
    World::run(async |_| {
        let steps = Arc::new(AtomicUsize::new(0));
        let count = steps.clone();
        let mut numbers = generate(|y| async move {
            for n in 0..3 {
                count.fetch_add(1, SeqCst);
                y.yield_(n).await;
            }
            count.fetch_add(1, SeqCst);
        });
        yield_now().await;
        assert_eq!((steps.load(SeqCst), numbers.size_hint()), (0, (0, None)));
        for n in 0..3 {
            assert_eq!(numbers.next().await, Some(n));
            assert_eq!(steps.load(SeqCst), usize::try_from(n).unwrap() + 1);
        }
        assert_eq!(numbers.next().await, None);
        assert_eq!((numbers.next().await, steps.load(SeqCst), numbers.size_hint()), (None, 4, (0, Some(0))));
    });
}

#[test]
fn it_waits_where_its_function_waits() {
    World::run(async |_| {
        let mut numbers = generate(|y| async move {
            for n in 0.. {
                sleep(ms(10)).await;
                y.yield_(n).await;
            }
        });
        assert_eq!(assert_took!(numbers.next(), ms(10)), Some(0));
        sleep(ms(100)).await;
        assert_eq!(assert_took!(numbers.next(), ms(10)), Some(1));
    });
}

#[test]
fn an_error_is_the_last_item() {
    World::run(async |_| {
        let mut items = try_generate(|y| async move {
            y.yield_(1).await;
            sleep(ms(5)).await;
            Err("gone")
        });
        assert_eq!(items.try_next().await, Ok(Some(1)));
        assert_eq!(assert_took!(items.try_next(), ms(5)), Err("gone"));
        assert_eq!(items.try_next().await, Ok(None));
    });
}

#[test]
fn yields_that_are_joined_come_in_their_order() {
    World::run(async |_| {
        let numbers = generate(|y| async move {
            let (y, taken) = (&y, &Mutex::new(vec![]));
            let yields = (0..5).map(|n| async move {
                assert!(y.yield_(n).await);
                taken.lock().unwrap().push(n);
            });
            join_all(yields).await;
            assert_eq!(taken.lock().unwrap().len(), 5);
            // With wakers of their own.
            let yields: FuturesUnordered<_> = (5..9).map(|n| y.yield_(n)).collect();
            assert!(yields.all(async |taken| taken).await);
        });
        let mut came: Vec<_> = numbers.collect().await;
        assert_eq!(came[..5], [0, 1, 2, 3, 4]);
        came.sort_unstable();
        assert_eq!(came, (0..9).collect::<Vec<_>>());
    });
}

#[test]
fn a_yield_that_is_not_awaited_to_its_end_takes_its_item_along() {
    World::run(async |_| {
        let numbers = generate(|y| async move {
            drop(y.yield_(1));
            assert!(y.yield_(2).now_or_never().is_none());
            y.yield_(3).await;
            {
                let mut given_up = pin!(y.yield_(4));
                assert!(given_up.as_mut().now_or_never().is_none());
            }
        });
        assert_eq!(numbers.collect::<Vec<_>>().await, [3]);
    });
}

#[test]
fn a_yield_in_another_task_wakes_the_stream_and_is_woken_by_it() {
    World::run(async |_| {
        let mut numbers = generate(|y| async move {
            let task = tokio::spawn(async move {
                for n in 0..5 {
                    sleep(ms(1)).await;
                    assert!(y.yield_(n).await);
                }
            });
            task.await.unwrap();
        });
        let first = assert_took!(numbers.next(), ms(1));
        let rest: Vec<_> = assert_took!(numbers.collect(), ms(4));
        assert_eq!((first, rest), (Some(0), vec![1, 2, 3, 4]));
    });
}

/// Returns a stream and its yielder, which leaves the function.
async fn leaked(keep_open: bool) -> (Generate<u8>, Yielder<u8>) {
    let (tx, rx) = tokio::sync::oneshot::channel();
    let mut stream = generate(move |y| async move {
        tx.send(y).expect("it is waited for");
        if keep_open {
            std::future::pending::<()>().await;
        }
    });
    assert!(stream.next().now_or_never().flatten().is_none());
    (stream, rx.await.expect("the function has begun"))
}

#[test]
fn a_yield_beside_its_stream_in_one_task_is_woken() {
    World::run(async |_| {
        for producer_first in [true, false] {
            let (mut stream, y) = leaked(true).await;
            let produce = async {
                for n in 0..3 {
                    assert!(y.yield_(n).await);
                }
            };
            let consume = async {
                for n in 0..3 {
                    assert_eq!(stream.next().await, Some(n));
                }
                // A yield returns when the next item is wanted or the item was taken, which is the same from outside.
            };
            if producer_first {
                tokio::join!(produce, consume);
            } else {
                tokio::join!(consume, produce);
            }
        }
    });
}

#[test]
fn a_yielder_that_outlives_its_stream_says_so() {
    World::run(async |_| {
        let (mut stream, y) = leaked(false).await;
        assert!(!y.yield_(1).await, "the function has returned");
        assert_eq!(stream.next().await, None);

        let (stream, y) = leaked(true).await;
        let waiting = tokio::spawn(async move { (y.yield_(1).await, y.yield_(2).await) });
        yield_now().await;
        drop(stream);
        assert_eq!(waiting.await.unwrap(), (false, false));
    });
}

#[test]
fn a_panic_of_the_function_resumes_and_ends_the_stream() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let inside = gauge.enter();
        let mut stream = generate(|y| async move {
            let _inside = inside;
            y.yield_(1).await;
            std::panic::resume_unwind(Box::new("boom"));
        });
        assert_eq!(stream.next().await, Some(1));
        let panic = evenkeel_task::catch_panic(stream.next()).await.unwrap_err();
        assert_eq!((panic.message(), gauge.now()), (Some("boom"), 0));
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn an_endless_one_lets_other_tasks_run() {
    World::run(async |_| {
        let turn = tokio::spawn(async {});
        let mut stream = generate(|y| async move { while y.yield_(()).await {} });
        while !turn.is_finished() {
            stream.next().await;
        }
    });
}

#[test]
fn its_own_yields_wake_nobody() {
    World::run(async |_| {
        let (waker, wakes) = evenkeel_testkit::waker::counting();
        let mut stream = generate(|y| async move {
            for n in 0..10 {
                y.yield_(n).await;
            }
        });
        let mut context = std::task::Context::from_waker(&waker);
        while let std::task::Poll::Ready(Some(_)) = stream.poll_next_unpin(&mut context) {}
        assert_eq!(wakes.load(SeqCst), 0);
    });
}

#[test]
fn it_can_be_dropped_at_every_await() {
    let cuts = cancel::every_point(
        async || Gauge::default(),
        async |gauge| {
            let inside = gauge.enter();
            let stream = generate(|y| async move {
                let _inside = inside;
                for n in 0..4 {
                    sleep(ms(1)).await;
                    tokio::join!(y.yield_(n), y.yield_(10 + n), sleep(ms(2)));
                }
            });
            assert_eq!(stream.count().await, 8);
        },
        async |gauge| assert_eq!(gauge.now(), 0),
    );
    assert!(cuts.points() > 5);
}
