//! A panic of an item resumes at the consumer.

use std::panic::{AssertUnwindSafe, resume_unwind};

use evenkeel_stream::prelude::*;
use evenkeel_testkit::World;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use crate::support::{Gauge, ms};

/// Returns the next item, or the text of the panic.
async fn next<S: Stream + Unpin>(stream: &mut S) -> Result<Option<S::Item>, &'static str> {
    let caught = AssertUnwindSafe(stream.next()).catch_unwind().await;
    caught.map_err(|payload| *payload.downcast::<&'static str>().expect("a panic of this test"))
}

/// A panic that does not print.
fn boom(text: &'static str) -> ! {
    resume_unwind(Box::new(text))
}

/// A destructor that panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        boom("bomb");
    }
}

#[test]
fn it_comes_at_its_instant_when_the_others_are_gone() {
    for ordered in [false, true] {
        World::run(async |_| {
            let gauge = Gauge::default();
            let inner = gauge.clone();
            let map = stream::iter(0..).par_map(4, async move |n| {
                let _inside = inner.enter();
                sleep(ms(if n == 3 { 10 } else { 20 })).await;
                if n == 3 {
                    boom("three")
                }
            });
            let mut map = if ordered { map.ordered() } else { map };
            let start = Instant::now();
            assert_eq!(next(&mut map).await, Err("three"));
            assert_eq!(start.elapsed(), ms(10));
            assert_eq!((gauge.now(), gauge.total()), (0, 4));
            assert_eq!(next(&mut map).await, Ok(None));
        });
    }
}

#[test]
fn a_panic_before_the_first_await_or_in_the_function_itself_is_one_of_the_item() {
    World::run(async |_| {
        let mut map = stream::iter([1]).par_map(1, |n| {
            if n == 1 {
                boom("function");
            }
            async {}
        });
        assert_eq!(next(&mut map).await, Err("function"));
        let map = stream::iter([Ok::<_, ()>(1)]).try_par_map(1, |n| {
            if n == 1 {
                boom("function");
            }
            async { Ok::<(), ()>(()) }
        });
        assert!(map.settled().next().await.unwrap().is_err());
    });
}

#[test]
fn it_ends_a_map_of_results_too() {
    World::run(async |_| {
        let map = stream::iter(0..).map(Ok::<u64, ()>).try_par_map(2, async |n| {
            if n == 2 {
                boom("two");
            }
            Ok::<_, ()>(n)
        });
        let mut map = map.ordered();
        assert_eq!(next(&mut map).await, Ok(Some(Ok(0))));
        assert_eq!(next(&mut map).await, Ok(Some(Ok(1))));
        assert_eq!(next(&mut map).await, Err("two"));
        assert_eq!(next(&mut map).await, Ok(None));
    });
}

#[test]
fn it_does_not_vanish_behind_an_error() {
    World::run(async |_| {
        // Both happen in one instant; in either order the panic is the one that is reported.
        for panics in [0, 1] {
            let mut map = stream::iter(0..2).map(Ok::<_, ()>).try_par_map(2, async move |n| {
                sleep(ms(1)).await;
                if n == panics { boom("worse") } else { Err::<(), ()>(()) }
            });
            assert_eq!(next(&mut map).await, Err("worse"));
            assert_eq!(next(&mut map).await, Ok(None));
        }
    });
}

#[test]
fn the_panic_of_an_aborted_destructor_is_told_as_well() {
    World::run(async |_| {
        let mut map = stream::iter(0..2).map(Ok::<_, ()>).try_par_map(2, async |n| {
            let _bomb = if n == 0 { Some(Bomb) } else { None };
            sleep(ms(if n == 0 { 1000 } else { 1 })).await;
            Err::<(), ()>(())
        });
        assert_eq!(next(&mut map).await, Err("bomb"));
        assert_eq!(next(&mut map).await, Ok(None));
    });
}

#[test]
fn the_first_of_two_panics_is_the_one() {
    World::run(async |_| {
        let mut map = stream::iter([(2, "second"), (1, "first")]).par_map(2, async |(time, text)| {
            sleep(ms(time)).await;
            boom(text);
        });
        assert_eq!(next(&mut map).await.map(|_: Option<()>| ()), Err("first"));
    });
}
