//! Work that is left when its caller is dropped belongs to the group around it.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use evenkeel_task::{BoxError, Cause, Group, State, catch_panic, group, shield};
use evenkeel_testkit::{World, assert_took, cancel};
use tokio::time::{Instant, sleep, timeout};

use crate::{Alive, alive, err, failures, ms, poll, throw};

type Steps = Arc<AtomicU32>;

async fn section(steps: Steps) {
    for _ in 0..3 {
        sleep(ms(10)).await;
        steps.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_shield_that_is_awaited_is_the_future_itself() {
    World::run(async |_| {
        let value = shield(ms(1), async {
            sleep(ms(30)).await;
            Ok::<_, BoxError>(7)
        });
        assert_eq!(assert_took!(value, ms(30)).unwrap(), 7);
        let panic = catch_panic(shield(ms(1), async { throw("in the section") })).await;
        assert_eq!(panic.unwrap_err().message(), Some("in the section"));
    });
}

#[test]
fn a_shield_that_was_not_polled_has_not_begun() {
    World::run(async |_| {
        let steps = Steps::default();
        drop(shield(ms(100), section(steps.clone())));
        sleep(ms(100)).await;
        assert_eq!((steps.load(Ordering::Relaxed), Arc::strong_count(&steps)), (0, 1));
    });
}

#[test]
fn a_shield_without_a_group_goes_on_for_its_time() {
    World::run(async |_| {
        for (max, expected) in [(ms(20), 3), (ms(19), 2)] {
            let steps = Steps::default();
            assert!(timeout(ms(10), shield(max, section(steps.clone()))).await.is_err());
            sleep(ms(100)).await;
            assert_eq!((steps.load(Ordering::Relaxed), Arc::strong_count(&steps)), (expected, 1));
        }
    });
}

#[test]
fn a_group_that_fails_waits_for_the_shields_of_its_tasks() {
    World::run(async |_| {
        let steps = Steps::default();
        let run = group(async |g| {
            g.task("pay").spawn(shield(ms(100), section(steps.clone())));
            sleep(ms(15)).await;
            err("body")
        });
        let error = assert_took!(run, ms(30)).unwrap_err();
        assert_eq!(steps.load(Ordering::Relaxed), 3);
        assert_eq!((failures(&error), error.cancelled()), (vec!["body: body".to_owned()], 1));
    });
}

#[test]
fn what_becomes_of_a_section_is_said() {
    World::run(async |_| {
        let line = line!() + 2;
        let run = group(async |_g| {
            let late = shield(ms(20), pending::<()>());
            let wrong = shield(ms(20), async {
                sleep(ms(6)).await;
                err("wrong")
            });
            let bug = shield(ms(20), async {
                sleep(ms(7)).await;
                throw("bug")
            });
            let all = async { tokio::join!(late, wrong, bug) };
            assert!(timeout(ms(5), all).await.is_err());
            pending::<Result<(), BoxError>>().await
        });
        let error = assert_took!(run, ms(25)).unwrap_err();
        assert_eq!(failures(&error), ["shield: wrong", "shield: panicked: bug", "shield: deadline"]);
        let late = error.failures().last().unwrap();
        assert!(matches!(late.cause, Cause::Deadline));
        assert_eq!((late.after, late.place.line()), (ms(20), line));
    });
}

#[test]
fn who_is_left_over_is_live() {
    World::run(async |_| {
        group(async |g| {
            assert!(timeout(ms(5), shield(ms(20), sleep(ms(10)))).await.is_err());
            let live = g.live();
            assert_eq!((live.len(), live[0].state), (1, State::Detached));
            assert_eq!(live[0].name.as_deref(), Some("shield"));
            sleep(ms(6)).await;
            assert_eq!(g.live().len(), 0);
            Ok(())
        })
        .await
        .unwrap();
    });
}

/// Panics a while after its drain, as a clean-up may.
struct Sore;

impl Drop for Sore {
    fn drop(&mut self) {
        throw("sore")
    }
}

#[test]
fn an_outer_group_waits_for_the_tasks_of_a_group_that_was_dropped() {
    World::run(async |_| {
        let (left, steps) = (Alive::default(), Steps::default());
        let run = group(async |outer| {
            let (mine, count) = (left.clone(), steps.clone());
            outer.task("inner").spawn(group(async move |g| {
                g.spawn(async move {
                    let _mine = mine;
                    shield(ms(100), section(count)).await;
                });
                g.task("sore").spawn(async {
                    let _sore = Sore;
                    pending::<()>().await;
                });
                pending::<Result<(), BoxError>>().await
            }));
            sleep(ms(15)).await;
            err("outer")
        });
        let error = assert_took!(run, ms(30)).unwrap_err();
        assert_eq!((alive(&left), steps.load(Ordering::Relaxed)), (0, 3));
        assert_eq!(failures(&error), ["body: outer", "sore: panicked: sore"]);
        assert_eq!(error.cancelled(), 1);
    });
}

fn nest(depth: u32, steps: Steps) -> std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
    Box::pin(async move {
        let run = group(async move |g| {
            if depth == 0 {
                g.spawn(shield(ms(100), section(steps)));
            } else {
                g.spawn(nest(depth - 1, steps));
            }
            pending::<Result<(), BoxError>>().await
        });
        Ok(run.await?)
    })
}

#[test]
fn groups_in_groups_in_groups_are_waited_for() {
    World::run(async |_| {
        for depth in 0..4 {
            let steps = Steps::default();
            let run = group(async |_g| {
                let _ = timeout(ms(5), nest(depth, steps.clone())).await;
                Ok(())
            });
            assert_took!(run, ms(30)).unwrap();
            assert_eq!(steps.load(Ordering::Relaxed), 3, "depth {depth}");
        }
    });
}

#[test]
fn a_group_drains_with_the_group_around_it_and_does_not_abort_twice() {
    World::run(async |_| {
        let run = group(async |outer| {
            outer.spawn(group(async |g| {
                g.spawn(g.stop().draining());
                Ok(())
            }));
            sleep(ms(5)).await;
            outer.stop().drain("enough");
            Ok(())
        });
        assert_took!(run, ms(5)).unwrap();
        let aborted = group(async |outer| {
            outer.spawn(group(async |_g| pending::<Result<(), BoxError>>().await));
            sleep(ms(5)).await;
            outer.stop().abort("enough");
            pending::<Result<(), BoxError>>().await
        });
        let error = aborted.await.unwrap_err();
        assert_eq!((failures(&error), error.cancelled()), (vec!["group: aborted: enough".to_owned()], 1));
    });
}

#[test]
fn a_shield_is_dropped_at_no_point_of_its_section() {
    let cuts = cancel::every_point(
        async || Steps::default(),
        async |steps| shield(Duration::from_secs(1), section(steps)).await,
        async |steps: Steps| assert!(matches!(steps.load(Ordering::Relaxed), 0 | 3)),
    );
    assert_eq!(cuts.points(), 3);
}

#[test]
fn a_group_that_was_dropped_when_its_last_task_had_ended_holds_nobody_up() {
    World::run(async |_| {
        let mut kept = None;
        let run = group(async |outer| {
            let mut inner = Box::pin(group(async |g| {
                kept = Some(g.clone());
                g.spawn(async {});
                Ok(())
            }));
            assert!(poll(&mut inner).is_pending());
            sleep(ms(1)).await;
            drop(inner);
            assert_eq!(outer.live().len(), 0);
            Ok(())
        });
        assert_took!(timeout(ms(100), run), ms(1)).expect("it waits for nobody").unwrap();
        assert!(kept.is_some());
    });
}

#[test]
fn what_failed_before_a_group_was_dropped_is_the_outer_groups() {
    World::run(async |_| {
        let run = group(async |_outer| {
            let inner = group(async |g| {
                g.task("bug").spawn(async { throw("bug") });
                g.spawn(shield(ms(100), sleep(ms(20))));
                sleep(ms(1)).await;
                Ok(())
            });
            assert!(timeout(ms(10), inner).await.is_err(), "it waits for the shield");
            sleep(ms(100)).await;
            Ok(())
        });
        assert_eq!(failures(&assert_took!(run, ms(20)).unwrap_err()), ["bug: panicked: bug"]);
    });
}

#[test]
fn why_a_dropped_group_stopped_by_itself_is_nobodys_failure() {
    World::run(async |_| {
        let run = group(async |_outer| {
            for wrong in [true, false] {
                let inner = Group::builder().deadline(Instant::now() + ms(5)).run(async move |g| {
                    g.spawn(shield(ms(100), sleep(ms(20))));
                    sleep(ms(1)).await;
                    if wrong { err("body") } else { pending().await }
                });
                assert!(timeout(ms(10), inner).await.is_err());
            }
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
fn a_task_may_drop_the_group_that_it_belongs_to() {
    type Slot = Arc<Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>>;
    World::run(async |_| {
        let (slot, left) = (Slot::default(), Alive::default());
        let (mine, held) = (slot.clone(), left.clone());
        let mut run: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let run = group(async move |g| {
                g.spawn(async move {
                    let own = mine.lock().unwrap().take();
                    drop(own);
                    throw("after all")
                });
                pending::<Result<(), BoxError>>().await.inspect(|()| drop(held))
            });
            let _ = run.await;
        });
        assert!(poll(&mut run).is_pending());
        *slot.lock().unwrap() = Some(run);
        sleep(ms(1)).await;
        assert!(slot.lock().unwrap().is_none());
        assert_eq!((alive(&left), Arc::strong_count(&slot)), (0, 1));
    });
}

#[test]
fn groups_may_be_left_at_any_depth() {
    World::run(async |_| {
        let steps = Steps::default();
        let run = group(async |_g| {
            let _ = timeout(ms(5), nest(5000, steps.clone())).await;
            Ok(())
        });
        assert_took!(run, ms(30)).unwrap();
        assert_eq!(steps.load(Ordering::Relaxed), 3);
    });
}

/// Drops the callers of a shield and of a release: the rest is cut with the runtime on which they began.
#[test]
fn what_is_cut_with_its_runtime_is_a_failure_of_the_group() {
    let gone = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let handle = gone.handle().clone();
    World::run(async |_| {
        let run = group(async |_g| {
            let inside = handle.enter();
            let mut section = Box::pin(shield(ms(5), pending::<()>()));
            let mut used = Box::pin(evenkeel_task::using(
                std::future::ready(Ok::<_, BoxError>(7)),
                async |_seven| pending::<()>().await,
                async |_seven| pending::<Result<(), BoxError>>().await,
            ));
            assert!(poll(&mut section).is_pending());
            assert!(poll(&mut used).is_pending());
            drop((section, used));
            drop(inside);
            gone.shutdown_background();
            Ok(())
        });
        let mut failed = failures(&run.await.unwrap_err());
        failed.sort();
        assert_eq!(failed, ["release: runtime shut down", "shield: runtime shut down"]);
    });
}
