//! Pages fetched ahead.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};

use evenkeel_stream::{PageError, paginate};
use evenkeel_testkit::{World, assert_took};
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;
use tokio::{task::yield_now, time::sleep};

use crate::support::{Gauge, ms, timed, wait};

/// Ten pages of two items, a second for each page.
fn pages(fetching: Gauge, ahead: usize) -> impl Stream<Item = Result<usize, PageError>> + Unpin {
    paginate(1, async move |page| {
        let _inside = fetching.enter();
        sleep(Duration::from_secs(1)).await;
        Ok::<_, &str>((vec![page; 2], (page < 10).then_some(page + 1)))
    })
    .prefetch(ahead)
}

#[test]
fn the_fetch_goes_on_while_the_consumer_works() {
    World::run(async |_| {
        let consumer = async |_| {
            sleep(ms(500)).await;
            Ok(())
        };
        let items = pages(Gauge::default(), 1);
        // Ten pages in ten seconds, and the work at the last one.
        assert_took!(items.try_for_each(consumer), Duration::from_secs(11)).unwrap();
    });
}

#[test]
fn no_more_pages_are_ahead_than_asked_for() {
    World::run(async |_| {
        for ahead in 1..4 {
            let fetching = Gauge::default();
            let mut items = pages(fetching.clone(), ahead);
            sleep(Duration::from_secs(60)).await;
            assert_eq!(fetching.total(), 0);
            for item in 0..20 {
                let page = item / 2 + 1;
                assert_eq!(items.next().await.unwrap().unwrap(), page);
                sleep(Duration::from_secs(60)).await;
                assert_eq!((fetching.total(), fetching.most()), ((page + ahead).min(10), 1));
            }
            assert!(items.next().await.is_none());
        }
    });
}

#[test]
fn a_page_being_fetched_is_one_ahead() {
    World::run(async |_| {
        let fetching = Gauge::default();
        let mut items = pages(fetching.clone(), 2);
        assert!(items.next().now_or_never().is_none());
        sleep(Duration::from_millis(2500)).await;
        // Nothing was taken: two are fetched, and the third has to wait for room.
        assert_eq!((fetching.total(), fetching.now()), (2, 0));
    });
}

#[test]
fn dropping_the_stream_aborts_the_fetch() {
    World::run(async |_| {
        let fetching = Gauge::default();
        let mut items = pages(fetching.clone(), 3);
        items.next().await.unwrap().unwrap();
        yield_now().await;
        assert_eq!((fetching.now(), fetching.total()), (1, 2));
        drop(items);
        yield_now().await;
        assert_eq!(fetching.now(), 0);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(fetching.total(), 2);
    });
}

#[test]
fn a_panic_of_the_fetch_resumes_at_the_consumer_after_the_items_before_it() {
    World::run(async |_| {
        let mut items = paginate(1, async |page| {
            if page == 2 {
                resume_unwind(Box::new("boom"));
            }
            Ok::<_, &str>((vec![page], Some(page + 1)))
        })
        .prefetch(4);
        assert_eq!(items.next().await.unwrap().unwrap(), 1);
        let payload = AssertUnwindSafe(items.next()).catch_unwind().await.unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "boom");
        assert!(items.next().await.is_none());
    });
}

#[test]
#[should_panic = "the number of pages ahead must not be zero"]
fn none_ahead_panics() {
    drop(pages(Gauge::default(), 0));
}

#[test]
#[should_panic = "prefetch must be chosen before the stream is polled"]
fn prefetch_cannot_begin_half_way() {
    World::run(async |_| {
        let mut items = paginate(1, |page| std::future::ready(Ok::<_, &str>((vec![page], Some(page + 1)))));
        items.next().await.unwrap().unwrap();
        drop(items.prefetch(1));
    });
}

#[test]
#[should_panic = "prefetch must be chosen before the stream is polled"]
fn prefetch_cannot_begin_within_the_first_fetch() {
    World::run(async |_| {
        let mut items = paginate(1, |_| std::future::pending::<Result<(Vec<u8>, _), &str>>());
        assert!(items.next().now_or_never().is_none());
        drop(items.prefetch(1));
    });
}

#[test]
fn any_number_may_be_ahead() {
    World::run(async |_| {
        assert_eq!(pages(Gauge::default(), usize::MAX).count().await, 20);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same items and errors as without prefetch; each page as early as the model allows, where page `k` is fetched when
    /// `k - 1` is there and `k - ahead` was taken.
    #[test]
    fn what_comes_and_when(
        ahead in 1_usize..4,
        script in prop::collection::vec((0..4_usize, 0..20_u64), 1..12),
        work in 0..15_u64,
        end in prop::sample::select(vec!["none", "error", "loop"]),
    ) {
        let (mut taken, mut there, mut expected) = (Vec::<u64>::new(), 0, Vec::new());
        let mut clock = 0;
        for (index, (items, time)) in script.iter().enumerate() {
            let room = if index < ahead { 0 } else { taken[index - ahead] };
            there = room.max(there) + time;
            clock = there.max(clock);
            taken.push(clock);
            let last = index + 1 == script.len();
            let items = if last && end == "error" { 0 } else { *items };
            for _ in 0..items {
                expected.push((clock, Some(index)));
                clock += work;
            }
            if last && end != "none" {
                expected.push((clock, None));
            }
        }
        World::run(async |_| {
            let items = paginate(0, async move |index: usize| {
                let (items, time) = script[index];
                wait(ms(time)).await;
                match (index + 1 == script.len(), end) {
                    (false, _) => Ok((vec![index; items], Some(index + 1))),
                    (true, "none") => Ok((vec![index; items], None)),
                    (true, "loop") => Ok((vec![index; items], Some(index))),
                    _ => Err("gone"),
                }
            });
            let mut came = Vec::new();
            let start = tokio::time::Instant::now();
            let mut items = items.prefetch(ahead);
            while let Some(item) = items.next().await {
                came.push((u64::try_from(start.elapsed().as_millis()).unwrap(), item.ok()));
                wait(ms(work)).await;
            }
            assert_eq!(came, expected);
        });
    }
}

#[test]
fn without_prefetch_there_is_no_task() {
    World::run(async |_| {
        let pages = paginate(1, async |page| {
            sleep(ms(10)).await;
            Ok::<_, &str>((vec![tokio::task::try_id().is_some()], (page < 2).then_some(page + 1)))
        });
        let came = timed(pages.map(Result::unwrap)).await;
        assert_eq!(came, [(10, false), (20, false)]);
    });
}
