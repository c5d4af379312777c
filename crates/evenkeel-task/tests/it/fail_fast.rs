//! The first failure stops everything, and nothing is left when the group returns.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use evenkeel_task::{BoxError, Group, GroupError, catch_panic, group};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{sleep, timeout};

use crate::{Alive, alive, err, failures, ms, throw};

#[test]
fn waits_for_all_tasks_and_gives_the_value_of_the_body() {
    World::run(async |_| {
        let left = Alive::default();
        let value = assert_took!(
            group(async |g| {
                for n in 1..=3 {
                    let mine = left.clone();
                    g.spawn(async move {
                        sleep(ms(n * 100)).await;
                        drop(mine);
                    });
                }
                sleep(ms(200)).await;
                Ok("value")
            }),
            ms(300)
        );
        assert_eq!(value.unwrap(), "value");
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn a_group_may_be_polled_by_one_task_and_ended_by_another() {
    World::run(async |_| {
        let mut run = Box::pin(group(async |g| {
            g.spawn(sleep(ms(5)));
            Ok(())
        }));
        assert!(timeout(ms(1), &mut run).await.is_err());
        assert_took!(tokio::spawn(run), ms(4)).unwrap().unwrap();
    });
}

#[test]
fn an_empty_group_takes_no_time() {
    World::run(async |_| assert_took!(group(async |_g| Ok(())), ms(0)).unwrap());
}

#[test]
fn tasks_run_beside_the_body_and_each_other() {
    World::run(async |_| {
        let body = group(async |g| {
            g.spawn(sleep(ms(70)));
            g.spawn(sleep(ms(70)));
            sleep(ms(70)).await;
            Ok(())
        });
        assert_took!(body, ms(70)).unwrap();
    });
}

#[test]
fn an_error_of_a_task_ends_the_body_and_the_others_at_once() {
    World::run(async |_| {
        let left = Alive::default();
        let run = group(async |g| {
            let (one, two) = (left.clone(), left.clone());
            g.task("bad").spawn(async {
                sleep(ms(30)).await;
                err("broken")
            });
            g.spawn(async move {
                pending::<()>().await;
                drop(one);
            });
            g.spawn(async { sleep(ms(10)).await });
            pending::<()>().await;
            drop(two);
            Ok(())
        });
        let error = assert_took!(run, ms(30)).unwrap_err();
        assert_eq!(alive(&left), 0, "a destructor has not run");
        assert_eq!(failures(&error), ["bad: broken"]);
        assert_eq!((error.finished(), error.cancelled()), (1, 1));
    });
}

#[test]
fn an_error_of_a_task_ends_a_group_whose_body_is_done() {
    World::run(async |_| {
        let run = group(async |g| {
            g.spawn(pending::<()>());
            g.spawn(async {
                sleep(ms(30)).await;
                err("late")
            });
            Ok(())
        });
        let error = assert_took!(run, ms(30)).unwrap_err();
        assert_eq!(failures(&error), ["-: late"]);
    });
}

#[test]
fn an_error_of_the_body_ends_the_tasks() {
    World::run(async |_| {
        let left = Alive::default();
        let line = line!() + 1;
        let run = group(async |g| -> Result<(), BoxError> {
            let mine = left.clone();
            g.spawn(async move {
                pending::<()>().await;
                drop(mine);
            });
            sleep(ms(5)).await;
            Err("no".into())
        });
        let error = assert_took!(run, ms(5)).unwrap_err();
        assert_eq!(alive(&left), 0);
        assert_eq!(failures(&error), ["body: no"]);
        assert_eq!(error.first().after, ms(5));
        assert_eq!((error.first().place.file(), error.first().place.line()), (file!(), line));
    });
}

#[test]
fn a_panic_of_the_body_goes_on_when_the_tasks_have_ended() {
    World::run(async |_| {
        let left = Alive::default();
        let run = group(async |g| -> Result<(), BoxError> {
            let mine = left.clone();
            g.spawn(async move {
                pending::<()>().await;
                drop(mine);
            });
            sleep(ms(5)).await;
            throw("body")
        });
        let panic = assert_took!(catch_panic(run), ms(5)).unwrap_err();
        assert_eq!(panic.message(), Some("body"));
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn a_panic_of_the_closure_itself_is_one_of_the_body() {
    World::run(async |_| {
        let run = group(|g| {
            g.spawn(pending::<()>());
            if g.stop().is_draining() {
                return std::future::ready(Ok(()));
            }
            throw("closure")
        });
        assert_eq!(catch_panic(run).await.unwrap_err().message(), Some("closure"));
    });
}

#[test]
fn failures_after_the_first_are_listed_in_order_and_do_not_replace_it() {
    /// Panics when it is cancelled.
    struct Sore(&'static str);
    impl Drop for Sore {
        fn drop(&mut self) {
            throw(self.0)
        }
    }
    World::run(async |_| {
        let error = group(async |g| {
            g.task("first").spawn(async {
                sleep(ms(1)).await;
                err("root")
            });
            for name in ["b", "c"] {
                g.task(name).spawn(async move {
                    let _sore = Sore(name);
                    pending::<()>().await;
                });
            }
            g.spawn(pending::<()>());
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(failures(&error), ["first: root", "b: panicked: b", "c: panicked: c"]);
        assert_eq!((error.finished(), error.cancelled()), (0, 1));
        assert!(error.into_failures().all(|failure| failure.after == ms(1)));
    });
}

#[test]
fn a_task_that_spawns_without_end_is_stopped_by_a_failure() {
    fn breed(g: Group, born: Arc<AtomicUsize>) {
        born.fetch_add(1, Ordering::Relaxed);
        g.clone().spawn(async move {
            sleep(ms(1)).await;
            breed(g, born);
        });
    }
    World::run(async |_| {
        let born = Arc::new(AtomicUsize::new(0));
        let run = group(async |g| {
            breed(g.clone(), born.clone());
            g.spawn(async {
                sleep(ms(50)).await;
                err("enough")
            });
            Ok(())
        });
        let error = assert_took!(run, ms(50)).unwrap_err();
        let born = born.load(Ordering::Relaxed);
        assert_eq!(failures(&error), ["-: enough"]);
        assert_eq!(error.finished() + error.cancelled(), born);
    });
}

#[test]
fn a_nested_group_fails_as_a_task_of_the_outer_one() {
    World::run(async |_| {
        let run = group(async |outer| {
            outer.task("inner").spawn(group(async |g| {
                g.task("leaf").spawn(async {
                    sleep(ms(7)).await;
                    err("root")
                });
                Ok(())
            }));
            outer.spawn(pending::<()>());
            Ok(())
        });
        let error = assert_took!(run, ms(7)).unwrap_err();
        let inner = error.downcast_ref::<GroupError>().expect("the inner group's error");
        assert_eq!(failures(inner), ["leaf: root"]);
        assert_eq!(error.first().name.as_deref(), Some("inner"));
    });
}

#[test]
fn an_outer_failure_takes_a_nested_group_with_it() {
    World::run(async |_| {
        let left = Alive::default();
        let mine = left.clone();
        let run = group(async move |outer| {
            outer.spawn(group(async move |g| {
                g.spawn(async move {
                    pending::<()>().await;
                    drop(mine);
                });
                pending::<Result<(), BoxError>>().await
            }));
            outer.spawn(async {
                sleep(ms(9)).await;
                err("outer")
            });
            Ok(())
        });
        let error = assert_took!(run, ms(9)).unwrap_err();
        assert_eq!((failures(&error).as_slice(), error.cancelled()), (["-: outer".to_owned()].as_slice(), 1));
        // The inner group was dropped, which cannot wait for its task.
        tokio::task::yield_now().await;
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn an_outer_drain_while_a_group_fails_is_seen_and_takes_no_place() {
    World::run(async |_| {
        let run = group(async |outer| {
            let inner = Group::builder().grace(ms(20)).run(async |g| {
                let stop = g.stop().clone();
                g.spawn(async move {
                    stop.draining().await;
                    sleep(ms(10)).await;
                });
                sleep(ms(5)).await;
                err("inner")
            });
            let stop = outer.stop().clone();
            outer.spawn(async move {
                sleep(ms(7)).await;
                stop.drain("outer");
            });
            assert_eq!(failures(&assert_took!(inner, ms(15)).unwrap_err()), ["body: inner"]);
            assert_eq!((outer.stop().is_draining(), outer.stop().reason()), (true, Some("outer")));
            Ok(())
        });
        assert_took!(run, ms(15)).unwrap();
    });
}
