//! The contract of every stream: fused, a true size hint, no poll of a source that has ended, `Send`, `Debug`.

use std::{fmt::Debug, future::poll_fn, pin::pin, task::Context};

use evenkeel_stream::{Batch, paginate, prelude::*};
use evenkeel_testkit::World;
use futures::{Stream, StreamExt as _, stream};
use proptest::prelude::*;

use crate::support::{ms, strict, wait};

/// Runs a stream to its end and checks the size hint before each poll against the number of items that followed.
async fn check<S: Stream + Send + Debug>(stream: S) -> usize {
    let mut stream = pin!(stream);
    assert!(!format!("{stream:?}").is_empty());
    let mut count = 0;
    let mut hints = Vec::new();
    while {
        let poll = |cx: &mut Context<'_>| {
            hints.push((count, stream.size_hint()));
            stream.as_mut().poll_next(cx)
        };
        poll_fn(poll).await.is_some()
    } {
        count += 1;
    }
    for (taken, (lower, upper)) in hints {
        let left = count - taken;
        assert!(lower <= left, "{lower} or more after {taken} of {count}");
        assert!(upper.is_none_or(|upper| left <= upper), "{upper:?} or fewer after {taken} of {count}");
    }
    for _ in 0..3 {
        assert!(stream.next().await.is_none());
    }
    assert_eq!(stream.size_hint().0, 0);
    count
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_streams_are_well_behaved(
        limit in 1_usize..6,
        times in prop::collection::vec(0..10_u64, 0..20),
        error in prop::option::of(0_usize..20),
    ) {
        World::run(async |_| {
            let source = || strict(stream::iter(times.clone()));
            let work = async |time| {
                wait(ms(time)).await;
                time
            };
            assert_eq!(check(source().par_map(limit, work)).await, times.len());
            assert_eq!(check(source().par_map(limit, work).ordered()).await, times.len());
            assert_eq!(check(source().batch(Batch::items(limit))).await, times.len().div_ceil(limit));
            check(source().then(work).boxed().debug().batch(Batch::items(limit).within(ms(7)))).await;

            let items = times.iter().enumerate().map(|(index, time)| if Some(index) == error { Err(()) } else { Ok(*time) });
            let source = || strict(stream::iter(items.clone().collect::<Vec<_>>()));
            let work = async |time| {
                wait(ms(time)).await;
                if time == 5 { Err(()) } else { Ok(time) }
            };
            check(source().try_par_map(limit, work)).await;
            check(source().try_par_map(limit, work).ordered()).await;
            assert_eq!(check(source().try_par_map(limit, work).settled()).await, times.len());
            assert_eq!(check(source().try_par_map(limit, work).ordered().settled()).await, times.len());

            // The last page may have no next cursor, or lead back to itself.
            let pages = |times: Vec<u64>| {
                paginate(0, async move |page: usize| {
                    let Some(&time) = times.get(page) else { return Ok((vec![], None)) };
                    wait(ms(time % 3)).await;
                    let next = if page + 1 == times.len() && limit % 2 == 0 { page } else { page + 1 };
                    if Some(page) == error { Err("gone") } else { Ok((vec![page; times.len() % 4], Some(next))) }
                })
            };
            check(pages(times.clone())).await;
            check(pages(times.clone()).prefetch(limit)).await;
        });
    }
}

/// A source whose size hint is right and has an upper bound.
#[test]
fn an_exact_source_gives_an_exact_hint() {
    World::run(async |_| {
        let mut map = stream::iter(0..10).par_map(3, async |n| n);
        assert_eq!(map.size_hint(), (10, Some(10)));
        map.next().await;
        assert_eq!(map.size_hint(), (9, Some(9)));
        let map = stream::iter(0..10).map(Ok::<_, ()>).try_par_map(3, async |n| Ok::<_, ()>(n));
        assert_eq!(map.size_hint(), (1, Some(10)));
        assert_eq!(map.settled().size_hint(), (10, Some(10)));
        assert_eq!(stream::iter(0..10).batch(Batch::items(4)).size_hint(), (3, Some(10)));
        let mut page = paginate(0, async |_| Ok::<_, &str>((vec![1, 2, 3], None)));
        assert_eq!(page.size_hint(), (0, None));
        page.next().await;
        assert_eq!(page.size_hint(), (2, Some(2)));
    });
}

/// A boxed stream with the `Debug` that [`check`] asks for.
trait DebugExt: Stream + Sized {
    fn debug(self) -> Shown<Self> {
        Shown(self)
    }
}

impl<S: Stream> DebugExt for S {}

struct Shown<S>(S);

impl<S> Debug for Shown<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl<S: Stream + Unpin> Stream for Shown<S> {
    type Item = S::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        self.0.poll_next_unpin(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
