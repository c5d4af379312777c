//! Tasks that are started again when they fail.

use std::{
    iter::repeat,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use evenkeel_task::{Panic, Restart, group};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::{err, failures, ms, throw};

type Runs = Arc<AtomicU64>;

#[test]
fn a_task_that_fails_is_started_again_after_each_delay_and_then_given_up() {
    World::run(async |_| {
        let runs = Runs::default();
        let count = runs.clone();
        let run = group(async |g| {
            let restart = Restart::new([ms(10), ms(20), ms(40)]);
            g.task("feed").supervise(restart, async move || {
                sleep(ms(1)).await;
                if count.fetch_add(1, Ordering::Relaxed) == 1 { throw("bug") } else { err("lost") }
            });
            sleep(ms(15)).await;
            assert_eq!(g.live()[0].restarts, 1);
            Ok(())
        });
        let error = assert_took!(run, ms(74)).unwrap_err();
        assert_eq!((failures(&error), runs.load(Ordering::Relaxed)), (vec!["feed: lost".to_owned()], 4));
        assert_eq!((error.first().restarts, error.first().after), (3, ms(74)));
        assert!(error.to_string().ends_with(") failed after 74ms and 3 restarts"), "{error}");
    });
}

#[test]
fn a_panic_that_is_given_up_is_a_panic() {
    World::run(async |_| {
        let run = group(async |g| {
            g.task("feed").supervise(Restart::new([ms(1)]), async || -> () { throw("bug") });
            Ok(())
        });
        let error = assert_took!(run, ms(1)).unwrap_err();
        assert_eq!(failures(&error), ["feed: panicked: bug"]);
        assert!(error.to_string().ends_with(") panicked after 1ms and a restart"), "{error}");
    });
}

#[test]
fn a_good_end_is_the_end() {
    World::run(async |_| {
        let runs = Runs::default();
        let count = runs.clone();
        let run = group(async |g| {
            g.task("feed").supervise(Restart::new(repeat(ms(10))), async move || {
                if count.fetch_add(1, Ordering::Relaxed) < 2 { err("lost") } else { Ok(()) }
            });
            Ok(())
        });
        assert_took!(run, ms(20)).unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn too_many_restarts_in_a_short_time_are_the_end() {
    World::run(async |_| {
        let run = group(async |g| {
            let restart = Restart::new(repeat(ms(10))).intensity(3, ms(100));
            g.task("feed").supervise(restart, async || err("lost"));
            Ok(())
        });
        assert_eq!(assert_took!(run, ms(30)).unwrap_err().first().restarts, 3);
        // The same number of restarts, but each is out of the period of the third one before it.
        let run = group(async |g| {
            let restart = Restart::new([ms(34); 9]).intensity(3, ms(100));
            g.task("feed").supervise(restart, async || err("lost"));
            Ok(())
        });
        assert_eq!(assert_took!(run, ms(34 * 9)).unwrap_err().first().restarts, 9);
    });
}

#[test]
fn after_a_long_run_the_delays_begin_anew() {
    World::run(async |_| {
        let runs = Runs::default();
        let run = group(async |g| {
            let restart = Restart::new([ms(10), ms(20)]).intensity(5, ms(100));
            g.task("feed").supervise(restart, async move || {
                if runs.fetch_add(1, Ordering::Relaxed) == 1 {
                    sleep(ms(100)).await;
                }
                err("lost")
            });
            Ok(())
        });
        let error = assert_took!(run, ms(10 + 100 + 10 + 20)).unwrap_err();
        assert_eq!(error.first().restarts, 3);
    });
}

#[test]
fn a_group_that_drains_starts_nothing_again() {
    World::run(async |_| {
        let run = group(async |g| {
            g.task("feed").supervise(Restart::new(repeat(ms(100))), async || err("lost"));
            sleep(ms(30)).await;
            g.stop().drain("enough");
            Ok(())
        });
        assert_eq!(failures(&assert_took!(run, ms(30)).unwrap_err()), ["feed: lost"]);
    });
}

#[test]
fn a_group_that_has_ended_refuses_it() {
    World::run(async |_| {
        let g = group(async |g| Ok(g)).await.unwrap();
        g.task("late").supervise(Restart::new([]), async || throw("it runs"));
    });
}

#[test]
fn an_intensity_of_zero_panics() {
    assert!(Panic::catch(|| Restart::new([]).intensity(0, ms(1))).is_err());
    assert!(Panic::catch(|| Restart::new([]).intensity(1, ms(0))).is_err());
}
