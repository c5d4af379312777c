//! Groups with settings.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use evenkeel_task::{BoxError, Cause, Group, Panic, State, Stop, catch_panic};
use evenkeel_testkit::{World, assert_took, cancel, took};
use proptest::{collection::vec, prelude::*};
use tokio::time::{Instant, sleep};

use crate::{Alive, alive, err, failures, ms, throw};

#[test]
fn a_limit_lets_others_wait_and_counts_no_waiting() {
    World::run(async |_| {
        let run = Group::builder().limit(2).run(async |g| {
            for n in 0..4_u64 {
                g.task(n.to_string()).spawn(async move {
                    sleep(ms(10)).await;
                    if n == 3 { err("late") } else { Ok(()) }
                });
            }
            g.spawn(pending::<()>());
            sleep(ms(5)).await;
            let states: Vec<_> = g.live().iter().map(|task| (task.state, task.age)).collect();
            assert_eq!(states[..2], [(State::Running, ms(5)); 2]);
            assert_eq!(states[2..], [(State::Waiting, ms(5)); 3]);
            Ok(())
        });
        let error = assert_took!(run, ms(20)).unwrap_err();
        assert_eq!((error.first().after, error.finished(), error.cancelled()), (ms(10), 3, 1));
    });
}

#[test]
fn a_task_that_waits_for_its_turn_is_aborted_by_the_root_cause() {
    World::run(async |_| {
        let left = Alive::default();
        let run = Group::builder().limit(1).run(async |g| {
            g.spawn(async {
                sleep(ms(3)).await;
                err("root")
            });
            for _ in 0..5 {
                let mine = left.clone();
                g.spawn(async move { drop(mine) });
            }
            Ok(())
        });
        let error = assert_took!(run, ms(3)).unwrap_err();
        assert_eq!((failures(&error), error.cancelled()), (vec!["-: root".to_owned()], 5));
        assert_eq!(alive(&left), 0);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Compares with a list of machines: each task runs on the machine that is free first.
    #[test]
    fn a_limit_is_exact(times in vec(1..30_u64, 1..20), limit in 1..6_usize) {
        let mut machines = vec![0; limit];
        for time in &times {
            *machines.iter_mut().min().unwrap() += time;
        }
        let most = Arc::new(AtomicUsize::new(0));
        let running = Alive::default();
        let time = World::run(async |_| {
            let run = Group::builder().limit(limit).run(async |g| {
                for time in &times {
                    let (time, most, running) = (*time, most.clone(), running.clone());
                    let start = async move || {
                        let _mine = running.clone();
                        // Two clones for each task: this one, and the one in the closure.
                        most.fetch_max(Arc::strong_count(&running), Ordering::Relaxed);
                        sleep(ms(time)).await;
                    };
                    g.spawn(async move { start().await });
                }
                Ok(())
            });
            took(run).await.1
        });
        prop_assert_eq!(time, ms(machines.into_iter().max().unwrap()));
    }
}

#[test]
fn a_deadline_stops_the_body_and_the_tasks() {
    World::run(async |_| {
        let left = Alive::default();
        let builder = Group::builder().deadline(Instant::now() + ms(20));
        let run = builder.clone().run(async |g| {
            let (one, two) = (left.clone(), left.clone());
            g.spawn(async move {
                pending::<()>().await;
                drop(one);
            });
            pending::<()>().await;
            drop(two);
            Ok(())
        });
        let error = assert_took!(run, ms(20)).unwrap_err();
        assert_eq!(
            (failures(&error), error.first().after, alive(&left)),
            (vec!["group: deadline".to_owned()], ms(20), 0)
        );
        assert!(error.to_string().ends_with(") passed its deadline after 20ms; 1 cancelled"), "{error}");
        // The deadline of a body that is ready, and a deadline that has already passed.
        let done = builder.run(async |g| {
            g.spawn(pending::<()>());
            Ok(())
        });
        assert_eq!(failures(&assert_took!(done, ms(0)).unwrap_err()), ["group: deadline"]);
    });
}

#[test]
fn a_deadline_stops_the_join() {
    World::run(async |_| {
        let run = Group::builder().limit(1).deadline(Instant::now() + ms(20)).run(async |g| {
            (0..3).for_each(|_| g.spawn(async { sleep(ms(8)).await }));
            Ok(())
        });
        let error = assert_took!(run, ms(20)).unwrap_err();
        assert_eq!(
            (failures(&error), error.finished(), error.cancelled()),
            (vec!["group: deadline".to_owned()], 2, 1)
        );
    });
}

#[test]
fn in_time_a_deadline_does_nothing() {
    World::run(async |_| {
        let run = Group::builder().deadline(Instant::now() + ms(20)).run(async |g| {
            g.spawn(sleep(ms(19)));
            Ok(())
        });
        assert_took!(run, ms(19)).unwrap();
    });
}

async fn drains(stop: Stop, takes: Duration) -> Result<(), BoxError> {
    stop.draining().await;
    sleep(takes).await;
    Ok(())
}

#[test]
fn a_grace_is_soft_and_then_hard() {
    World::run(async |_| {
        for (takes, time, counts) in [(ms(30), ms(40), (1, 0)), (ms(60), ms(60), (0, 1))] {
            let left = Alive::default();
            let mine = left.clone();
            let run = Group::builder().grace(ms(50)).run(async |g| {
                let work = drains(g.stop().clone(), takes);
                g.spawn(async move {
                    let _mine = mine;
                    work.await
                });
                sleep(ms(10)).await;
                Err::<(), BoxError>("root".into())
            });
            let error = assert_took!(run, time).unwrap_err();
            assert_eq!((failures(&error), alive(&left)), (vec!["body: root".to_owned()], 0));
            assert_eq!((error.finished(), error.cancelled()), counts);
        }
    });
}

#[test]
fn what_waits_for_its_turn_needs_no_grace() {
    World::run(async |_| {
        let run = Group::builder().limit(1).grace(ms(50)).run(async |g| {
            g.spawn(drains(g.stop().clone(), ms(3)));
            (0..3).for_each(|_| g.spawn(async { throw("it runs") }));
            sleep(ms(2)).await;
            Err::<(), BoxError>("root".into())
        });
        let error = assert_took!(run, ms(5)).unwrap_err();
        assert_eq!((error.failures().len(), error.finished(), error.cancelled()), (1, 1, 3));
    });
}

#[test]
fn an_abort_ends_the_grace_and_needs_none() {
    World::run(async |_| {
        let run = Group::builder().grace(ms(50)).run(async |g| {
            let stop = g.stop().clone();
            g.spawn(pending::<()>());
            tokio::spawn(async move {
                sleep(ms(15)).await;
                stop.abort("at once");
            });
            sleep(ms(5)).await;
            Err::<(), BoxError>("root".into())
        });
        assert_eq!(failures(&assert_took!(run, ms(15)).unwrap_err()), ["body: root"]);
        let run = Group::builder().grace(ms(50)).run(async |g| {
            g.spawn(pending::<()>());
            g.stop().abort("at once");
            Ok(())
        });
        assert_took!(run, ms(0)).unwrap_err();
    });
}

#[test]
fn in_its_grace_a_group_takes_nothing_in_and_lists_what_fails() {
    World::run(async |_| {
        let run = Group::builder().grace(ms(50)).run(async |g| {
            let again = g.clone();
            g.spawn(async move {
                again.stop().draining().await;
                assert!(again.stop().reason().unwrap().contains("failed"));
                assert!(again.try_spawn(async {}).is_err());
                sleep(ms(5)).await;
                err("second")
            });
            Err::<(), BoxError>("first".into())
        });
        assert_eq!(failures(&assert_took!(run, ms(5)).unwrap_err()), ["body: first", "-: second"]);
    });
}

#[test]
fn all_failures_are_collected_and_all_tasks_end() {
    World::run(async |_| {
        let run = Group::builder().collect_all().run(async |g| {
            for n in 1..=4_u64 {
                let again = g.clone();
                g.task(n.to_string()).spawn(async move {
                    sleep(ms(10 * n)).await;
                    again.spawn(sleep(ms(1)));
                    match n {
                        1 => err("one"),
                        3 => throw("three"),
                        _ => Ok(()),
                    }
                });
            }
            sleep(ms(5)).await;
            Err::<(), BoxError>("zero".into())
        });
        let error = assert_took!(run, ms(41)).unwrap_err();
        assert_eq!(failures(&error), ["body: zero", "1: one", "3: panicked: three"]);
        assert_eq!((error.finished(), error.cancelled()), (6, 0));
    });
}

#[test]
fn what_still_stops_a_group_that_collects() {
    World::run(async |_| {
        let builder = || Group::builder().collect_all().deadline(Instant::now() + ms(20));
        let late = builder().run(async |g| {
            g.spawn(async { err("early") });
            g.spawn(pending::<()>());
            Ok(())
        });
        assert_eq!(failures(&assert_took!(late, ms(20)).unwrap_err()), ["-: early", "group: deadline"]);
        let aborted = builder().run(async |g| {
            g.spawn(pending::<()>());
            g.stop().abort("enough");
            pending::<Result<(), BoxError>>().await
        });
        assert_eq!(failures(&assert_took!(aborted, ms(0)).unwrap_err()), ["group: aborted: enough"]);
        let bug = builder().run(async |g| -> Result<(), BoxError> {
            g.spawn(pending::<()>());
            throw("bug")
        });
        assert_eq!(assert_took!(catch_panic(bug), ms(0)).unwrap_err().message(), Some("bug"));
    });
}

#[test]
fn a_stop_from_outside_stops_the_group_and_not_the_other_way_round() {
    World::run(async |_| {
        let stop = Stop::new();
        let run = Group::builder().stop(&stop).run(async |g| {
            g.spawn(drains(g.stop().clone(), ms(3)));
            stop.drain("soft");
            Ok(())
        });
        assert_took!(run, ms(3)).unwrap();
        let stop = Stop::new();
        let run = Group::builder().stop(&stop).run(async |_g| Err::<(), BoxError>("no".into()));
        run.await.unwrap_err();
        assert!(!stop.is_draining());
    });
}

#[test]
fn a_limit_of_zero_panics() {
    assert!(Panic::catch(|| drop(Group::builder().limit(0))).is_err());
}

#[test]
fn a_group_with_all_rules_is_dropped_anywhere() {
    let cuts = cancel::every_point(
        async || Alive::default(),
        async |left| {
            let builder =
                Group::builder().limit(2).grace(ms(5)).deadline(Instant::now() + ms(10)).collect_all();
            let run = builder.run(async |g| {
                for _ in 0..4 {
                    let mine = left.clone();
                    g.spawn(async move {
                        pending::<()>().await;
                        drop(mine);
                    });
                }
                sleep(ms(2)).await;
                Ok(())
            });
            assert!(matches!(run.await.unwrap_err().first().cause, Cause::Deadline));
        },
        async |left: Alive| assert_eq!(alive(&left), 0),
    );
    assert_eq!(cuts.points(), 4, "the body, the join, the grace, the abort");
}

#[test]
fn a_deadline_may_be_at_the_ends_of_time() {
    let mut last = Instant::now();
    let steps = (0..64).rev().map(|power| Duration::from_secs(1 << power));
    for step in steps.chain((0..30).rev().map(|power| Duration::from_nanos(1 << power))) {
        last = last.checked_add(step).unwrap_or(last);
    }
    World::run(async |_| {
        let run = Group::builder().deadline(last).grace(Duration::MAX).run(async |g| {
            g.spawn(sleep(ms(5)));
            Ok(7)
        });
        assert_eq!(assert_took!(run, ms(5)).unwrap(), 7);
    });
}

#[test]
fn a_deadline_holds_beside_what_is_never_short_of_work() {
    World::run(async |_| {
        tokio::spawn(async {
            for _ in 0..50 {
                tokio::time::advance(ms(1)).await;
            }
        });
        let busy = async {
            for _ in 0..100_000 {
                tokio::task::consume_budget().await;
            }
        };
        let late = Instant::now() + ms(5);
        let run = Group::builder().deadline(late).run(async |_g| pending::<Result<(), BoxError>>().await);
        tokio::select! {
            biased;
            () = busy => panic!("the deadline was not seen"),
            output = run => assert_eq!(failures(&output.unwrap_err()), ["group: deadline"]),
        }
    });
}
