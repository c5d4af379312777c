//! Pages at known offsets, side by side.

use evenkeel_stream::{PageError, PaginateOffset, paginate_offset};
use evenkeel_testkit::{World, assert_took, cancel};
use futures::{FutureExt as _, Stream as _, StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::support::{Gauge, ms};

/// A source of this many rows, ten at a time; each fetch takes ten milliseconds, and one fails at `broken`.
fn rows(fetching: Gauge, rows: u64, broken: u64) -> PaginateOffset<u64> {
    paginate_offset(10, async move |offset: u64| {
        let _inside = fetching.enter();
        sleep(ms(10)).await;
        if offset == broken {
            return Err("gone");
        }
        Ok((offset..(offset + 10).min(rows.max(offset))).collect())
    })
}

#[test]
fn items_come_in_order_and_pages_side_by_side() {
    World::run(async |_| {
        for (concurrent, time) in [(1, 110), (2, 60), (5, 30), (11, 10), (1000, 10), (usize::MAX, 10)] {
            let fetching = Gauge::default();
            let items = rows(fetching.clone(), 100, u64::MAX).concurrent(concurrent);
            let items: Vec<_> = assert_took!(items.try_collect(), ms(time)).unwrap();
            assert!(items.into_iter().eq(0..100));
            assert!(fetching.most() <= concurrent);
            sleep(ms(1)).await;
            assert_eq!(fetching.now(), 0);
        }
    });
}

#[test]
fn an_error_comes_after_the_items_before_it_and_none_behind_the_end_counts() {
    World::run(async |_| {
        for concurrent in [1, 3, 20] {
            let mut items: Vec<_> = rows(Gauge::default(), 100, 30).concurrent(concurrent).collect().await;
            assert!(matches!(items.pop(), Some(Err(PageError::Fetch { page: 4, .. }))));
            assert!(items.into_iter().map(Result::unwrap).eq(0..30));
            // The rows end at 100: the pages behind are not asked about.
            let items = rows(Gauge::default(), 100, 110).concurrent(concurrent);
            assert_eq!(items.try_collect::<Vec<_>>().await.unwrap().len(), 100);
        }
    });
}

#[test]
fn a_source_that_returns_smaller_pages_loses_nothing_in_silence() {
    World::run(async |_| {
        for concurrent in [1, 4] {
            // Asked for 500, it returns 100.
            let items =
                paginate_offset(500, async |offset: u64| Ok::<_, &str>((offset..offset + 100).collect()));
            let mut items: Vec<_> = items.concurrent(concurrent).collect().await;
            let error = items.pop().unwrap().unwrap_err();
            assert!(matches!(error, PageError::Short { page: 1, .. }));
            assert_eq!(error.to_string(), "page 1 has fewer items than asked for, and more pages follow");
            assert_eq!(items.len(), 100);
        }
    });
}

#[test]
fn a_source_that_returns_larger_pages_returns_no_item_twice() {
    World::run(async |_| {
        for concurrent in [1, 4] {
            // Asked for 50, it returns 100; or it knows no offset, and returns all it has each time.
            for knows_offset in [true, false] {
                let items = paginate_offset(50, async move |offset: u64| {
                    let first = if knows_offset { offset } else { 0 };
                    Ok::<_, &str>((first..first + 100).collect())
                });
                let mut items: Vec<_> = items.concurrent(concurrent).collect().await;
                let error = items.pop().unwrap().unwrap_err();
                assert!(matches!(error, PageError::Long { page: 1, .. }));
                assert_eq!(error.to_string(), "page 1 has more items than asked for, and more pages follow");
                assert!(items.into_iter().map(Result::unwrap).eq(0..100));
            }
            // All at once, and nothing behind it, is complete.
            let all = paginate_offset(50, async |offset: u64| {
                Ok::<_, &str>(if offset == 0 { (0..100).collect() } else { vec![] })
            });
            assert_eq!(all.concurrent(concurrent).try_collect::<Vec<u64>>().await.unwrap().len(), 100);
        }
    });
}

#[test]
fn more_pages_than_the_maximum_are_an_error_behind_their_items() {
    World::run(async |_| {
        let pages = |max| rows(Gauge::default(), 30, u64::MAX).concurrent(2).max_pages(max);
        assert_eq!(pages(3).try_collect::<Vec<_>>().await.unwrap().len(), 30);
        let mut items: Vec<_> = pages(2).collect().await;
        assert!(matches!(items.pop(), Some(Err(PageError::MaxPages { page: 2, .. }))));
        assert_eq!(items.len(), 20);
    });
}

#[test]
fn it_is_lazy_and_fused_and_stays_within_its_window() {
    World::run(async |_| {
        let fetching = Gauge::default();
        let mut items = rows(fetching.clone(), 100, u64::MAX).concurrent(3);
        sleep(ms(100)).await;
        assert_eq!((fetching.total(), items.size_hint()), (0, (0, None)));
        items.next().await.unwrap().unwrap();
        sleep(ms(100)).await;
        // The first page was taken, and three more are fetched.
        assert_eq!(fetching.total(), 4);
        assert_eq!(items.size_hint(), (9, None));
        assert_eq!(items.by_ref().count().await, 99);
        assert!(items.next().await.is_none());
        assert_eq!(items.size_hint(), (0, Some(0)));
    });
}

#[test]
fn a_panic_comes_after_the_items_before_it_and_none_behind_the_end_counts() {
    World::run(async |_| {
        // Page 3 panics at once, and page 2 is the end unless there are more rows.
        let rows = |rows: u64| {
            let items = paginate_offset(10, async move |offset: u64| {
                if offset == 30 {
                    std::panic::resume_unwind(Box::new("boom"));
                }
                sleep(ms(10)).await;
                Ok::<_, PageError>((offset..(offset + 10).min(rows.max(offset))).collect())
            });
            items.concurrent(4)
        };
        assert!(rows(20).try_collect::<Vec<_>>().await.unwrap().into_iter().eq(0..20));
        let mut items = rows(99);
        for n in 0..30 {
            assert_eq!(items.next().await.unwrap().unwrap(), n);
        }
        let panic = evenkeel_task::catch_panic(items.next()).await.unwrap_err();
        assert_eq!(panic.message(), Some("boom"));
        assert!(items.next().await.is_none());
    });
}

#[test]
fn a_panic_of_the_fetch_resumes_at_the_consumer() {
    World::run(async |_| {
        let mut items = paginate_offset(1, async |offset: u64| {
            if offset == 1 {
                std::panic::resume_unwind(Box::new("boom"));
            }
            Ok::<_, &str>(vec![offset])
        });
        assert_eq!(items.next().await.unwrap().unwrap(), 0);
        let panic = evenkeel_task::catch_panic(items.next()).await.unwrap_err();
        assert_eq!(panic.message(), Some("boom"));
        assert!(items.next().await.is_none());
    });
}

#[test]
fn the_last_offset_of_all_is_the_end() {
    World::run(async |_| {
        let half = u64::MAX / 2 + 1;
        let items = paginate_offset(half, async |offset: u64| Ok::<_, &str>(vec![offset]));
        // Short, as no page has so many items; with another page behind it.
        let items: Vec<_> = items.collect().await;
        assert_eq!(items.len(), 2);
        let items = paginate_offset(u64::MAX, async |offset: u64| {
            Ok::<_, &str>(if offset == 0 { vec![1] } else { vec![] })
        });
        assert_eq!(items.try_collect::<Vec<_>>().await.unwrap(), [1]);
    });
}

#[test]
fn it_can_be_dropped_at_every_await() {
    let cuts = cancel::every_point(
        async || Gauge::default(),
        async |gauge| assert_eq!(rows(gauge, 45, u64::MAX).concurrent(2).count().await, 45),
        async |gauge| assert_eq!(gauge.now(), 0),
    );
    assert!(cuts.points() > 2);
}

#[test]
fn dropping_the_future_of_an_item_loses_nothing() {
    World::run(async |_| {
        let mut items = rows(Gauge::default(), 25, u64::MAX).concurrent(2);
        let mut came = Vec::new();
        loop {
            match items.next().now_or_never() {
                Some(Some(item)) => came.push(item.unwrap()),
                Some(None) => break,
                None => sleep(ms(3)).await,
            }
        }
        assert!(came.into_iter().eq(0..25));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_comes_once((count, size, concurrent) in (0..200_u64, 1..20_u64, 1..8_usize)) {
        World::run(async |_| {
            let items = paginate_offset(size, async move |offset: u64| {
                sleep(ms(offset * 7 % 11)).await;
                Ok::<_, &str>((offset.min(count)..(offset + size).min(count)).collect())
            });
            let items: Vec<u64> = items.concurrent(concurrent).try_collect().await.unwrap();
            assert!(items.into_iter().eq(0..count));
        });
    }
}

#[test]
#[should_panic = "the size of a page must not be zero"]
fn pages_without_items_panic() {
    drop(paginate_offset(0, async |_| Ok::<Vec<u8>, &str>(vec![])));
}

#[test]
#[should_panic = "the number of pages at a time must not be zero"]
fn no_pages_at_a_time_panic() {
    drop(rows(Gauge::default(), 1, 1).concurrent(0));
}
