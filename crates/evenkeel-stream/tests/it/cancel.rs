//! Dropping: the stream aborts what it owns, the future of one `next()` loses nothing.

use std::{cell::RefCell, fmt::Debug, pin::pin, rc::Rc};

use evenkeel_stream::{Batch, paginate, prelude::*};
use evenkeel_testkit::{World, cancel};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::{sync::Mutex, task::yield_now, time::sleep};

use crate::support::{Gauge, ms, slow};

const TIMES: [u64; 12] = [5, 1, 9, 2, 7, 3, 8, 4, 6, 5, 1, 2];

async fn work(gauge: Gauge, time: u64) -> Result<u64, &'static str> {
    let _inside = gauge.enter();
    sleep(ms(time)).await;
    if time == 13 { Err("unlucky") } else { Ok(time) }
}

fn source() -> impl Stream<Item = u64> {
    slow(TIMES.into_iter().map(|time| (time % 3, time)))
}

/// The same with an error half way, and one at the end.
fn results() -> impl Stream<Item = Result<u64, &'static str>> {
    slow(TIMES.into_iter().chain([13, 20, 20]).map(|time| (time % 3, Ok(time))))
}

fn pages(gauge: Gauge) -> evenkeel_stream::Paginate<u64, u64> {
    paginate(0, async move |page| {
        work(gauge, page).await.map(|page| (vec![page; 3], (page < 11).then_some(page + 1)))
    })
}

/// Drops the stream after each number of polls, one each millisecond, and asserts that nothing of it is left.
fn cut_everywhere<S: Stream>(make: impl Fn(Gauge) -> S) {
    for polls in 0.. {
        let ended = World::run(async |_| {
            let gauge = Gauge::default();
            let mut ended = false;
            {
                let mut stream = pin!(make(gauge.clone()));
                for _ in 0..polls {
                    ended = matches!(stream.next().now_or_never(), Some(None));
                    sleep(ms(1)).await;
                }
            }
            let started = gauge.total();
            yield_now().await;
            assert_eq!(gauge.now(), 0, "left after {polls} polls");
            sleep(ms(1000)).await;
            assert_eq!(gauge.total(), started, "started after {polls} polls");
            ended
        });
        if ended {
            return assert!(polls > 10);
        }
    }
}

#[test]
fn a_dropped_stream_leaves_nothing_behind_after_one_turn_of_the_scheduler() {
    cut_everywhere(|gauge| source().par_map(4, async move |time| work(gauge, time).await));
    cut_everywhere(|gauge| source().par_map(4, async move |time| work(gauge, time).await).ordered());
    cut_everywhere(|gauge| results().try_par_map(4, async move |time| work(gauge, time).await));
    cut_everywhere(|gauge| results().try_par_map(4, async move |time| work(gauge, time).await).settled());
    cut_everywhere(pages);
    cut_everywhere(|gauge| pages(gauge).prefetch(2));
}

fn show(item: impl Debug) -> String {
    format!("{item:?}")
}

/// Drops a consumer at each of its awaits, and goes on with the stream: the items must be the same as without a drop.
fn resume_everywhere<S: Stream<Item: Debug> + Unpin + 'static>(make: impl Fn(Gauge) -> S) {
    let mut expected: Vec<String> = World::run(async |_| make(Gauge::default()).map(show).collect().await);
    expected.sort_unstable();
    let cuts = cancel::every_point(
        async || {
            let gauge = Gauge::default();
            Rc::new((Mutex::new(make(gauge.clone())), RefCell::new(Vec::new()), gauge))
        },
        async |state| {
            let mut stream = state.0.lock().await;
            while let Some(item) = stream.next().await {
                state.1.borrow_mut().push(show(item));
            }
        },
        async |state| {
            let mut came = state.1.take();
            let mut stream = state.0.lock().await;
            while let Some(item) = stream.next().await {
                came.push(show(item));
            }
            came.sort_unstable();
            assert_eq!(came, expected);
            assert_eq!(state.2.now(), 0);
        },
    );
    assert!(cuts.points() > 3);
}

#[test]
fn dropping_the_future_of_an_item_loses_nothing() {
    resume_everywhere(|gauge| Box::pin(source()).par_map(4, async move |time| work(gauge, time).await));
    resume_everywhere(|gauge| {
        Box::pin(source()).par_map(4, async move |time| work(gauge, time).await).ordered()
    });
    resume_everywhere(|gauge| {
        Box::pin(results()).try_par_map(4, async move |time| work(gauge, time).await).settled()
    });
    resume_everywhere(pages);
    resume_everywhere(|gauge| pages(gauge).prefetch(2));
    // The vectors depend on the times of the polls, so only their items are compared.
    resume_everywhere(|_| Box::pin(source()).batch(Batch::items(3)));
    resume_everywhere(|_| {
        Box::pin(source()).batch(Batch::items(9).within(ms(4))).map(stream::iter).flatten()
    });
}

#[test]
fn a_stream_that_is_dropped_with_its_consumer_leaves_no_task() {
    let cut = |run: &dyn Fn(Gauge) -> futures::future::LocalBoxFuture<'static, ()>| {
        let cuts =
            cancel::every_point(async || Gauge::default(), run, async |gauge| assert_eq!(gauge.now(), 0));
        assert!(cuts.points() > 3);
    };
    cut(&|gauge| {
        source().par_map(4, async move |time| work(gauge, time).await).for_each(async |_| {}).boxed_local()
    });
    cut(&|gauge| {
        let map = results().try_par_map(4, async move |time| work(gauge, time).await).ordered();
        map.for_each(async |_| {}).boxed_local()
    });
    cut(&|gauge| pages(gauge).for_each(async |_| {}).boxed_local());
    cut(&|gauge| pages(gauge).prefetch(2).for_each(async |_| {}).boxed_local());
    cut(&|gauge| {
        let map = source().par_map(4, async move |time| work(gauge, time).await);
        map.batch(Batch::items(3).within(ms(2))).for_each(async |_| {}).boxed_local()
    });
}
