//! The promises on several threads, without a clock.

use std::{
    error::Error as _,
    future::poll_fn,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll, Waker},
};

use evenkeel_stream::{ItemError, paginate, prelude::*};
use evenkeel_task::{Panic, catch_panic};
use evenkeel_testkit::waker::{WakerEvent, counting, with_hook};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::{Barrier, Semaphore},
    task::yield_now,
};

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

/// Runs as many items as there are threads, each of which blocks its thread until all are there.
async fn all_at_the_same_time(threads: usize) {
    for _ in 0..20 {
        let all = Arc::new(std::sync::Barrier::new(threads));
        let waits = stream::iter(0..threads).par_map(2 * threads, async move |_| all.wait().is_leader());
        let leaders: Vec<bool> = waits.collect().await;
        assert_eq!(leaders.into_iter().filter(|is_leader| *is_leader).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn items_that_block_their_threads_get_all_of_them() {
    all_at_the_same_time(4).await;
    tokio::spawn(all_at_the_same_time(4)).await.unwrap();
}

/// A task that is woken runs next on its thread; if each result woke the consumer, it would take them one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_consumer_is_woken_once_for_several_results() {
    async fn waits(ordered: bool) -> u32 {
        let map = stream::iter(0..10_000).par_map(100, async |_| yield_now().await);
        let mut map = if ordered { map.ordered() } else { map };
        let mut waits = 0;
        while let Some(()) = poll_fn(|cx| {
            let polled = map.poll_next_unpin(cx);
            waits += u32::from(polled.is_pending());
            polled
        })
        .await
        {}
        waits
    }
    for ordered in [false, true] {
        let waits = tokio::spawn(waits(ordered)).await.unwrap();
        assert!(waits <= 1000, "{waits}");
    }
}

/// The consumer blocks its thread, which is none of the runtime's; the items go on, and start, on those.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_may_block_its_thread() {
    let (started, on_start) = std::sync::mpsc::channel();
    // A source that is pending at first: a worker waits for it.
    let source = stream::iter(0..6).then(async |n| {
        yield_now().await;
        n
    });
    let mut map = Box::pin(source).par_map(3, async move |n: u32| {
        started.send(n).unwrap();
        yield_now().await;
        n
    });
    let taken = usize::from(poll_next(&mut map).is_ready());
    // All items that there is room for.
    let mut first: Vec<_> = (0..3).map(|_| on_start.recv().unwrap()).collect();
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2]);
    assert_eq!(taken + map.count().await, 6);
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

/// A runtime that is driven only by `block_on`, and then shut down.
fn one() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Collects a stream whose runtime is shut down after some of its items have ended.
async fn after_the_runtime<S: Stream + Unpin>(mut stream: S) -> (S, Option<Panic>, Vec<S::Item>) {
    let gone = one();
    let inside = gone.enter();
    assert!(poll_next(&mut stream).is_pending());
    drop(inside);
    std::thread::spawn(move || gone.block_on(tokio::task::yield_now())).join().expect("no panic");
    let mut items = Vec::new();
    loop {
        match catch_panic(stream.next()).await {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (stream, None, items),
            Err(panic) => return (stream, Some(panic), items),
        }
    }
}

fn poll_next<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    stream.poll_next_unpin(&mut Context::from_waker(Waker::noop()))
}

/// Some items end, the others are dropped with their runtime: none is lost, and none is mistaken for the end of the stream.
#[test]
fn items_that_are_cut_with_their_runtime_say_so() {
    const SAYS: &str = "the runtime of the item was shut down before the item ended";
    async fn ends_if_even(n: u32) -> u32 {
        if n % 2 == 1 {
            std::future::pending::<()>().await;
        }
        n
    }
    let source = || futures::stream::iter(0..3);
    let tried = || source().map(Ok::<_, ()>).try_par_map(3, async |n| Ok(ends_if_even(n).await));
    let told = |panic: Option<Panic>| panic.unwrap().message().map(str::to_owned);
    one().block_on(async {
        let (mut stream, panic, items) = after_the_runtime(source().par_map(3, ends_if_even)).await;
        assert_eq!((told(panic).as_deref(), items), (Some(SAYS), vec![0, 2]));
        assert!(stream.next().await.is_none());
        let (_, panic, items) = after_the_runtime(source().par_map(3, ends_if_even).ordered()).await;
        assert_eq!((told(panic).as_deref(), items), (Some(SAYS), vec![0]));
        let (_, panic, items) = after_the_runtime(tried()).await;
        assert_eq!((told(panic).as_deref(), items), (Some(SAYS), vec![Ok(0), Ok(2)]));

        let shown = |outcome: Result<u32, ItemError<()>>| match outcome {
            Ok(n) => n.to_string(),
            Err(ItemError::Panic(panic)) => panic.message().unwrap().to_owned(),
            Err(other) => panic!("{other:?}"),
        };
        let (_, panic, items) = after_the_runtime(tried().settled()).await;
        assert!(panic.is_none());
        assert_eq!(items.into_iter().map(shown).collect::<Vec<_>>(), ["0", "2", SAYS]);
        let (_, panic, items) = after_the_runtime(tried().ordered().settled()).await;
        assert!(panic.is_none());
        assert_eq!(items.into_iter().map(shown).collect::<Vec<_>>(), ["0", SAYS, "2"]);

        // A fetch is under way and does not end.
        let pages = paginate(1, async |page: u32| {
            if page == 3 {
                std::future::pending::<()>().await;
            }
            Ok::<_, std::io::Error>((vec![page], Some(page + 1)))
        });
        let (mut stream, panic, items) = after_the_runtime(pages.prefetch(5)).await;
        assert!(panic.is_none());
        let items: Vec<_> = items
            .into_iter()
            .map(|item| item.map_err(|error| format!("{error}: {}", error.source().unwrap())))
            .collect();
        let error = "page 3 could not be fetched: the runtime of the fetch was shut down".to_owned();
        assert_eq!(items, [Ok(1), Ok(2), Err(error)]);
        assert!(stream.next().await.is_none());
    });
}

/// A runtime that is gone drops a task inside the call that spawns it.
#[test]
fn items_that_begin_on_a_runtime_that_is_gone_say_so() {
    let gone = one();
    let handle = gone.handle().clone();
    drop(gone);
    let _inside = handle.enter();
    let items = futures::stream::iter(0..10).map(Ok::<_, ()>).try_par_map(3, async |n: u32| Ok::<_, ()>(n));
    let outcomes: Vec<_> = futures::executor::block_on(items.ordered().settled().collect());
    assert_eq!(outcomes.len(), 10);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(ItemError::Panic(_)))));
}

#[test]
fn a_source_that_is_pending_on_a_runtime_that_is_gone_ends_the_map() {
    let gone = one();
    let handle = gone.handle().clone();
    drop(gone);
    let _inside = handle.enter();
    let mut map = stream::pending::<u32>().par_map(3, async |n| n);
    let (waker, wakes) = counting();
    let panic = loop {
        let polled = Panic::catch(|| map.poll_next_unpin(&mut Context::from_waker(&waker)));
        match polled {
            Ok(polled) => assert!(polled.is_pending() && wakes.load(SeqCst) == 1, "it is asked for ever"),
            Err(panic) => break panic,
        }
    };
    assert_eq!(panic.message(), Some("the runtime of the item was shut down before the item ended"));
    assert!(matches!(poll_next(&mut map), Poll::Ready(None)));
}

/// A worker that waits for the source is dropped with its runtime: the source goes on in the next one.
#[test]
fn a_source_outlives_the_runtime_that_waited_for_it() {
    let (items, source) = futures::channel::mpsc::unbounded();
    let mut stream = source.par_map(3, async |n: u32| n);
    let first = one();
    let inside = first.enter();
    assert!(poll_next(&mut stream).is_pending());
    drop(inside);
    items.unbounded_send(1).unwrap();
    first.block_on(async {
        assert_eq!(stream.next().await, Some(1));
        assert!(poll_next(&mut stream).is_pending());
        yield_now().await;
    });
    drop(first);
    items.unbounded_send(2).unwrap();
    drop(items);
    let rest: Vec<_> = one().block_on(stream.collect());
    assert_eq!(rest, [2]);
}

/// Outside a runtime a poll panics, and loses nothing.
#[test]
fn without_a_runtime_a_poll_panics_and_loses_nothing() {
    let mut stream = futures::stream::iter(0..5).par_map(2, async |n: u32| n);
    for _ in 0..3 {
        let panic = Panic::catch(|| poll_next(&mut stream)).unwrap_err();
        assert_eq!(panic.message(), Some("a parallel map must be polled within a tokio runtime"));
    }
    let mut rest: Vec<_> = one().block_on(stream.collect());
    rest.sort_unstable();
    assert_eq!(rest, [0, 1, 2, 3, 4]);
}

/// An item that blocks each thread of the runtime does not keep earlier results from a consumer on a thread of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_outside_of_blocked_threads_gets_results() {
    for limit in [4, 8, 64] {
        let got = Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
        let inner = got.clone();
        let mut map = stream::iter(0..64).par_map(limit, async move |n| {
            // As many items as there are threads are let through for each result that the consumer has got.
            let (count, changed) = &*inner;
            drop(changed.wait_while(count.lock().unwrap(), |count| n >= *count + 2).unwrap());
        });
        while map.next().await.is_some() {
            *got.0.lock().unwrap() += 1;
            got.1.notify_all();
        }
        assert_eq!(*got.0.lock().unwrap(), 64);
    }
}

/// Workers that were called for items, and are dropped with their runtime, are replaced on that of the consumer.
#[test]
fn items_whose_workers_are_gone_go_to_others() {
    let gates: Arc<Vec<_>> = Arc::new((0..6).map(|_| Semaphore::new(0)).collect());
    let inner = gates.clone();
    let mut map = stream::iter(0..6).par_map(3, async move |n: usize| {
        match n {
            1..=3 => inner[n].acquire().await.unwrap().forget(),
            // Item 3 waits for it.
            4 => inner[3].add_permits(1),
            _ => {}
        }
        n
    });
    let (old, new) = (one(), one());
    old.block_on(async {
        assert!(poll_next(&mut map).is_pending());
        yield_now().await;
    });
    // Two workers are busy on the old runtime; a third one begins on the new one.
    new.block_on(async {
        assert_eq!(map.next().await, Some(0));
        yield_now().await;
    });
    gates[1].add_permits(1);
    gates[2].add_permits(1);
    old.block_on(yield_now());
    let (waker, wakes) = counting();
    new.block_on(async {
        assert_eq!((map.next().await, map.next().await), (Some(1), Some(2)));
        assert!(map.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    });
    // A worker that is parked there was called for item 4.
    drop(old);
    assert_eq!(wakes.load(SeqCst), 1);
    let mut rest: Vec<_> = new.block_on(map.collect());
    rest.sort_unstable();
    assert_eq!(rest, [3, 4, 5]);
}

/// A waker that is dropped waits for an item, whose worker takes the lock of the map.
#[test]
fn a_waker_of_the_consumer_is_dropped_without_the_lock() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let gate = Arc::new(Semaphore::new(0));
    let inner = gate.clone();
    let ((began, begun), (woke, woken)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    // Item 2 begins when item 1 has ended.
    let map = stream::iter(0..3).par_map(3, async move |n| match n {
        0 => {}
        1 => inner.acquire().await.unwrap().forget(),
        _ => began.send(()).unwrap(),
    });
    let mut map = map.keyed(|n| *n > 0);
    let (has_begun, looked) = std::sync::mpsc::channel();
    let begun = std::sync::Mutex::new(Some(begun));
    let consumer = std::thread::current().id();
    let waker = with_hook(move |event| match event {
        WakerEvent::Wake => woke.send(()).unwrap(),
        WakerEvent::Drop if std::thread::current().id() == consumer => {
            let Some(begun) = begun.lock().unwrap().take() else { return };
            gate.add_permits(1);
            has_begun.send(begun.recv_timeout(std::time::Duration::from_secs(5)).is_ok()).unwrap();
        }
        _ => {}
    });
    let _inside = runtime.enter();
    if map.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending() {
        woken.recv().unwrap();
        assert!(map.poll_next_unpin(&mut Context::from_waker(&waker)).is_ready());
    }
    assert!(looked.recv().unwrap());
}
