//! Which caller gets which object, and when.

use std::{
    pin::pin,
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    task::{Context, Poll},
};

use evenkeel_pool::{BuildError, GetError, Lease, Pool};
use evenkeel_testkit::{World, assert_took, waker::counting};
use proptest::prelude::*;
use tokio::{
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

use crate::scripted::{Act, Scripted, assert_sound, assert_whole, ms, pool, pool_with, secs, take};

#[test]
fn a_pool_without_room_is_an_error() {
    assert_eq!(Pool::builder(Scripted::new()).max(0).build().unwrap_err(), BuildError::ZeroMax);
}

/// Nothing is created before it is needed; the object that came back last goes out first.
#[test]
fn the_newest_idle_object_goes_out_first() {
    World::run(async |_| {
        let (pool, script) = pool(3);
        assert_eq!(pool.snapshot().size, 0);
        let mut leases = take(&pool, 3).await;
        assert_eq!(leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), [0, 1, 2]);
        for n in [1, 1, 0] {
            drop(leases.remove(n));
        }
        let again = take(&pool, 3).await;
        assert_eq!(again.iter().map(|lease| lease.id).collect::<Vec<_>>(), [0, 2, 1]);
        assert_eq!(script.creations.load(SeqCst), 3);
    });
}

#[test]
fn it_grows_only_when_nothing_is_idle() {
    World::run(async |_| {
        let (pool, script) = pool(8);
        for _ in 0..20 {
            let _lease = pool.get().await.unwrap();
        }
        assert_eq!(script.creations.load(SeqCst), 1);
    });
}

/// Waiters are served in the order of their arrival, and a caller that comes between a return and the wake of the first
/// waiter stands behind it.
#[test]
fn first_come_first_served() {
    World::run(async |_| {
        let (pool, _) = pool(3);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let mut spawn = |n: u64| {
            let (pool, order) = (pool.clone(), Arc::clone(&order));
            tasks.spawn(async move {
                let _lease = pool.get().await.unwrap();
                order.lock().unwrap().push(n);
                sleep(ms(n * 7 % 5)).await;
            });
        };
        let held = take(&pool, 3).await;
        (0..50).for_each(&mut spawn);
        yield_now().await;
        assert_eq!(pool.snapshot().waiting, 50);
        drop(held);
        (50..100).for_each(&mut spawn);
        while tasks.join_next().await.is_some() {}
        assert!(order.lock().unwrap().iter().copied().eq(0..100), "{order:?}");
    });
}

/// A caller whose creation is slow gets an object that is returned meanwhile; the created one is idle then.
#[test]
fn what_comes_first_is_taken() {
    World::run(async |world| {
        let (pool, script) = pool(2);
        let lease = pool.get().await.unwrap();
        script.create.set(Act::Slow(secs(5)));
        tokio::spawn(async move {
            sleep(ms(10)).await;
            drop(lease);
        });
        let got = assert_took!(pool.get(), ms(10)).unwrap();
        assert_eq!(got.id, 0);
        assert_eq!(pool.snapshot().creating, 1);
        sleep(secs(5)).await;
        world.settle().await;
        assert_eq!((pool.snapshot().idle, pool.snapshot().in_use), (1, 1));
    });
}

/// A caller is called for an idle object, and is served by a task before it is polled: the idle object is the next one's,
/// also where a task works for that one.
#[test]
fn an_idle_object_is_not_kept_for_a_caller_that_was_served() {
    for created in [Act::Slow(secs(1)), Act::Fail(secs(1))] {
        World::run(async |world| {
            let (pool, script) = pool(3);
            let lease = pool.get().await.unwrap();
            script.create.next(created);
            script.create.next(Act::Slow(secs(5)));
            let ((first_waker, first_wakes), (second_waker, second_wakes)) = (counting(), counting());
            let (mut first, mut second) = (pin!(pool.get()), pin!(pool.get()));
            let (mut first_cx, mut second_cx) =
                (Context::from_waker(&first_waker), Context::from_waker(&second_waker));
            assert!(first.as_mut().poll(&mut first_cx).is_pending());
            assert!(second.as_mut().poll(&mut second_cx).is_pending());
            world.settle().await;
            drop(lease);
            assert_eq!((first_wakes.load(SeqCst), second_wakes.load(SeqCst)), (1, 0));
            sleep(secs(1)).await;
            world.settle().await;
            assert_eq!((pool.snapshot().creating, pool.snapshot().idle), (1, 1));
            assert_eq!((first_wakes.load(SeqCst), second_wakes.load(SeqCst)), (1, 1));
            let Poll::Ready(Ok(lease)) = second.as_mut().poll(&mut second_cx) else {
                panic!("the idle object is left")
            };
            assert_eq!(lease.id, 0);
            let Poll::Ready(served) = first.as_mut().poll(&mut first_cx) else { panic!("it was served") };
            assert_eq!(served.is_ok(), created == Act::Slow(secs(1)));
        });
    }
}

/// The same where the caller's own object is being checked.
#[test]
fn a_slow_check_is_overtaken_by_a_return() {
    World::run(async |world| {
        let (pool, script) = pool(2);
        let mut leases = take(&pool, 2).await;
        drop(leases.pop());
        script.check.next(Act::Slow(secs(5)));
        let held = leases.pop().unwrap();
        tokio::spawn(async move {
            sleep(ms(10)).await;
            drop(held);
        });
        let got = assert_took!(pool.get(), ms(10)).unwrap();
        assert_eq!(got.id, 0);
        sleep(secs(5)).await;
        world.settle().await;
        assert_eq!((pool.snapshot().idle, pool.snapshot().in_use, pool.snapshot().discarded), (1, 1, 0));
    });
}

/// A caller that waits for a check does not have all other idle objects checked as well.
#[test]
fn one_caller_has_one_check() {
    World::run(async |world| {
        let (pool, script) = pool(4);
        drop(take(&pool, 4).await);
        script.check.set(Act::Slow(ms(5)));
        let mut get = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.unwrap().id }
        });
        world.settle().await;
        assert_eq!((pool.snapshot().checking, pool.snapshot().idle), (1, 3));
        assert_took!(&mut get, ms(5)).unwrap();
        assert_eq!(script.creations.load(SeqCst), 4);
    });
}

/// Two callers have two, and nothing is created while there are idle objects for both.
#[test]
fn two_callers_have_two_checks() {
    World::run(async |world| {
        let (pool, script) = pool(3);
        drop(take(&pool, 2).await);
        script.check.set(Act::Slow(ms(5)));
        script.create.set(Act::Slow(ms(9)));
        let mut callers = [tokio::spawn(get_id(pool.clone())), tokio::spawn(get_id(pool.clone()))];
        world.settle().await;
        assert_eq!((pool.snapshot().checking, pool.snapshot().creating), (2, 0));
        callers[0].abort();
        world.settle().await;
        // The first caller began both checks, and has left them.
        assert_eq!((pool.snapshot().waiting, pool.snapshot().creating), (1, 1));
        assert_took!(&mut callers[1], ms(5)).unwrap();
    });
}

/// A caller that gives up no longer counts its own check, and no other.
#[test]
fn each_caller_answers_for_its_own_check() {
    World::run(async |world| {
        let (pool, script) = pool(2);
        let held = take(&pool, 2).await;
        let mut callers = [tokio::spawn(get_id(pool.clone())), tokio::spawn(get_id(pool.clone()))];
        world.settle().await;
        script.check.next(Act::Hang);
        script.check.next(Act::Fail(ms(5)));
        drop(held);
        world.settle().await;
        assert_eq!(pool.snapshot().checking, 2);
        callers[0].abort();
        assert_eq!(assert_took!(&mut callers[1], ms(5)).unwrap(), 2);
    });
}

/// Creations are as many as there are waiters for them, not as many as there is room for.
#[test]
fn creations_are_counted() {
    World::run(async |world| {
        let (pool, script) = pool(4);
        script.create.set(Act::Slow(ms(100)));
        let mut callers: Vec<_> = (0..2).map(|_| Box::pin(pool.get())).collect();
        for caller in &mut callers {
            assert!(timeout(ms(10), caller).await.is_err());
        }
        assert_eq!(pool.snapshot().creating, 2);
        drop(callers);
        // Two creations are left for the next two callers.
        let (a, b) = assert_took!(async { tokio::join!(pool.get(), pool.get()) }, ms(90));
        assert!(a.is_ok() && b.is_ok());
        world.settle().await;
        assert_eq!(script.creations.load(SeqCst), 2);
    });
}

/// A caller that comes while another one, with a creation of its own, is about to take an idle object needs no creation.
#[test]
fn an_idle_object_saves_a_creation() {
    World::run(async |_| {
        let (pool, script) = pool(3);
        let held = pool.get().await.unwrap();
        script.create.set(Act::Slow(ms(5)));
        let mut first = Box::pin(pool.get());
        assert!(timeout(ms(0), &mut first).await.is_err());
        drop(held);
        let (second, first) = tokio::join!(biased; pool.get(), first);
        assert_eq!((first.unwrap().id, second.unwrap().id), (0, 1));
        assert_eq!(script.creations.load(SeqCst), 2);
    });
}

/// Creations outlive the callers that began them: with callers less patient than a creation takes, all but the first
/// are served.
#[test]
fn creation_survives_its_caller() {
    World::run(async |_| {
        let (pool, script) = pool_with(4, |builder| builder.acquire_timeout(ms(80)));
        script.create.set(Act::Slow(ms(100)));
        assert!(matches!(assert_took!(pool.get(), ms(80)), Err(GetError::Timeout(_))));
        let lease = assert_took!(pool.get(), ms(20)).unwrap();
        drop(lease);
        for _ in 0..48 {
            drop(assert_took!(pool.get(), ms(0)).unwrap());
        }
        assert_eq!(script.creations.load(SeqCst), 1);
    });
}

/// Callers that give up during a check do not cost a healthy object.
#[test]
fn a_check_survives_its_caller() {
    World::run(async |world| {
        let (pool, script) = pool_with(4, |builder| builder.acquire_timeout(ms(10)));
        drop(take(&pool, 4).await);
        script.check.set(Act::Slow(ms(50)));
        for _ in 0..4 {
            assert!(pool.get().await.is_err());
        }
        sleep(ms(50)).await;
        world.settle().await;
        assert_eq!((pool.snapshot().idle, pool.snapshot().discarded), (4, 0));
    });
}

/// A check that hangs, and whose caller has given up, does not keep the next caller from a creation.
#[test]
fn an_abandoned_check_keeps_nobody_waiting() {
    World::run(async |_| {
        let (pool, script) = pool_with(2, |builder| builder.acquire_timeout(secs(1)));
        drop(take(&pool, 1).await);
        script.check.next(Act::Hang);
        assert!(assert_took!(pool.get(), secs(1)).is_err());
        let lease = assert_took!(pool.get(), ms(0)).unwrap();
        assert_eq!((lease.id, pool.snapshot().checking), (1, 1));
        drop(lease);
    });
}

/// The same if the caller got another object meanwhile.
#[test]
fn an_overtaken_check_keeps_nobody_waiting() {
    World::run(async |_| {
        let (pool, script) = pool(3);
        let mut leases = take(&pool, 2).await;
        leases.pop();
        script.check.next(Act::Hang);
        let (first, ()) = tokio::join!(pool.get(), async {
            sleep(ms(10)).await;
            leases.clear();
        });
        assert_eq!(first.unwrap().id, 0);
        let held = pool.get().await.unwrap();
        let lease = assert_took!(pool.get(), ms(0)).unwrap();
        assert_eq!((held.id, lease.id, pool.snapshot().checking), (0, 2, 1));
    });
}

#[test]
fn detached_and_discarded_objects_make_room() {
    World::run(async |_| {
        let (pool, script) = pool(1);
        let ours = Lease::detach(pool.get().await.unwrap());
        assert_eq!((ours.id, pool.snapshot().size, pool.snapshot().detached), (0, 0, 1));
        // The pool no longer counts it, so another one may live beside it.
        let lease = pool.get().await.unwrap();
        assert_eq!((lease.id, script.live.load(SeqCst)), (1, 2));
        drop(ours);

        let waiter = async { assert_took!(pool.get(), ms(5)).unwrap().id };
        let discard = async {
            sleep(ms(5)).await;
            Lease::discard(lease);
        };
        assert_eq!(tokio::join!(waiter, discard).0, 2);
        assert_eq!(pool.snapshot().discarded, 1);
    });
}

/// A caller that always finds an idle object still lets other tasks run.
#[test]
fn a_busy_loop_yields() {
    World::run(async |_| {
        let (pool, _) = pool(1);
        let other = tokio::spawn(yield_now());
        let busy = tokio::spawn(async move {
            for _ in 0..10_000 {
                drop(pool.get().await.unwrap());
            }
            assert!(other.is_finished(), "the other task starved");
        });
        busy.await.unwrap();
    });
}

/// It may be called with the whole of the time that there is.
#[test]
fn limits_may_be_endless() {
    World::run(async |_| {
        let max = std::time::Duration::MAX;
        let (pool, script) =
            pool_with(1, |builder| builder.acquire_timeout(max).create_timeout(max).check_timeout(max));
        script.create.set(Act::Slow(secs(86400)));
        drop(assert_took!(pool.get(), secs(86400)).unwrap());
        script.check.set(Act::Slow(secs(86400)));
        drop(assert_took!(pool.get(), secs(86400)).unwrap());
    });
}

/// A `get` that has ended and is kept is not in the queue any more.
#[test]
fn a_finished_get_holds_no_place() {
    World::run(async |_| {
        let (pool, _) = pool(1);
        let lease = pool.get().await.unwrap();
        let mut kept = std::pin::pin!(pool.get());
        let (got, ()) = tokio::join!(&mut kept, async { drop(lease) });
        assert_eq!(pool.snapshot().waiting, 0);
        drop(got);
        assert_eq!(assert_took!(pool.get(), ms(0)).unwrap().id, 0);
    });
}

/// A `get` may move to another task while it waits; the last one to poll it is woken.
#[test]
fn a_get_may_move_between_tasks() {
    World::run(async |world| {
        let (pool, _) = pool(1);
        let lease = pool.get().await.unwrap();
        let pool: &'static Pool<Scripted> = Box::leak(Box::new(pool));
        let mut get = Box::pin(pool.get());
        assert!(timeout(ms(1), &mut get).await.is_err());
        let task = tokio::spawn(async move { get.await.unwrap().id });
        world.settle().await;
        drop(lease);
        assert_eq!(assert_took!(task, ms(0)).unwrap(), 0);
    });
}

/// A `get` that is served and not polled for a while keeps the object that it was served, and nothing else.
#[test]
fn who_sleeps_on_its_object_holds_up_nobody() {
    World::run(async |world| {
        let (pool, script) = pool(3);
        drop(take(&pool, 1).await);
        script.check.next(Act::Hang);
        script.create.next(Act::Slow(ms(5)));
        let mut sleeper = Box::pin(pool.get());
        assert!(timeout(ms(0), &mut sleeper).await.is_err());
        let mut second = tokio::spawn(get_id(pool.clone()));
        // The creation that the second one began is for the first, and another one for the second.
        assert_eq!(assert_took!(&mut second, ms(5)).unwrap(), 2);
        world.settle().await;
        assert_eq!(sleeper.await.unwrap().id, 1);
    });
}

async fn get_id(pool: Pool<Scripted>) -> usize {
    pool.get().await.unwrap().id
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A `get` ends within its time, to the millisecond, through any number of dead idle objects and a creation.
    #[test]
    fn one_deadline_for_everything(
        dead in 0_usize..6,
        check in 0_u64..=20,
        create in 1_u64..=50,
        patience in 1_u64..200,
    ) {
        let needed = dead as u64 * check + create;
        prop_assume!(needed != patience);
        World::run(async |_| {
            let (pool, script) = pool_with(8, |builder| {
                builder.acquire_timeout(ms(patience)).create_timeout(ms(50)).check_timeout(ms(20))
            });
            drop(take(&pool, dead).await);
            // The longest of each hang, and are ended at their limits.
            script.check.set(if check == 20 { Act::Hang } else { Act::Fail(ms(check)) });
            script.create.set(if create == 50 { Act::Hang } else { Act::Slow(ms(create)) });
            match assert_took!(pool.get(), ms(needed.min(patience))) {
                Ok(lease) => {
                    assert!(needed < patience && create < 50);
                    assert_eq!(lease.id, dead);
                }
                Err(GetError::Timeout(why)) => {
                    assert!(patience < needed);
                    assert_eq!(why.waited, ms(patience));
                }
                Err(GetError::CreateTimeout(limit)) => {
                    assert!(needed < patience && create == 50);
                    assert_eq!(limit, ms(50));
                }
                Err(other) => panic!("{other:?}"),
            }
            assert_sound(&pool, &script);
            script.check.set(Act::Ready);
            script.create.set(Act::Ready);
            sleep(ms(100)).await;
            assert_whole(&pool, &script).await;
        });
    }
}
