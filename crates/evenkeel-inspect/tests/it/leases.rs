//! The records of who has the objects of a pool: those in a burst, and those that are given to other tasks.

use std::{future::poll_fn, task::Poll, time::Duration};

use evenkeel_inspect::{FindingKind, TaskId};
use evenkeel_testkit::World;
use tokio::{
    spawn,
    time::{advance, sleep},
};

use crate::units::{look, of_kind, pool, secs};

const US: Duration = Duration::from_micros(1);

/// From the end of a burst to a time at which timers fire, which are of milliseconds.
const REST: Duration = Duration::from_micros(997);

/// One that is taken in so quick a succession that the clock was not read has the time of the first look. A timeline looks as well.
#[test]
fn in_a_burst_a_look_gives_the_time() {
    World::builder().without_timeline().run(async |_| {
        let orders = pool("orders", 2);
        let first = orders.get().await;
        advance(US).await;
        drop(first);
        for _ in 0..2 {
            let _short = orders.get().await;
            advance(US).await;
        }
        let in_burst = orders.get().await;
        advance(REST).await;
        sleep(secs(60)).await;
        let holder = of_kind(&look(), "pool").holders[0].clone();
        assert_eq!((holder.held_for, holder.at_least), (secs(0), true));
        assert_eq!(holder.task, Some(TaskId::current()));
        sleep(secs(5)).await;
        let holder = of_kind(&look(), "pool").holders[0].clone();
        assert_eq!((holder.held_for, holder.at_least), (secs(5), true), "the time of the first look");
        drop(in_burst);
        let _timed = orders.get().await;
        sleep(secs(3)).await;
        let holder = of_kind(&look(), "pool").holders[0].clone();
        assert_eq!((holder.held_for, holder.at_least), (secs(3), false));
    });
}

/// A task takes objects for others, at two places: it is in no circle once each place is known for that.
#[test]
fn places_that_give_objects_away() {
    World::run(async |_| {
        let orders = pool("orders", 1);
        let dispatch = spawn({
            let orders = orders.clone();
            async move {
                for _ in 0..10 {
                    let lease = orders.get().await.unwrap();
                    spawn(async move {
                        sleep(secs(2)).await;
                        drop(lease);
                    });
                    let lease = orders.get().await.unwrap();
                    spawn(async move {
                        sleep(secs(2)).await;
                        drop(lease);
                    });
                }
            }
        });
        // One of each.
        sleep(secs(4)).await;
        while !dispatch.is_finished() {
            sleep(secs(1)).await;
            let dump = look();
            assert!(dump.findings.is_empty(), "{dump}");
            let orders = of_kind(&dump, "pool");
            assert!(orders.holders.iter().all(|holder| holder.task.is_none()), "{dump}");
        }
        // Another place of the same pool is not known for that.
        let kept = orders.get().await.unwrap();
        let waits = orders.get();
        tokio::pin!(waits);
        assert!(tokio::time::timeout(secs(1), &mut waits).await.is_err());
        assert_eq!(look().findings[0].kind, FindingKind::SelfWait);
        drop(kept);
    });
}

/// A checkout that goes to another task after its first poll waits there: the task that began it, and keeps an object, is in no circle.
#[test]
fn a_checkout_that_moves_counts_for_the_task_that_polls_it() {
    World::run(async |world| {
        let orders = pool("orders", 1);
        let kept = orders.get().await.unwrap();
        let mut waits = Box::pin({
            let orders = orders.clone();
            async move { drop(orders.get().await) }
        });
        assert!(poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
        assert_eq!(look().findings[0].kind, FindingKind::SelfWait);
        let second = spawn(waits);
        world.settle().await;
        let dump = look();
        assert!(dump.findings.is_empty(), "{dump}");
        assert_eq!(of_kind(&dump, "pool").waiters[0].task, TaskId::Task(second.id()));
        drop(kept);
        second.await.unwrap();
    });
}
