//! Pages as a stream of items.

use std::error::Error as _;

use evenkeel_stream::{PageError, paginate};
use evenkeel_testkit::{World, assert_took};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::support::{Gauge, ms};

#[test]
fn the_items_come_page_after_page_in_order() {
    World::run(async |_| {
        let pages = paginate("a", async |cursor| {
            sleep(ms(100)).await;
            Ok::<_, &str>(match cursor {
                "a" => (vec![1, 2], Some("b")),
                "b" => (vec![], Some("c")),
                "c" => (vec![3], None),
                _ => unreachable!(),
            })
        });
        assert_eq!(assert_took!(pages.try_collect::<Vec<_>>(), ms(300)).unwrap(), [1, 2, 3]);
    });
}

#[test]
fn a_page_is_fetched_when_an_item_of_it_is_wanted_and_no_longer() {
    World::run(async |_| {
        let fetching = Gauge::default();
        let inner = fetching.clone();
        let mut pages = Box::pin(paginate(1, async move |page| {
            let _inside = inner.enter();
            sleep(ms(10)).await;
            Ok::<_, &str>((vec![page; 2], Some(page + 1)))
        }));
        assert_eq!(fetching.total(), 0);
        for expected in [1, 1, 2, 2] {
            assert_eq!(pages.next().await.unwrap().unwrap(), expected);
            sleep(ms(100)).await;
            assert_eq!((fetching.now(), fetching.total()), (0, expected));
        }
        assert!(pages.next().now_or_never().is_none());
        assert_eq!((fetching.now(), fetching.total()), (1, 3));
        drop(pages);
        assert_eq!(fetching.now(), 0);
    });
}

#[test]
fn an_error_comes_after_the_items_before_it_and_is_the_last() {
    World::run(async |_| {
        let asked = Gauge::default();
        let inner = asked.clone();
        let pages = paginate(1, async move |page| {
            let _inside = inner.enter();
            if page == 3 { Err("gone") } else { Ok((vec![page; 2], Some(page + 1))) }
        });
        let mut items: Vec<_> = pages.collect().await;
        let error = items.pop().unwrap().unwrap_err();
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 1, 2, 2]);
        assert!(matches!(error, PageError::Fetch { page: 3, .. }));
        assert_eq!(error.to_string(), "page 3 could not be fetched");
        assert_eq!(error.source().unwrap().to_string(), "gone");
        assert_eq!(asked.total(), 3);
    });
}

#[test]
fn a_retry_within_the_fetch_asks_the_same_cursor() {
    World::run(async |_| {
        let asked = Gauge::default();
        let inner = asked.clone();
        let pages = paginate(1, async move |page| {
            while {
                drop(inner.enter());
                inner.total() % 3 != 0
            } {
                sleep(ms(100)).await;
            }
            Ok::<_, &str>((vec![page], (page < 2).then_some(page + 1)))
        });
        assert_eq!(assert_took!(pages.try_collect::<Vec<_>>(), ms(400)).unwrap(), [1, 2]);
    });
}

/// Returns the items of pages whose cursors are their numbers, each leading to the next and the last one to `back`.
async fn walk(pages: usize, back: Option<usize>) -> (Vec<usize>, Option<PageError>) {
    let stream = paginate(0, async move |page| {
        Ok::<_, &str>((vec![page], if page + 1 == pages { back } else { Some(page + 1) }))
    });
    // No circle may need more pages.
    let stream = stream.take(3 * pages);
    let (items, errors): (Vec<_>, Vec<_>) =
        stream.collect::<Vec<_>>().await.into_iter().partition(Result::is_ok);
    (items.into_iter().flatten().collect(), errors.into_iter().find_map(Result::err))
}

#[test]
fn a_page_that_leads_to_itself_or_to_the_first_one_ends_the_stream_at_once() {
    World::run(async |_| {
        for pages in 1..40 {
            for back in [pages - 1, 0] {
                let (items, error) = walk(pages, Some(back)).await;
                assert!(items.into_iter().eq(0..pages));
                let error = error.unwrap();
                assert!(matches!(error, PageError::Loop { page, .. } if page == pages as u64));
                assert!(error.source().is_none());
            }
        }
        let (_, error) = walk(3, Some(2)).await;
        assert_eq!(error.unwrap().to_string(), "page 3 leads back to a page that was fetched before");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every circle is found in time, and cursors without a circle are not mistaken for one.
    #[test]
    fn no_pages_run_in_circles((pages, back) in (1_usize..200).prop_flat_map(|pages| (Just(pages), prop::option::of(0..pages)))) {
        World::run(async |_| {
            let (items, error) = walk(pages, back).await;
            let Some(back) = back else {
                assert!(items.into_iter().eq(0..pages) && error.is_none());
                return;
            };
            let circle = pages - back;
            let at = |index| if index < pages { index } else { back + (index - back) % circle };
            assert!(items.iter().enumerate().all(|(index, &item)| item == at(index)));
            // A circle to the first or the latest page is found at once, any other at the mark, a power of two less one.
            let mark = circle.max(back + 1).next_power_of_two() - 1;
            let fetches = if back == 0 || circle == 1 { pages } else { mark + circle };
            assert_eq!(items.len(), fetches);
            assert!(fetches < 3 * pages);
            assert!(matches!(error, Some(PageError::Loop { page, .. }) if page == fetches as u64));
        });
    }
}
