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

#[test]
fn a_cursor_that_never_changes_ends_at_an_empty_page() {
    World::run(async |_| {
        let scroll = |last: u64| {
            let asked = Gauge::default();
            paginate(None, async move |id: Option<&str>| {
                drop(asked.enter());
                assert_eq!(id.is_some(), asked.total() > 1);
                let page = asked.total() as u64;
                Ok::<_, &str>((if page > last { vec![] } else { vec![page; 2] }, Some(Some("the id"))))
            })
            .until_empty()
        };
        assert_eq!(scroll(3).try_collect::<Vec<_>>().await.unwrap(), [1, 1, 2, 2, 3, 3]);
        assert!(scroll(0).try_collect::<Vec<_>>().await.unwrap().is_empty());
        assert_eq!(scroll(500).prefetch(3).try_collect::<Vec<_>>().await.unwrap().len(), 1000);
        // Without it, the second page is a circle; with a bound, a scroll without an end has one.
        let mut items: Vec<_> = scroll(u64::MAX).max_pages(4).collect().await;
        assert!(matches!(items.pop(), Some(Err(PageError::MaxPages { page: 4, .. }))));
        assert_eq!(items.len(), 8);
    });
}

#[test]
fn a_cursor_that_was_sent_can_be_the_end() {
    World::run(async |_| {
        let pages = |back: usize| {
            paginate(0, async move |page| {
                Ok::<_, &str>((vec![page], Some(if page == 4 { back } else { page + 1 })))
            })
            .until_same_cursor()
        };
        assert_eq!(pages(4).try_collect::<Vec<_>>().await.unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(pages(4).prefetch(2).try_collect::<Vec<_>>().await.unwrap(), [0, 1, 2, 3, 4]);
        assert!(matches!(pages(0).try_collect::<Vec<_>>().await, Err(PageError::Loop { page: 5, .. })));
        assert!(matches!(pages(2).try_collect::<Vec<_>>().await, Err(PageError::Loop { .. })));
    });
}

#[test]
fn more_pages_than_the_maximum_are_an_error_behind_their_items() {
    World::run(async |_| {
        let pages = |max| {
            paginate(1, async |page: u64| Ok::<_, &str>((vec![page], (page < 5).then_some(page + 1))))
                .max_pages(max)
        };
        assert_eq!(pages(5).try_collect::<Vec<_>>().await.unwrap(), [1, 2, 3, 4, 5]);
        for max in 1..5 {
            let mut items: Vec<_> = pages(max).collect().await;
            let error = items.pop().unwrap().unwrap_err();
            assert_eq!(error.to_string(), format!("page {max} is not the last one, and no more are fetched"));
            assert_eq!(items.len() as u64, max);
        }
    });
}

#[test]
#[should_panic = "the number of pages must not be zero"]
fn a_maximum_of_no_pages_panics() {
    drop(paginate(1, async |_: u8| Ok::<_, &str>((vec![1], None))).max_pages(0));
}

#[test]
#[should_panic = "the end must be chosen before the stream is polled"]
fn the_end_cannot_be_chosen_half_way() {
    World::run(async |_| {
        let mut items = paginate(1, |page| std::future::ready(Ok::<_, &str>((vec![page], Some(page + 1)))));
        items.next().await.unwrap().unwrap();
        drop(items.until_empty());
    });
}

#[test]
fn empty_pages_without_end_let_other_tasks_run() {
    World::run(async |_| {
        let turn = tokio::spawn(async {});
        let pages =
            paginate(0, async |page: u64| Ok::<_, PageError>((Vec::<u8>::new(), page.checked_add(1))));
        let mut items = pages.max_pages(1_000_000);
        assert!(items.next().now_or_never().is_none());
        turn.await.unwrap();
    });
}
