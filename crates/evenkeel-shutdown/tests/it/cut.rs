//! A run, dropped at every await point.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_shutdown::Shutdown;
use evenkeel_testkit::cancel;
use tokio::time::sleep;

use crate::{Alive, alive, ms};

#[test]
fn a_run_leaves_no_task() {
    type State = (Alive, Arc<AtomicUsize>);
    let cuts = cancel::every_point(
        async || State::default(),
        async |(left, work): State| {
            let (shutdown, stop) = Shutdown::manual();
            let mut shutdown = shutdown.grace(ms(10));
            for steps in [2, 4, 100] {
                let (left, work) = (left.clone(), work.clone());
                shutdown = shutdown.task("worker", async move |stop| {
                    for step in 1..=steps {
                        sleep(ms(step)).await;
                        work.fetch_add(1, Ordering::Relaxed);
                        if step == 3 {
                            stop.drain("one has finished");
                        }
                    }
                    drop(left);
                });
            }
            let report = shutdown.run().await;
            assert_eq!((report.hung().count(), stop.is_aborting()), (1, true));
        },
        async |(left, work): State| {
            assert_eq!(alive(&left), 0, "a task was not dropped");
            let before = work.load(Ordering::Relaxed);
            sleep(ms(10_000)).await;
            assert_eq!(work.load(Ordering::Relaxed), before, "a task goes on working");
        },
    );
    assert_eq!(
        cuts.points(),
        3,
        "until the drain, until the end of the grace period, until the last task is gone"
    );
}
