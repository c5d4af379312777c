//! Programs that go on have no finding.

use std::{sync::Arc, time::Duration};

use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_task::{Group, group};
use evenkeel_testkit::World;
use tokio::{join, select, spawn, time::sleep};

use crate::units::{look, pool, secs};

fn assert_nothing() {
    let dump = look();
    assert!(dump.findings.is_empty(), "{dump}");
}

#[test]
fn waiters_behind_a_holder_that_works() {
    World::run(async |_| {
        let pool = pool("orders", 1);
        let holder = spawn({
            let pool = pool.clone();
            async move {
                let _held = pool.get().await.unwrap();
                sleep(secs(10)).await;
            }
        });
        sleep(secs(1)).await;
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let pool = pool.clone();
                spawn(async move { drop(pool.get().await) })
            })
            .collect();
        sleep(secs(2)).await;
        assert_nothing();
        let dump = look();
        let orders = &dump.resources[0];
        assert_eq!((orders.capacity, orders.in_use), (1, 1));
        assert_eq!(orders.holders[0].held_for, secs(3));
        assert!(orders.waiters.iter().all(|waiter| waiter.waited == secs(2)), "{dump}");
        holder.await.unwrap();
        for waiter in waiters {
            waiter.await.unwrap();
        }
    });
}

/// The loop that takes a permit for each task that it spawns has all of them, as it looks, and waits for one.
#[test]
fn a_loop_that_gives_its_permits_away() {
    World::run(async |_| {
        let calls = Arc::new(ConcurrencyLimiter::new(3).named("calls"));
        let producer = spawn({
            let calls = calls.clone();
            async move {
                for _ in 0..10 {
                    let permit = calls.acquire_owned(1).await.unwrap();
                    spawn(async move {
                        sleep(secs(10)).await;
                        drop(permit);
                    });
                }
            }
        });
        for _ in 0..30 {
            sleep(secs(1)).await;
            assert_nothing();
        }
        // It has been seen by now that permits from there are returned by others.
        let dump = look();
        assert!(dump.resources[0].holders.iter().all(|holder| holder.task.is_none()), "{dump}");
        producer.await.unwrap();
        calls.drained().await;
    });
}

/// Branches of one task that share a pool.
#[test]
fn branches_of_a_task_that_take_turns() {
    World::run(async |_| {
        let pool = pool("orders", 2);
        let work = async || {
            let _held = pool.get().await.unwrap();
            sleep(secs(10)).await;
        };
        join!(work(), work(), work(), work(), async {
            for _ in 0..19 {
                sleep(secs(1)).await;
                assert_nothing();
            }
        });
    });
}

/// A free object, a holder that is not in the circle, and one that waits for something else as well.
#[test]
fn circles_with_a_way_out() {
    World::run(async |_| {
        let (orders, stock) = (pool("orders", 2), pool("stock", 1));
        let outsider = orders.get().await.unwrap();
        let (first, second) = (orders.clone(), stock.clone());
        let sell = spawn(async move {
            let _held = first.get().await.unwrap();
            sleep(secs(1)).await;
            drop(second.get().await);
        });
        let (first, second) = (stock.clone(), orders.clone());
        let refill = spawn(async move {
            let _held = first.get().await.unwrap();
            sleep(secs(1)).await;
            drop(second.get().await);
        });
        sleep(secs(5)).await;
        assert_nothing();
        drop(outsider);
        sell.await.unwrap();
        refill.await.unwrap();
    });
}

/// The first in the queue asks for more than is left, and takes something else instead: the one behind it goes on then, and
/// with it the holder that waits for that one.
#[test]
fn a_queue_whose_first_may_leave() {
    World::run(async |_| {
        let named = |permits, name| Arc::new(ConcurrencyLimiter::new(permits).named(name));
        let (calls, turn, gate) = (named(2, "calls"), named(1, "turn"), named(1, "gate"));
        let keeper = spawn({
            let gate = gate.clone();
            async move {
                let _held = gate.acquire().await;
                sleep(secs(10)).await;
            }
        });
        let holder = spawn({
            let (calls, turn) = (calls.clone(), turn.clone());
            async move {
                let _held = calls.acquire().await;
                sleep(secs(3)).await;
                drop(turn.acquire().await);
            }
        });
        sleep(secs(1)).await;
        let first = spawn({
            let calls = calls.clone();
            async move {
                select! {
                    _ = calls.acquire_many(2) => {}
                    _ = gate.acquire() => {}
                }
            }
        });
        sleep(secs(1)).await;
        let second = spawn(async move {
            let _held = turn.acquire().await;
            drop(calls.acquire().await);
        });
        for _ in 0..7 {
            sleep(secs(1)).await;
            assert_nothing();
        }
        for task in [keeper, holder, first, second] {
            task.await.unwrap();
        }
    });
}

/// Both of the queue are stuck, as the first waits for nothing else.
#[test]
fn a_queue_whose_first_is_stuck() {
    World::run(async |_| {
        let named = |permits, name| Arc::new(ConcurrencyLimiter::new(permits).named(name));
        let (calls, turn) = (named(2, "calls"), named(1, "turn"));
        let (first, second) = (calls.clone(), turn.clone());
        let holder = spawn(async move {
            let _held = first.acquire().await;
            sleep(secs(3)).await;
            drop(second.acquire().await);
        });
        sleep(secs(1)).await;
        let heavy = calls.clone();
        let heavy = spawn(async move { drop(heavy.acquire_many(2).await) });
        sleep(secs(1)).await;
        let light = spawn(async move {
            let _held = turn.acquire().await;
            drop(calls.acquire().await);
        });
        assert_nothing();
        sleep(secs(2)).await;
        let dump = look();
        assert_eq!(dump.findings.len(), 1, "{dump}");
        assert_eq!((dump.findings[0].steps.len(), dump.findings[0].behind), (2, 1), "{dump}");
        // The light one goes before it.
        heavy.abort();
        for task in [holder, light] {
            task.await.unwrap();
        }
    });
}

#[test]
fn groups_that_wait_for_tasks_that_work() {
    World::run(async |_| {
        let outer = Group::builder().limit(2).run(async |g| {
            for _ in 0..4 {
                g.spawn(async {
                    group(async |g| {
                        let handle = g.spawn_with_handle(sleep(secs(5)));
                        g.spawn(async move { handle.await.unwrap() });
                        Ok(())
                    })
                    .await
                });
            }
            Ok(())
        });
        let look = async {
            for _ in 0..9 {
                sleep(secs(1)).await;
                assert_nothing();
            }
        };
        let (outer, ()) = join!(outer, look);
        outer.unwrap();
        sleep(Duration::ZERO).await;
        assert!(look_at_groups().is_empty());
    });
}

fn look_at_groups() -> Vec<evenkeel_inspect::InspectedGroup> {
    look().groups
}
