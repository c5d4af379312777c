//! Ends, failures and aborts that race on several threads.

use std::{
    future::pending,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread::JoinHandle,
    time::Duration,
};

use evenkeel_task::{BoxError, Cause, Failure, Group, State, Stop, catch_panic, first_ok, group};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{block_in_place, yield_now},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{Alive, alive, err, poll, throw};

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap()
}

/// A tree of tasks, each of which ends in one of the possible ways.
fn grow(g: &Group, depth: u32, spawned: Arc<AtomicUsize>, alive: Alive) {
    for kind in 0..4 {
        spawned.fetch_add(1, Ordering::Relaxed);
        let (again, spawned, alive) = (g.clone(), spawned.clone(), alive.clone());
        g.spawn(async move {
            let _alive = alive.clone();
            yield_now().await;
            if depth > 0 {
                grow(&again, depth - 1, spawned, alive);
            }
            match (depth, kind) {
                (0, 0) => err("error"),
                (0, 1) => throw("panic"),
                (0, 2) => pending().await,
                _ => Ok(()),
            }
        });
    }
}

#[test]
fn the_counts_add_up_and_nothing_is_left() {
    threads().block_on(async {
        for _ in 0..100 {
            let (spawned, left) = (Arc::new(AtomicUsize::new(0)), Alive::default());
            let tree = (spawned.clone(), left.clone());
            let run = group(async move |g| {
                grow(&g, 3, tree.0, tree.1);
                Ok(())
            });
            let error = tokio::spawn(run).await.unwrap().unwrap_err();
            assert_eq!(alive(&left), 0);
            let ended = error.finished() + error.cancelled() + error.failures().len();
            assert_eq!(ended, spawned.load(Ordering::Relaxed));
        }
    });
}

/// Spawns from another thread until a task is rejected, and counts the accepted ones.
fn intrude(g: Group, runtime: Handle, left: Alive) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let _inside = runtime.enter();
        let work = || {
            let mine = left.clone();
            g.try_spawn(async move {
                yield_now().await;
                drop(mine);
            })
        };
        (0..100).take_while(|_| work().is_ok()).count()
    })
}

#[test]
fn who_comes_while_the_group_ends_is_waited_for_or_refused() {
    let runtime = threads();
    for round in 0..300 {
        let left = Alive::default();
        let mut intruders = Vec::new();
        let ended = runtime.block_on(group(async |g| {
            intruders.extend((0..2).map(|_| intrude(g.clone(), runtime.handle().clone(), left.clone())));
            for _ in 0..round % 5 {
                yield_now().await;
            }
            if round % 2 == 0 { err("enough") } else { Ok(()) }
        }));
        // A rejected future is dropped by its thread, all others before the group returns.
        let accepted: usize = intruders.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(alive(&left), 0);
        if let Err(error) = ended {
            assert_eq!((error.failures().len(), error.finished() + error.cancelled()), (1, accepted));
        }
    }
}

#[test]
fn an_abort_from_outside_of_the_runtime_wakes_the_group() {
    let runtime = threads();
    let (tell, told) = std::sync::mpsc::channel();
    let outside = std::thread::spawn(move || {
        let g: Group = told.recv().unwrap();
        g.stop().abort("from outside");
    });
    let error = runtime
        .block_on(group(async move |g| {
            for _ in 0..100 {
                g.spawn(pending::<()>());
            }
            tell.send(g).unwrap();
            Ok(())
        }))
        .unwrap_err();
    outside.join().unwrap();
    assert_eq!(error.cancelled(), 100);
}

#[test]
fn a_dropped_group_ends_its_tasks() {
    let runtime = threads();
    let left = Alive::default();
    let mine = left.clone();
    runtime.block_on(async {
        let run = tokio::spawn(group(async move |g| {
            for _ in 0..100 {
                let mine = mine.clone();
                g.spawn(async move {
                    pending::<()>().await;
                    drop(mine);
                });
            }
            err("never")?;
            Ok(())
        }));
        // The task fails and aborts the group while the group aborts the task.
        run.abort();
        let _ = run.await;
        while alive(&left) > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn a_runtime_that_shuts_down_takes_the_group_with_it() {
    let runtime = threads();
    let left = Alive::default();
    for _ in 0..50 {
        let mine = left.clone();
        runtime.spawn(catch_panic(group(async move |g| {
            for _ in 0..10 {
                let mine = mine.clone();
                g.spawn(async move {
                    pending::<()>().await;
                    drop(mine);
                });
            }
            Ok(())
        })));
    }
    drop(runtime);
    assert_eq!(alive(&left), 0);
}

#[test]
fn a_race_that_is_won_after_it_was_dropped_is_no_failure() {
    let (begin, begun) = channel();
    let (end, ending) = channel::<()>();
    let run = group(async move |g| {
        let mut race = Box::pin(first_ok([async move {
            begin.send(()).unwrap();
            let _: Result<(), _> = ending.recv();
            Ok::<_, u8>(7)
        }]));
        assert!(poll(&mut race).is_pending());
        begun.recv().unwrap();
        drop(race);
        assert_eq!(g.live().len(), 1);
        end.send(()).unwrap();
        Ok(())
    });
    // On a thread of its own, as it blocks.
    threads().block_on(run).unwrap();
}

/// The workers drop the tasks in each state: waiting, in the queue, or spawned later.
#[test]
fn a_group_whose_tasks_run_on_several_threads_that_go_says_so() {
    for _ in 0..20 {
        let (gone, here) = (threads(), Builder::new_current_thread().enable_time().build().unwrap());
        let handle = gone.handle().clone();
        let error = here
            .block_on(Group::builder().collect_all().run(async |g| {
                let inside = handle.enter();
                (0..100).for_each(|_| g.spawn(pending::<()>()));
                drop(inside);
                gone.shutdown_background();
                let _inside = handle.enter();
                g.spawn(pending::<()>());
                Ok(())
            }))
            .unwrap_err();
        let is_cut = |failure: &Failure| matches!(failure.cause, Cause::RuntimeShutdown);
        assert_eq!((error.failures().len(), error.failures().all(is_cut)), (101, true), "{error:#}");
    }
}

/// Signals are sent while waiters start, change their wakers, and stop, on more threads than there are processors; each
/// waiter that stays is woken, at the signal itself and at its children.
#[test]
fn every_waiter_hears_a_signal_that_is_given_meanwhile() {
    let runtime = Builder::new_multi_thread().worker_threads(8).enable_time().build().unwrap();
    runtime.block_on(async {
        for round in 0..200 {
            let stop = Stop::new();
            let follows = (stop.child(), Stop::from(CancellationToken::new()));
            let grandchild = follows.0.child();
            let waiters: Vec<_> = (0..32)
                .map(|n| {
                    let signal = [&stop, &follows.0, &grandchild][n % 3].clone();
                    tokio::spawn(async move {
                        for _ in 0..n % 4 {
                            // Drops the wait after a poll, and starts another one.
                            tokio::select! {
                                biased;
                                () = signal.aborting() => {}
                                () = yield_now() => {}
                            }
                        }
                        signal.aborting().await;
                        signal.draining().await;
                    })
                })
                .collect();
            let giver = std::thread::spawn(move || {
                if round % 2 == 0 {
                    std::thread::yield_now();
                }
                stop.abort("enough");
            });
            for waiter in waiters {
                timeout(Duration::from_secs(60), waiter).await.expect("it is told").unwrap();
            }
            giver.join().unwrap();
            assert!(grandchild.is_aborting() && !follows.1.is_draining());
        }
    });
}

#[test]
fn a_task_in_the_middle_of_its_first_poll_is_listed_and_told_to_abort() {
    let runtime = threads();
    let (begun, has_begun) = channel();
    let (release, released) = channel::<()>();
    let (keep, kept) = channel();
    let run = runtime.spawn(group(async move |g| {
        g.task("blocked").spawn(async move {
            begun.send(()).unwrap();
            released.recv().ok();
        });
        keep.send(g).unwrap();
        pending().await
    }));
    has_begun.recv().unwrap();
    let g: Group = kept.recv().unwrap();
    let states = || g.live().iter().map(|task| task.state).collect::<Vec<_>>();
    assert_eq!(states(), [State::Running]);
    g.stop().abort("enough");
    while states() != [State::Aborting] {
        std::thread::yield_now();
    }
    release.send(()).unwrap();
    let error = runtime.block_on(run).unwrap().map(|(): ()| ()).unwrap_err();
    assert_eq!((error.finished(), states()), (1, vec![]));
}

#[test]
fn a_first_poll_within_a_first_poll_is_listed_too() {
    let runtime = threads();
    let inner = Builder::new_current_thread().build().unwrap();
    let run = Group::builder().collect_all().run(async |g| {
        let group = g.clone();
        let spawner = g.task("outer").spawn_with_handle(async move {
            let listed = block_in_place(move || {
                inner.block_on(async {
                    let listing = group.clone();
                    let names = async move {
                        let mut names: Vec<_> =
                            listing.live().into_iter().filter_map(|task| task.name).collect();
                        names.sort_unstable();
                        yield_now().await;
                        Ok::<_, BoxError>(names)
                    };
                    group.task("inner").spawn_with_handle(names).await
                })
            });
            Ok::<_, BoxError>(listed)
        });
        assert_eq!(spawner.await??, ["inner", "outer"]);
        g.spawn(async { err("to see the counts") });
        Ok(())
    });
    let error = runtime.block_on(run).unwrap_err();
    assert_eq!((error.finished(), error.failures().len()), (2, 1));
}

#[test]
fn tasks_without_a_name_that_share_a_shard_are_listed_in_their_first_poll() {
    // One more than there are shards, so two of them share one.
    const THREADS: usize = 9;
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    let runtime = Builder::new_current_thread().build().unwrap();
    let run = group(async |g| {
        let spawn = |_| {
            let (barrier, g) = (barrier.clone(), g.clone());
            std::thread::spawn(move || {
                let runtime = Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    g.spawn(async move {
                        barrier.wait();
                        barrier.wait();
                    });
                    yield_now().await;
                });
            })
        };
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        barrier.wait();
        let live = g.live();
        barrier.wait();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(g.live().is_empty());
        Ok(live)
    });
    let live = runtime.block_on(run).unwrap();
    assert_eq!(live.len(), THREADS);
    assert!(live.iter().all(|task| task.state == State::Running && task.name.is_none()));
}

#[test]
fn each_handle_returns_its_own_value_while_tasks_end_on_other_threads() {
    threads().block_on(async {
        for round in 0..20_u64 {
            let run = group(async move |g| {
                let handles: Vec<_> = (0..500_u64)
                    .map(|n| {
                        let value = async move {
                            if n % 3 == 0 {
                                yield_now().await;
                            }
                            Ok::<_, BoxError>(round * 1000 + n)
                        };
                        // Another type in between takes another chunk.
                        let text = (n % 7 == 0)
                            .then(|| g.spawn_with_handle(async move { Ok::<_, BoxError>(n.to_string()) }));
                        (n, g.spawn_with_handle(value), text)
                    })
                    .collect();
                for (n, value, text) in handles {
                    assert_eq!(value.await, Ok(round * 1000 + n));
                    if let Some(text) = text {
                        assert_eq!(text.await, Ok(n.to_string()));
                    }
                }
                assert_eq!(g.live().len(), 0);
                Ok(())
            });
            tokio::spawn(run).await.unwrap().unwrap();
        }
    });
}
