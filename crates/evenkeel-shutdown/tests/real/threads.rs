//! Stops that race with ends, panics, guards and other stops, on real threads.

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use evenkeel_shutdown::{Outcome, Shutdown};
use tokio::{runtime::Builder, task::yield_now};

const ROUNDS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(60);

/// The outcomes of the tasks in all rounds, counted.
#[derive(Debug, Default)]
struct Counts {
    finished: usize,
    failed: usize,
    panicked: usize,
}

#[test]
#[ignore = "real tier"]
fn a_stop_that_races_with_everything_loses_nothing() {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    let mut counts = Counts::default();
    for round in 0..ROUNDS {
        let alive = Arc::new(());
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let mut shutdown = shutdown.grace(PATIENCE);
        for task in 0..4 {
            let (mine, handle) = (alive.clone(), handle.clone());
            shutdown = shutdown.task("task", async move |stop| {
                let _mine = mine;
                for _ in 0..round % 7 {
                    yield_now().await;
                }
                let guard = handle.guard("work");
                tokio::spawn(async move {
                    yield_now().await;
                    drop(guard);
                });
                match task {
                    0 => resume_unwind(Box::new("it panics")),
                    1 => return Err("it fails"),
                    2 => stop.drain("it stops the program"),
                    _ => {
                        let _ = handle.spawn("late", async |stop| stop.draining().await);
                        stop.draining().await;
                    }
                }
                Ok(())
            });
        }
        let (mine, outside) = (alive.clone(), handle);
        let shutdown = shutdown.phase("close").on_stop("pool", async move || drop(mine));
        let (report, outside) = runtime.block_on(async {
            let run = tokio::spawn(shutdown.run());
            let trigger = tokio::spawn(async move {
                for _ in 0..round % 5 {
                    yield_now().await;
                }
                stop.drain("it races");
                // Accepted tasks are waited for, until no task is accepted any more.
                let mut taken = 0;
                while outside.spawn("outside", async |_stop| yield_now().await).is_ok() {
                    taken += 1;
                    yield_now().await;
                }
                taken
            });
            (run.await.expect("a run does not panic"), trigger.await.expect("nor does this"))
        });
        assert_eq!(report.tasks.iter().filter(|task| task.name == "outside").count(), outside, "{report}");
        assert_eq!(Arc::strong_count(&alive), 1, "something is left");
        assert_eq!(report.hung().count(), 0, "{report}");
        for task in &report.tasks {
            match &task.outcome {
                Outcome::Finished => counts.finished += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::Panicked(_) => counts.panicked += 1,
                outcome => panic!("{outcome}"),
            }
        }
        // The late task is in the report, or was rejected.
        assert!((5..=6).contains(&(report.tasks.len() - outside)), "{report}");
    }
    assert_eq!((counts.failed, counts.panicked), (ROUNDS, ROUNDS), "{counts:?}");
    assert!(counts.finished >= 3 * ROUNDS, "{counts:?}");
}
