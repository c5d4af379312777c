//! Wakers and values that call back, or panic, while they are called.

use std::{
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex, atomic::Ordering},
    task::{Context, Waker},
};

use evenkeel_task::{Group, Panic, Stop, Stopping, first_ok, group};
use evenkeel_testkit::{
    World,
    waker::{WakerEvent, counting, panicking, with_hook},
};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use crate::{failures, poll, throw};

fn poll_with<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> bool {
    future.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
}

/// A handle of a group that is used outside of its body.
#[derive(Default)]
struct Kept(Mutex<Option<Group>>);

impl Kept {
    fn put(&self, g: &Group) {
        *self.0.lock().unwrap() = Some(g.clone());
    }

    fn get(&self) -> Option<Group> {
        self.0.lock().unwrap().clone()
    }
}

/// Each use of a signal that a callback may make.
fn use_all_of(stop: &Stop) {
    let _ = (stop.is_draining(), stop.is_aborting(), format!("{stop:?}"));
    let child = stop.child();
    for signal in [stop, &child] {
        for mut waits in [Box::pin(signal.draining()), Box::pin(signal.aborting())] {
            let _ = poll(&mut waits);
        }
    }
    child.abort("a child");
}

#[test]
fn a_waker_may_use_the_signal_that_it_waits_for() {
    type Wait = fn(&Stop) -> Stopping;
    for (wait, above) in [(Stop::draining as Wait, false), (Stop::aborting, false), (Stop::draining, true)] {
        let parent = Stop::new();
        let stop = parent.child();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let waker = with_hook({
            let (stop, seen) = (stop.clone(), Arc::clone(&seen));
            move |event| {
                use_all_of(&stop);
                seen.lock().unwrap().push(event);
            }
        });
        let mut waits: Vec<_> = (0..3).map(|_| Box::pin(wait(&stop))).collect();
        for waits in &mut waits {
            assert!(!poll_with(waits, &waker));
            // Replaces the stored waker.
            assert!(!poll_with(waits, &with_hook(|_| ())));
            assert!(!poll_with(waits, &waker));
        }
        drop(waits.pop());
        if above { &parent } else { &stop }.abort("enough");
        assert!(waits.iter_mut().all(|waits| poll(waits).is_ready()));
        drop((waits, waker));
        let seen = seen.lock().unwrap();
        let count = |event| seen.iter().filter(|seen| **seen == event).count();
        let counts = [WakerEvent::Clone, WakerEvent::Wake, WakerEvent::Drop].map(count);
        assert_eq!(counts, [6, 2, 7]);
    }
}

#[test]
fn a_waker_that_panics_costs_no_other_its_wake() {
    type Send = fn(&Stop);
    let sends: [Send; 2] = [|stop| stop.drain("enough"), |stop| stop.abort("enough")];
    for send in sends {
        let stop = Stop::new();
        let (good, wakes) = counting();
        let (bad, child) = (panicking("sore"), stop.child());
        // Wakers that panic stand before, between and behind the others, at the signal and at its child.
        let mut waits: Vec<_> = (0..5000).map(|_| Box::pin(stop.draining())).collect();
        waits.extend((0..10).map(|_| Box::pin(child.draining())));
        for (n, waits) in waits.iter_mut().enumerate() {
            assert!(!poll_with(waits, if n % 2 == 0 { &bad } else { &good }));
        }
        let panic = Panic::catch(|| send(&stop)).unwrap_err();
        assert_eq!(panic.message(), Some("sore"));
        assert_eq!(wakes.load(Ordering::Relaxed), 2505);
    }
}

#[test]
fn a_token_from_outside_wakes_all_though_a_waker_panics() {
    let token = CancellationToken::new();
    let stop = Stop::from(token.clone());
    let (good, wakes) = counting();
    let mut waits: Vec<_> = (0..4).map(|_| Box::pin(stop.draining())).collect();
    for (waits, waker) in waits.iter_mut().zip([&good, &panicking("sore"), &panicking("sore"), &good]) {
        assert!(!poll_with(waits, waker));
    }
    token.cancel();
    assert_eq!(wakes.load(Ordering::Relaxed), 2);
}

#[test]
fn a_waiter_may_outlive_the_signal_whose_parent_is_given() {
    let parent = Stop::new();
    let mut waits = [Box::pin(parent.child().draining()), Box::pin(parent.child().child().draining())];
    let (waker, wakes) = counting();
    assert!(waits.iter_mut().all(|waits| !poll_with(waits, &waker)));
    parent.drain("enough");
    assert_eq!(wakes.load(Ordering::Relaxed), 2);
    assert!(waits.iter_mut().all(|waits| poll_with(waits, &waker)));
}

#[test]
fn the_waker_of_a_group_may_use_the_group() {
    World::run(async |_| {
        let kept = Arc::new(Kept::default());
        let waker = with_hook({
            let kept = Arc::clone(&kept);
            move |_| {
                let Some(g) = kept.get() else { return };
                let _ = (g.live(), format!("{g:?}"));
                g.spawn(async {});
                drop(g.try_spawn(async {}));
                use_all_of(&g.stop().child());
            }
        });
        let mut run = Box::pin(group(async |g| {
            kept.put(&g);
            g.task("bad").spawn(async {
                yield_now().await;
                crate::err("bad")
            });
            g.spawn(pending::<()>());
            Ok(())
        }));
        // The group waits for its tasks, with one waker after another.
        for _ in 0..3 {
            assert!(!poll_with(&mut run, &waker));
            assert!(!poll_with(&mut run, &waker.clone()));
        }
        while !poll_with(&mut run, &waker.clone()) {
            yield_now().await;
        }
    });
}

#[test]
fn the_last_task_of_a_group_may_end_in_the_clone_of_its_waker() {
    // The runtime is dropped in the middle of a poll, and the tasks with it.
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    World::run(async move |_| {
        let handle = other.handle().clone();
        let other = Mutex::new(Some(other));
        let waker = with_hook(move |event| {
            if event == WakerEvent::Clone {
                let other = other.lock().unwrap().take();
                other.into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
            }
        });
        let mut run = Box::pin(group(async |g| {
            let _inside = handle.enter();
            g.task("there").spawn(pending::<()>());
            Ok(())
        }));
        let mut polls = 0;
        let error = loop {
            match run.as_mut().poll(&mut Context::from_waker(&waker)) {
                std::task::Poll::Ready(output) => break output.unwrap_err(),
                std::task::Poll::Pending => polls += 1,
            }
            assert!(polls < 10);
            yield_now().await;
        };
        assert_eq!(failures(&error), ["there: runtime shut down"]);
    });
}

#[test]
fn a_waker_that_panics_keeps_no_task_of_a_group_from_its_abort() {
    World::run(async |_| {
        let kept = Kept::default();
        let mut run = Box::pin(group(async |g| {
            kept.put(&g);
            (0..3000).for_each(|_| g.spawn(pending::<()>()));
            g.task("bad").spawn(async { crate::err("bad") });
            pending::<Result<(), evenkeel_task::BoxError>>().await
        }));
        assert!(!poll_with(&mut run, &panicking("sore")));
        let g = kept.get().unwrap();
        let mut waits: Vec<_> = (0..3).map(|_| Box::pin(g.stop().draining())).collect();
        let (good, wakes) = counting();
        for (waits, waker) in waits.iter_mut().zip([&good, &panicking("sore"), &good]) {
            assert!(!poll_with(waits, waker));
        }
        // The waker of the group panics in the task that fails; the waker of a waiter panics in the group.
        yield_now().await;
        let panic = evenkeel_task::catch_panic(run).await.unwrap_err();
        assert_eq!(panic.message(), Some("sore"));
        assert_eq!((wakes.load(Ordering::Relaxed), g.live().len()), (2, 0));
    });
}

#[test]
fn a_group_that_is_dropped_tells_all_though_wakers_panic() {
    World::run(async |_| {
        let kept = Kept::default();
        let mut run = Box::pin(group(async |g| {
            kept.put(&g);
            g.spawn(pending::<()>());
            pending::<Result<(), evenkeel_task::BoxError>>().await
        }));
        assert!(!poll_with(&mut run, &panicking("sore")));
        yield_now().await;
        let g = kept.get().unwrap();
        let (good, wakes) = counting();
        let mut waits = [g.stop().draining(), g.stop().aborting(), g.stop().aborting()].map(Box::pin);
        for (waits, waker) in waits.iter_mut().zip([&panicking("sore"), &panicking("sore"), &good]) {
            assert!(!poll_with(waits, waker));
        }
        assert_eq!(Panic::catch(|| drop(run)).unwrap_err().message(), Some("sore"));
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        while !g.live().is_empty() {
            yield_now().await;
        }
        // No second panic starts while the first one unwinds.
        let mut run = Box::pin(group(async |g| {
            kept.put(&g);
            pending::<Result<(), evenkeel_task::BoxError>>().await
        }));
        assert!(!poll_with(&mut run, &good));
        let mut waits = Box::pin(kept.get().unwrap().stop().draining());
        assert!(!poll_with(&mut waits, &panicking("sore")));
        let panic = Panic::catch(move || {
            let _run = run;
            throw("first");
        });
        assert_eq!(panic.unwrap_err().message(), Some("first"));
    });
}

#[test]
fn a_waker_that_panics_costs_a_race_neither_its_winner_nor_its_end() {
    World::run(async |_| {
        let entrant = async |wins: bool| {
            yield_now().await;
            if wins { Ok(7) } else { pending::<Result<u8, &str>>().await }
        };
        let mut run = Box::pin(first_ok([entrant(false), entrant(true), entrant(false)]));
        assert!(!poll_with(&mut run, &panicking("sore")));
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(evenkeel_task::catch_panic(run).await.unwrap(), Ok(7));
    });
}
