//! Futures dropped at every await point.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use evenkeel_pool::{Lease, Pool};
use evenkeel_testkit::{World, cancel};
use tokio::time::{sleep, timeout};

use crate::scripted::{Gate, Script, Scripted, assert_sound, assert_whole, ms, pool, secs, take};

type State = (Pool<Scripted>, Arc<Script>);

/// Cuts a `get` everywhere, in a pool of two that `setup` has brought somewhere: afterwards nothing is lost.
fn cut_get(setup: impl AsyncFn(&State) -> Vec<Lease<Scripted>>, points: usize) {
    let cuts = cancel::every_point(
        async || {
            let state = pool(2);
            let leases = setup(&state).await;
            tokio::spawn(async move {
                for lease in leases {
                    sleep(ms(7)).await;
                    drop(lease);
                }
            });
            state
        },
        async |(pool, _)| drop(pool.get().await),
        async |(pool, script)| {
            assert_eq!(script.running.load(SeqCst), 0);
            script.create.set(Gate::Open);
            script.check.set(Gate::Open);
            assert_whole(&pool, &script).await;
        },
    );
    assert_eq!(cuts.points(), points);
}

#[test]
fn get_of_an_idle_object() {
    cut_get(
        async |(pool, _)| {
            drop(take(pool, 1).await);
            Vec::new()
        },
        0,
    );
}

#[test]
fn get_that_creates() {
    for gate in [Gate::Open, Gate::Slow(ms(5)), Gate::Fail(ms(5)), Gate::Shut] {
        cut_get(
            async |(_, script)| {
                script.create.set(gate);
                Vec::new()
            },
            1,
        );
    }
}

#[test]
fn get_that_checks() {
    for (gate, points) in [(Gate::Slow(ms(5)), 1), (Gate::Fail(ms(5)), 3), (Gate::Shut, 3)] {
        cut_get(
            async |(pool, script)| {
                drop(take(pool, 2).await);
                script.create.set(Gate::Slow(ms(5)));
                script.check.next(gate);
                script.check.next(gate);
                Vec::new()
            },
            points,
        );
    }
}

#[test]
fn get_that_waits_in_line() {
    for (gate, points) in [(Gate::Open, 1), (Gate::Slow(ms(5)), 2), (Gate::Fail(ms(5)), 3)] {
        cut_get(
            async |(pool, script)| {
                let leases = take(pool, 2).await;
                script.check.next(gate);
                leases
            },
            points,
        );
    }
}

/// `close` may be dropped anywhere: the pool is closed once it was polled, and whole before.
#[test]
fn close() {
    let cuts = cancel::every_point(
        async || {
            let (pool, script) = pool(2);
            let lease = pool.get().await.unwrap();
            tokio::spawn(async move {
                sleep(ms(7)).await;
                drop(lease);
            });
            (pool, script)
        },
        async |(pool, _)| drop(pool.close(secs(1)).await),
        async |(pool, script)| {
            assert_sound(&pool, &script);
            if pool.get().await.is_ok() {
                assert_whole(&pool, &script).await;
            } else {
                assert_eq!((pool.stats().size, script.live.load(SeqCst)), (0, 0));
            }
        },
    );
    assert_eq!(cuts.points(), 1);
}

/// An object that comes back in the very moment in which the first waiter gives up goes to the next, for any length of
/// the line and any waiter that dies; so does one that a creation gives.
#[test]
fn a_waiter_that_dies_passes_its_turn_on() {
    for dying in 0..4_usize {
        for creates in [false, true] {
            World::run(async |world| {
                let (pool, script) = pool(1);
                let held = if creates { None } else { Some(pool.get().await.unwrap()) };
                script.create.next(Gate::Slow(ms(5)));
                let mut waiters: Vec<_> = (0..4)
                    .map(|_| {
                        let pool = pool.clone();
                        Some(Box::pin(async move { pool.get().await.unwrap().id }))
                    })
                    .collect();
                for waiter in waiters.iter_mut().flatten() {
                    assert!(timeout(ms(0), waiter).await.is_err());
                }
                drop(held);
                sleep(ms(5)).await;
                world.settle().await;
                assert_eq!(
                    pool.stats().waiting,
                    if creates { 3 } else { 4 },
                    "the first of them has been served"
                );
                // The first ones die in turn, each after it was woken, and before it was polled again.
                for waiter in &mut waiters[..dying] {
                    *waiter = None;
                }
                for waiter in waiters.into_iter().flatten() {
                    assert_eq!(timeout(ms(0), waiter).await.unwrap(), 0);
                }
                assert_eq!(script.made.load(SeqCst), 1);
                assert_whole(&pool, &script).await;
            });
        }
    }
}
