//! The stop signal in two steps.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    task::{Context, Poll, Wake},
};

use evenkeel_task::{BoxError, Stop, Stopping, group};
use evenkeel_testkit::{World, assert_took, waker::panicking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{failures, ms, poll};

fn seen(stop: &Stop) -> (bool, bool, Option<&str>) {
    (stop.is_draining(), stop.is_aborting(), stop.reason())
}

#[test]
fn an_abort_implies_a_drain_and_the_first_reason_stays() {
    let stop = Stop::new();
    assert_eq!(seen(&stop), (false, false, None));
    stop.drain("one");
    assert_eq!(seen(&stop), (true, false, Some("one")));
    stop.drain("two");
    stop.abort("three");
    assert_eq!(seen(&stop), (true, true, Some("one")));
    let stop = Stop::default();
    stop.abort("at once");
    stop.drain("too late");
    assert_eq!(seen(&stop), (true, true, Some("at once")));
}

#[test]
fn the_first_child_of_a_signal_that_was_sent_is_sent() {
    let parent = Stop::new();
    parent.drain("before");
    assert_eq!(seen(&parent.child()), (true, false, Some("before")));
    parent.abort("later");
    assert_eq!(seen(&parent.child().child()), (true, true, Some("before")));
}

#[test]
fn children_follow_and_do_not_lead() {
    let parent = Stop::new();
    let child = parent.child();
    let grandchild = child.child();
    child.drain("child");
    assert_eq!(seen(&parent), (false, false, None));
    assert_eq!(seen(&grandchild), (true, false, Some("child")));
    parent.abort("parent");
    assert_eq!(seen(&child), (true, true, Some("child")));
    assert_eq!(seen(&parent.child()), (true, true, Some("parent")));
    // Its own reason comes after the inherited one.
    let late = parent.child();
    late.abort("late");
    assert_eq!(late.reason(), Some("parent"));
    // A child outlives the handle of its parent.
    drop((parent, child));
    assert_eq!(seen(&grandchild), (true, true, Some("child")));
}

#[test]
fn a_token_drains_and_is_not_touched() {
    let token = CancellationToken::new();
    let stop = Stop::from(token.clone());
    stop.abort("mine");
    assert!(!token.is_cancelled());
    let stop = Stop::from(token.clone());
    token.cancel();
    assert_eq!(seen(&stop), (true, false, None));
    stop.abort("after the token");
    assert_eq!(seen(&stop), (true, true, Some("after the token")));
}

#[test]
fn the_futures_end_with_their_step_and_see_the_reason() {
    World::run(async |_| {
        let stop = Stop::new();
        let watch = |what: Stopping| {
            let stop = stop.clone();
            tokio::spawn(evenkeel_testkit::took(async move {
                what.await;
                stop.reason().map(str::to_owned)
            }))
        };
        let (soft, hard) = (watch(stop.draining()), watch(stop.aborting()));
        sleep(ms(10)).await;
        stop.drain("soft");
        sleep(ms(10)).await;
        stop.abort("hard");
        assert_eq!(soft.await.unwrap(), (Some("soft".to_owned()), ms(10)));
        assert_eq!(hard.await.unwrap(), (Some("soft".to_owned()), ms(20)));
        assert_took!(stop.draining(), ms(0));
        assert_took!(stop.aborting(), ms(0));
    });
}

#[test]
fn a_future_runs_until_the_drain() {
    World::run(async |_| {
        let stop = Stop::new();
        assert_took!(
            async {
                assert_eq!(
                    stop.run_until_draining(async {
                        sleep(ms(5)).await;
                        7
                    })
                    .await,
                    Some(7)
                )
            },
            ms(5)
        );
        let later = stop.clone();
        tokio::spawn(async move {
            sleep(ms(10)).await;
            later.drain("enough");
        });
        let alive = Arc::new(());
        let within = alive.clone();
        let run = stop.run_until_draining(async move {
            sleep(ms(1000)).await;
            drop(within);
        });
        assert_eq!(assert_took!(run, ms(10)), None);
        assert_eq!(Arc::strong_count(&alive), 1, "the future was not dropped");
    });
}

#[test]
fn nothing_begins_behind_the_drain() {
    World::run(async |_| {
        // Both at the same moment, and the drain before: the future is not polled.
        let stop = Stop::new();
        let mut polls = 0;
        let counts = poll_fn(|_| {
            polls += 1;
            if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
        });
        let mut run = Box::pin(stop.run_until_draining(counts));
        assert!(poll(&mut run).is_pending());
        stop.drain("now");
        assert_eq!(poll(&mut run), Poll::Ready(None));
        assert_eq!(stop.run_until_draining(async { unreachable!("it was polled") }).await, None::<()>);

        let stop = Stop::new();
        stop.child().abort("only the child");
        assert_eq!(stop.run_until_draining(async { 1 }).await, Some(1));
        let child = stop.child();
        stop.abort("an abort is a drain, too");
        assert_eq!(child.run_until_draining(async { 1 }).await, None);
    });
}

#[test]
fn whoever_is_woken_sees_all_of_the_signal() {
    /// Reads the signal at the moment of the wake.
    struct Witness(Stop, Sender<String>);
    impl Wake for Witness {
        fn wake(self: Arc<Self>) {
            self.1.send(format!("{:?}", seen(&self.0))).unwrap();
        }
    }
    type Step = (fn(&Stop) -> Stopping, fn(&Stop), &'static str);
    let steps: [Step; 2] = [
        (Stop::draining, |stop| stop.drain("why"), r#"(true, false, Some("why"))"#),
        (Stop::aborting, |stop| stop.abort("why"), r#"(true, true, Some("why"))"#),
    ];
    for (wait, give, expected) in steps {
        let stop = Stop::new();
        let (tell, told) = channel();
        let witness = Arc::new(Witness(stop.clone(), tell)).into();
        assert!(pin!(wait(&stop)).poll(&mut Context::from_waker(&witness)).is_pending());
        let mut waits = pin!(wait(&stop));
        assert!(waits.as_mut().poll(&mut Context::from_waker(&witness)).is_pending());
        give(&stop);
        assert_eq!(
            told.try_iter().collect::<Vec<_>>(),
            [expected],
            "one wake: a waiter that was dropped has none"
        );
    }
}

#[test]
fn a_drain_is_for_the_tasks_of_a_group_and_an_abort_for_the_group() {
    World::run(async |_| {
        let drained = group(async |g| {
            let stop = g.stop().clone();
            g.spawn(async move {
                stop.draining().await;
                sleep(ms(10)).await;
            });
            sleep(ms(5)).await;
            g.stop().drain("enough");
            Ok(())
        });
        assert_took!(drained, ms(15)).unwrap();

        let line = line!() + 1;
        let aborted = group(async |g| {
            let stop = g.stop().clone();
            g.spawn(sleep(ms(1000)));
            g.spawn(async move {
                sleep(ms(5)).await;
                stop.abort("too much");
            });
            Ok(())
        });
        let error = assert_took!(aborted, ms(5)).unwrap_err();
        assert_eq!(failures(&error), ["group: aborted: too much"]);
        assert_eq!(error.first().place.line(), line);
        assert_eq!((error.finished(), error.cancelled()), (1, 1));
    });
}

#[test]
fn an_abort_ends_the_body_too() {
    World::run(async |_| {
        let aborted = group(async |g| {
            let stop = g.stop().clone();
            g.spawn(async move { stop.abort("now") });
            std::future::pending::<Result<(), BoxError>>().await
        });
        let error = assert_took!(aborted, ms(0)).unwrap_err();
        assert_eq!(failures(&error), ["group: aborted: now"]);
    });
}

#[test]
fn a_group_gives_its_own_signal_only_when_it_fails() {
    World::run(async |_| {
        let fine = group(async |g| Ok(g.stop().clone())).await.unwrap();
        assert_eq!(seen(&fine), (false, false, None));

        let mut stop = None;
        let failed = group(async |g| {
            stop = Some(g.stop().clone());
            g.task("bad").spawn(async { crate::err("no") });
            Ok(())
        });
        failed.await.unwrap_err();
        let stop = stop.unwrap();
        assert!(stop.is_aborting());
        assert!(stop.reason().unwrap().starts_with("task 'bad' ("), "{stop:?}");
    });
}

#[test]
fn a_chain_of_signals_may_be_of_any_length() {
    let root = Stop::new();
    let mut last = root.clone();
    for _ in 0..100_000 {
        last = last.child();
    }
    assert_eq!(seen(&last), (false, false, None));
    root.abort("root");
    assert_eq!(seen(&last), (true, true, Some("root")));
    drop((root, last));
}

#[test]
fn a_waker_that_panics_does_not_keep_an_abort_from_being_given() {
    let stop = Stop::new();
    let (child, mut draining, mut aborting) =
        (stop.child(), Box::pin(stop.draining()), Box::pin(stop.aborting()));
    assert!(draining.as_mut().poll(&mut Context::from_waker(&panicking("sore"))).is_pending());
    let panic = evenkeel_task::Panic::catch(|| stop.abort("enough")).unwrap_err();
    assert_eq!(panic.message(), Some("sore"));
    assert_eq!((seen(&stop), child.is_aborting()), ((true, true, Some("enough")), true));
    assert!(poll(&mut aborting).is_ready());
}
