//! The timeline in the guide equals the real one.

use std::{fmt::Write, time::Duration};

use evenkeel_shutdown::{Shutdown, Stop};
use evenkeel_testkit::World;
use tokio::time::sleep;

const GUIDE: &str = include_str!("../../GUIDE.md");

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_timeline_of_a_stop() {
    World::run(async |w| {
        let record = w.record().clone();
        let (shutdown, stop) = Shutdown::manual();
        let mut ready = shutdown.handle().readiness();
        let (http, jobs, pool) = (record.clone(), record.clone(), record.clone());
        let shutdown = shutdown
            .grace(secs(28))
            .pre_stop(secs(5))
            .task("http", async move |stop: Stop| {
                stop.draining().await;
                http.note("http is asked to drain");
                sleep(secs(3)).await;
                http.note("http has ended");
            })
            .vital()
            .phase("work")
            .task("jobs", async move |stop: Stop| {
                stop.draining().await;
                jobs.note("jobs is asked to drain");
                stop.aborting().await;
            })
            .phase("close")
            .reserve(secs(4))
            .on_stop("pool", async move || {
                pool.note("the pool is closed");
                sleep(secs(1)).await;
            });
        let signal = async {
            ready.wait_for(|ready| *ready).await.expect("it lives");
            stop.drain("SIGTERM");
            ready.wait_for(|ready| !*ready).await.expect("it lives");
            record.note("SIGTERM: not ready any more; http still takes requests");
        };
        let (report, ()) = tokio::join!(shutdown.run(), signal);
        for hung in report.hung() {
            record.note(format!("the report: {} hung", hung.name));
        }

        let mut lines = Vec::<(u64, String)>::new();
        for (at, what) in record.timeline() {
            match lines.last_mut() {
                // Two events of one instant that follow from one cause share a line.
                Some((last, line)) if *last == at.as_secs() && what.ends_with("jobs is asked to drain") => {
                    let _ = write!(line, "; {what}");
                }
                _ => lines.push((at.as_secs(), what)),
            }
        }
        let jobs = report.tasks.iter().find(|task| task.name == "jobs").expect("it was given");
        let dropped = (
            jobs.after.as_secs(),
            "jobs hangs and is dropped: the last 4 seconds are for the pool".to_owned(),
        );
        let at = lines.iter().position(|(at, _)| *at >= dropped.0).expect("the pool is closed after it");
        lines.insert(at, dropped);
        let mut timeline = String::new();
        for (at, what) in lines {
            let _ = writeln!(timeline, "{:>5}  {what}", format!("{at}s"));
        }
        assert!(GUIDE.contains(&timeline), "the guide has another timeline than\n{timeline}");
    });
}
