//! Tasks that belong to a handle.

use std::future::pending;

use evenkeel_task::{background, group};
use evenkeel_testkit::{World, assert_took, cancel};
use tokio::time::{sleep, timeout};

use crate::{Alive, alive, failures, ms, throw};

#[test]
fn it_is_drained_and_then_aborted() {
    World::run(async |_| {
        let drains = background(async |stop| {
            stop.draining().await;
            sleep(ms(10)).await;
            7
        });
        assert_eq!(assert_took!(drains.stop(ms(20)), ms(10)).unwrap().unwrap(), 7);
        let left = Alive::default();
        let mine = left.clone();
        let deaf = background(async move |_stop| {
            let _mine = mine;
            pending::<()>().await
        });
        assert!(!deaf.is_finished());
        assert!(assert_took!(deaf.stop(ms(20)), ms(20)).is_none());
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn a_panic_is_given() {
    struct Sore;
    impl Drop for Sore {
        fn drop(&mut self) {
            throw("sore")
        }
    }
    World::run(async |_| {
        let bug = background(async |_stop| -> u8 { throw("bug") });
        assert_eq!(bug.await.unwrap_err().message(), Some("bug"));
        let sore = || {
            background(async |_stop| {
                let _sore = Sore;
                pending::<()>().await;
            })
        };
        let stopped = sore().stop(ms(5)).await.expect("it panicked");
        assert_eq!(stopped.unwrap_err().message(), Some("sore"));
        let run = group(async |_g| {
            let task = sore();
            sleep(ms(1)).await;
            drop(task);
            Ok(())
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["background: panicked: sore"]);
    });
}

#[test]
fn awaiting_it_by_reference_and_giving_up_changes_nothing() {
    World::run(async |_| {
        let mut task = background(async |_stop| {
            sleep(ms(10)).await;
            7
        });
        assert!(timeout(ms(5), &mut task).await.is_err());
        assert_eq!(assert_took!(&mut task, ms(5)).unwrap(), 7);
        assert!(task.is_finished());
    });
}

#[test]
fn a_group_waits_for_what_a_dropped_handle_leaves() {
    World::run(async |_| {
        let left = Alive::default();
        let run = group(async |g| {
            let mine = left.clone();
            drop(background(async move |_stop| {
                let _mine = mine;
                pending::<()>().await
            }));
            assert_eq!(g.live().len(), 1);
            Ok(())
        });
        assert_took!(run, ms(0)).unwrap();
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn stopping_leaves_nothing_wherever_it_is_cut() {
    let cuts = cancel::every_point(
        async || Alive::default(),
        async |left| {
            let task = background(async move |_stop| {
                let _left = left;
                pending::<()>().await
            });
            task.stop(ms(5)).await;
        },
        async |left: Alive| assert_eq!(alive(&left), 0),
    );
    assert_eq!(cuts.points(), 2);
}

#[test]
fn a_panic_before_the_handle_was_dropped_is_the_groups() {
    World::run(async |_| {
        let run = group(async |_g| {
            let task = background(async |_stop| -> u8 { throw("bug") });
            sleep(ms(1)).await;
            assert!(task.is_finished());
            drop(task);
            Ok(())
        });
        assert_eq!(failures(&assert_took!(run, ms(1)).unwrap_err()), ["background: panicked: bug"]);
    });
}

#[test]
fn stopping_what_gave_its_output_gives_nothing() {
    World::run(async |_| {
        let mut task = background(async |_stop| 7);
        assert_eq!((&mut task).await.unwrap(), 7);
        assert!(task.stop(ms(5)).await.is_none());
    });
}

#[test]
fn what_went_away_with_its_runtime_is_a_panic_that_says_so() {
    const SAYS: &str = "the runtime of the task was shut down before the task ended";
    let gone = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let inside = gone.enter();
    let [stopped, awaited, dropped] = [(); 3].map(|()| background(async |_stop| pending::<()>().await));
    drop(inside);
    drop(gone);
    World::run(async |_| {
        assert_eq!(stopped.stop(ms(5)).await.unwrap().unwrap_err().message(), Some(SAYS));
        assert_eq!(awaited.await.unwrap_err().message(), Some(SAYS));
        let run = group(async |_g| {
            drop(dropped);
            Ok(())
        });
        assert_eq!(failures(&run.await.unwrap_err()), [format!("background: panicked: {SAYS}")]);
    });
}
