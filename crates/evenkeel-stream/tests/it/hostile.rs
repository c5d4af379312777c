//! Sources, functions, values and wakers that panic or call back.

use std::{
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    task::{Context, Poll, Waker},
};

use evenkeel_stream::{ItemError, ParMap, prelude::*};
use evenkeel_task::{Panic, catch_panic};
use evenkeel_testkit::{
    World,
    waker::{counting, panicking, with_hook},
};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

use crate::support::{Gauge, ms, slow};

fn boom(text: &'static str) -> ! {
    resume_unwind(Box::new(text))
}

/// A value whose destructor panics.
#[derive(Debug)]
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            boom(self.0);
        }
    }
}

/// Takes items until the stream ends or panics.
async fn drain<S: Stream + Unpin>(stream: &mut S) -> (Vec<S::Item>, Option<String>) {
    let mut items = Vec::new();
    loop {
        match catch_panic(stream.next()).await {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, None),
            Err(panic) => return (items, panic.message().map(str::to_owned)),
        }
    }
}

/// Sources that panic at their fourth item, at once and while a worker waits for them.
fn panicking_sources() -> [Pin<Box<dyn Stream<Item = u32> + Send>>; 2] {
    let at = |n| if n == 3 { boom("source") } else { n };
    [stream::iter(0..10).map(at).boxed(), slow((0..10).map(|n| (10, n))).map(at).boxed()]
}

#[test]
fn a_panic_of_the_source_ends_the_map() {
    World::run(async |_| {
        for source in panicking_sources() {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let mut map = source.par_map(2, async move |n| {
                let _inside = inner.enter();
                if n == 2 {
                    sleep(ms(1000)).await;
                }
                n
            });
            let (items, panic) = drain(&mut map).await;
            assert_eq!((items, panic.as_deref()), (vec![0, 1], Some("source")));
            // The third item is gone, if it has begun.
            assert_eq!(gauge.now(), 0);
            assert!(gauge.total() <= 3);
            assert_eq!(map.next().now_or_never(), Some(None));
        }
    });
}

#[test]
fn a_panic_of_the_source_comes_behind_the_outcomes_of_a_settled_map() {
    World::run(async |_| {
        for source in panicking_sources() {
            let map = source.map(Ok::<_, ()>).try_par_map(2, async |n| {
                sleep(ms(u64::from(n))).await;
                if n == 1 { Err(()) } else { Ok(n) }
            });
            let mut map = map.settled();
            let (outcomes, panic) = drain(&mut map).await;
            assert!(matches!(&outcomes[..], [Ok(0), Err(ItemError::Error(())), Ok(2)]), "{outcomes:?}");
            assert_eq!(panic.as_deref(), Some("source"));
            assert!(map.next().now_or_never().unwrap().is_none());
        }
    });
}

#[test]
fn a_source_whose_destructor_panics_ends_the_map() {
    World::run(async |_| {
        for gap in [0, 10] {
            let bomb = Bomb("destructor");
            let source = slow((0..3).map(move |n| {
                let _ = &bomb;
                (gap, n)
            }));
            let (items, panic) = drain(&mut source.par_map(1, async |n: u32| n)).await;
            assert_eq!(panic.as_deref(), Some("destructor"));
            assert!(items.is_sorted());
        }
    });
}

/// A function whose clones panic after some.
struct Clones(Arc<Mutex<u32>>);

impl Clone for Clones {
    fn clone(&self) -> Self {
        let mut left = self.0.lock().expect("no panic under it");
        if *left == 0 {
            drop(left);
            boom("clone");
        }
        *left -= 1;
        Self(self.0.clone())
    }
}

#[test]
fn a_function_whose_clone_panics_loses_no_item() {
    World::run(async |_| {
        for clones in 0..20 {
            let f = Clones(Arc::new(Mutex::new(clones)));
            let map = stream::iter(0..10).map(Ok::<_, ()>).try_par_map(3, async move |n: u32| {
                let _f = f;
                yield_now().await;
                Ok::<_, ()>(n)
            });
            let (outcomes, panic) = drain(&mut map.settled()).await;
            assert_eq!((outcomes.len(), panic), (10, None), "{clones} clones");
            let told = |outcome: &Result<u32, ItemError<()>>| match outcome {
                Err(ItemError::Panic(panic)) => assert_eq!(panic.message(), Some("clone")),
                outcome => assert!(outcome.is_ok()),
            };
            outcomes.iter().for_each(told);
        }
    });
}

#[test]
fn destructors_of_results_that_panic_leave_no_worker_behind() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let inner = gauge.clone();
        let mut map = stream::iter(0..8).par_map(8, async move |n| {
            let _inside = inner.enter();
            sleep(ms(if n < 4 { 1 } else { 1000 })).await;
            Bomb("result")
        });
        assert!(map.next().now_or_never().is_none());
        sleep(ms(10)).await;
        std::mem::forget(map.next().await);
        assert_eq!(gauge.now(), 4);
        let panic = Panic::catch(|| drop(map)).unwrap_err();
        assert_eq!(panic.message(), Some("result"));
        yield_now().await;
        assert_eq!(gauge.now(), 0);
    });
}

#[test]
fn items_that_have_not_begun_may_panic_when_they_are_dropped() {
    World::run(async |_| {
        // The first item fails while the second one waits for its key.
        let source = stream::iter([None, Some(Bomb("waiting"))]).map(Ok::<_, ()>);
        let map = source.try_par_map(2, async |bomb: Option<Bomb>| {
            std::mem::forget(bomb);
            sleep(ms(1)).await;
            Err::<(), ()>(())
        });
        let mut map = map.keyed(|_| ());
        let (items, panic) = drain(&mut map).await;
        assert_eq!((items, panic.as_deref()), (vec![], Some("waiting")));
    });
}

#[test]
fn a_size_hint_that_panics_is_no_bound() {
    struct Hint;
    impl Stream for Hint {
        type Item = u32;
        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u32>> {
            Poll::Pending
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            boom("hint")
        }
    }
    World::run(async |_| {
        let mut map = Hint.par_map(2, async |n| n);
        assert_eq!(map.size_hint(), (0, None));
        assert!(map.next().now_or_never().is_none());
        yield_now().await;
        assert_eq!(map.size_hint(), (0, None));
    });
}

fn poll_with<S: Stream + Unpin>(stream: &mut S, waker: &Waker) -> Poll<Option<S::Item>> {
    stream.poll_next_unpin(&mut Context::from_waker(waker))
}

fn naps() -> ParMap<impl Stream<Item = u64> + Send, u64> {
    stream::iter(1..=20).par_map(4, async |n| {
        sleep(ms(n)).await;
        n
    })
}

#[test]
fn a_consumer_whose_waker_panics_gets_all_results() {
    World::run(async |_| {
        let mut map = naps();
        let mut came = Vec::new();
        for _ in 0..500 {
            match poll_with(&mut map, &panicking("waker")) {
                Poll::Ready(Some(n)) => came.push(n),
                Poll::Ready(None) => break,
                Poll::Pending => sleep(ms(1)).await,
            }
        }
        came.sort_unstable();
        assert!(came.into_iter().eq(1..=20));
    });
}

/// A waker that polls the stream wherever it is called, cloned or dropped.
#[test]
fn a_waker_may_poll_the_stream() {
    World::run(async |_| {
        let map = Arc::new(Mutex::new(naps()));
        let came = Arc::new(Mutex::new(Vec::new()));
        let waker = with_hook({
            let (map, came) = (map.clone(), came.clone());
            move |_| {
                // It is called within a poll as well, where the stream is in use.
                if let Ok(mut map) = map.try_lock() {
                    while let Poll::Ready(Some(n)) = poll_with(&mut *map, Waker::noop()) {
                        came.lock().unwrap().push(n);
                    }
                }
            }
        });
        for _ in 0..200 {
            let polled = poll_with(&mut *map.lock().unwrap(), &waker);
            if let Poll::Ready(Some(n)) = polled {
                came.lock().unwrap().push(n);
            }
            sleep(ms(1)).await;
        }
        let mut came = std::mem::take(&mut *came.lock().unwrap());
        came.sort_unstable();
        assert!(came.into_iter().eq(1..=20));
    });
}

#[test]
fn the_consumer_is_woken_for_results_and_not_for_each_of_them() {
    World::run(async |_| {
        let (waker, wakes) = counting();
        let mut map = stream::iter(0..100).par_map(100, async |_| sleep(ms(10)).await);
        assert!(poll_with(&mut map, &waker).is_pending());
        sleep(ms(20)).await;
        assert_eq!(wakes.load(SeqCst), 1);
        for _ in 0..100 {
            assert!(poll_with(&mut map, &waker).is_ready());
        }
        assert_eq!(poll_with(&mut map, &waker), Poll::Ready(None));
        assert_eq!(wakes.load(SeqCst), 1);
    });
}

/// A stream that moves to another task wakes the one that polled it last.
#[test]
fn the_last_waker_counts() {
    World::run(async |_| {
        let (first, wakes_of_first) = counting();
        let (second, wakes_of_second) = counting();
        let mut map = stream::iter([10]).par_map(1, async |time| sleep(ms(time)).await);
        assert!(poll_with(&mut map, &first).is_pending());
        assert!(poll_with(&mut map, &second).is_pending());
        sleep(ms(20)).await;
        assert_eq!((wakes_of_first.load(SeqCst), wakes_of_second.load(SeqCst)), (0, 1));
    });
}

#[test]
fn a_map_that_always_has_results_lets_other_tasks_run() {
    World::run(async |_| {
        let turn = tokio::spawn(async {});
        let errors = stream::repeat(Err::<(), _>(())).try_par_map(4, async |()| Ok::<(), ()>(()));
        let mut outcomes = errors.settled();
        let mut taken = 0;
        while !turn.is_finished() {
            assert!(taken < 10_000, "the consumer keeps the thread");
            assert!(outcomes.next().await.is_some());
            taken += 1;
        }
    });
}

/// A source that drops its map in the middle of a poll, while a worker waits for it, is not asked for more.
#[test]
fn a_source_is_not_emptied_for_a_map_that_is_gone() {
    World::run(async |_| {
        for is_error in [false, true] {
            let map = Arc::new(Mutex::new(None));
            let polls = Arc::new(Mutex::new(0));
            let source = stream::poll_fn({
                let (map, polls) = (map.clone(), polls.clone());
                move |cx| {
                    let mut polls = polls.lock().unwrap();
                    *polls += 1;
                    match *polls {
                        1 | 2 => cx.waker().wake_by_ref(),
                        3 => drop(map.lock().unwrap().take()),
                        _ => {}
                    }
                    let item = if is_error { Err(()) } else { Ok(()) };
                    if *polls < 3 { Poll::Pending } else { Poll::Ready(Some(item)) }
                }
            });
            let tried = source.try_par_map(100_000, async |()| Ok::<_, ()>(()));
            *map.lock().unwrap() = Some(tried.settled().boxed());
            assert!(poll_with(map.lock().unwrap().as_mut().unwrap(), Waker::noop()).is_pending());
            sleep(ms(1)).await;
            assert!(map.lock().unwrap().is_none());
            assert_eq!(*polls.lock().unwrap(), 3);
        }
    });
}

#[test]
fn a_function_whose_clone_panics_while_the_source_is_pending_ends_the_map() {
    World::run(async |_| {
        let map = || {
            let f = Clones(Arc::new(Mutex::new(0)));
            stream::pending::<Result<u32, ()>>().try_par_map(3, async move |n: u32| {
                let _f = f;
                Ok::<_, ()>(n)
            })
        };
        let ended = timeout(ms(10), drain(&mut map())).await.expect("no hang");
        assert_eq!((ended.0.len(), ended.1.as_deref()), (0, Some("clone")));
        let ended = timeout(ms(10), drain(&mut map().settled())).await.expect("no hang");
        assert_eq!((ended.0.len(), ended.1.as_deref()), (0, Some("clone")));
    });
}
