//! Callers that can never be served, since all objects are held by tasks that wait.

use evenkeel_pool::{GetError, Lease, Pool};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::scripted::{Act, Scripted, assert_whole, ms, pool_with, secs, take};

fn detecting(max: usize) -> (Pool<Scripted>, std::sync::Arc<crate::scripted::Script>) {
    pool_with(max, |builder| builder.detect_deadlocks(true).acquire_timeout(secs(30)))
}

/// A task that holds the last object and waits for another one is told at once, with the place of its lease.
#[test]
fn a_task_that_waits_for_itself_is_told_at_once() {
    World::run(async |_| {
        let (pool, script) = detecting(2);
        let run = |pool: Pool<Scripted>| async move {
            let line = line!() + 1;
            let _first = pool.get().await.unwrap();
            let _second = pool.get().await.unwrap();
            let Err(GetError::Deadlock(holders)) = assert_took!(pool.get(), ms(0)) else {
                panic!("it waits for itself")
            };
            assert_eq!(
                holders.iter().map(|holder| holder.place.line()).collect::<Vec<_>>(),
                [line, line + 1]
            );
            let text = GetError::<std::fmt::Error>::Deadlock(holders).to_string();
            assert!(
                text.starts_with("deadlock: all objects are held by tasks that wait for one; held by "),
                "{text}"
            );
        };
        // In a task, and in the future that a thread blocks on; also when the objects are not new.
        tokio::spawn(run(pool.clone())).await.unwrap();
        run(pool.clone()).await;
        assert_whole(&pool, &script).await;
    });
}

/// A circle of tasks, each with an object: the one that closes it is told, and its object serves the next.
#[test]
fn the_task_that_closes_a_circle_is_told() {
    World::run(async |_| {
        let (pool, script) = detecting(3);
        let mut tasks = Vec::new();
        for n in 0..3 {
            let pool = pool.clone();
            tasks.push(tokio::spawn(async move {
                let first = pool.get().await.unwrap();
                sleep(ms(10 + n)).await;
                let second = pool.get().await.map(drop);
                drop(first);
                matches!(second, Err(GetError::Deadlock(_)))
            }));
        }
        let mut told = Vec::new();
        for task in tasks {
            told.push(task.await.unwrap());
        }
        assert_eq!(told, [false, false, true]);
        assert_whole(&pool, &script).await;
    });
}

/// No caller is told while an object can come back: from a task that does not wait, a creation, a check, or more room.
#[test]
fn who_can_be_served_is_not_told() {
    World::run(async |world| {
        let (pool, script) = detecting(2);
        let mine = pool.get().await.unwrap();
        let other = tokio::spawn({
            let pool = pool.clone();
            async move {
                let lease = pool.get().await.unwrap();
                sleep(ms(5)).await;
                drop(lease);
            }
        });
        world.settle().await;
        drop(assert_took!(pool.get(), ms(5)).unwrap());
        other.await.unwrap();
        script.check.next(Act::Slow(ms(5)));
        drop(assert_took!(pool.get(), ms(5)).unwrap());
        // A caller that gives up waits no more.
        let all = take(&pool, 1).await;
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        world.settle().await;
        waiter.abort();
        world.settle().await;
        assert!(matches!(pool.get().await, Err(GetError::Deadlock(_))));
        drop(all);
        Lease::discard(mine);
        script.create.next(Act::Slow(ms(5)));
        script.check.next(Act::FAIL);
        drop(assert_took!(pool.get(), ms(5)).unwrap());
        assert_whole(&pool, &script).await;
    });
}

/// Without the setting a caller waits: its lease may be with another task.
#[test]
fn a_lease_that_was_sent_away_is_no_deadlock() {
    World::run(async |_| {
        let (pool, script) = pool_with(1, |builder| builder);
        let lease = pool.get().await.unwrap();
        tokio::spawn(async move {
            sleep(ms(5)).await;
            drop(lease);
        });
        drop(assert_took!(pool.get(), ms(5)).unwrap());
        assert_whole(&pool, &script).await;
    });
}
