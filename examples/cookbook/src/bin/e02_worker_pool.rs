//! How do I run a pool of workers? With `workers` of a queue: a failure or a panic stops nobody, and what was not started comes
//! back. In a program with a `Shutdown` a clean-up closes them.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_shutdown::Shutdown;
use evenkeel_stream::{Capacity, ItemError, queue};
use tokio::time::sleep;

async fn crawl(page: u32) -> Result<(), String> {
    sleep(Duration::from_millis(10)).await;
    match page {
        3 => Err("page 3 is gone".into()),
        // Panics without the text on stderr that `panic!` writes.
        5 => std::panic::resume_unwind(Box::new("a bug at page 5")),
        _ => Ok(()),
    }
}

/// Workers as a part of a program. They go on until the producers have ended, and then finish what they have started.
fn program(shutdown: Shutdown) -> Shutdown {
    let (pages, consumer) = queue(Capacity::items(20));
    let workers = consumer.workers(3, crawl);
    shutdown
        .task("producer", async move |stop| {
            for page in 300.. {
                let Some(Ok(())) = stop.run_until_draining(pages.push(page)).await else { break };
            }
        })
        .phase("workers")
        // The time that this phase has, however long the producer takes: that of the close, and some more.
        .reserve(Duration::from_secs(3))
        // It is called once, so it may own the workers.
        .on_stop("workers", async move || {
            let report = workers.close_now(Duration::from_secs(2)).await;
            println!("{} done, {} not started", report.done, report.unstarted.len());
        })
}

pub(crate) async fn scenario() {
    let (pages, consumer) = queue(Capacity::items(100));
    let workers = consumer.workers(3, crawl);
    for page in 0..10 {
        if pages.push(page).await.is_err() {
            return;
        }
    }
    // The usual pattern of asyncio hangs here when its workers have died.
    let joined = pages.join().await;
    println!("joined: {}", joined.is_ok());

    // A hundred more, and no time for all of them.
    for page in 100..200 {
        let _ = pages.try_push(page);
    }
    let report = workers.close(Duration::from_millis(25)).await;
    println!(
        "{} done, {} failed, {} panicked, {} aborted",
        report.done, report.failed, report.panicked, report.aborted
    );
    for failure in &report.failures {
        match failure {
            ItemError::Error(error) => println!("- {error}"),
            ItemError::Panic(panic) => println!("- {panic}"),
            other => println!("- {other}"),
        }
    }
    println!("some were not started: {}", !report.unstarted.is_empty());

    // `Shutdown::new()` in your program, which hears signals.
    let (shutdown, stop) = Shutdown::manual();
    let signal = async {
        sleep(Duration::from_millis(25)).await;
        stop.drain("SIGTERM");
    };
    let (report, ()) = tokio::join!(program(shutdown).run(), signal);
    println!("it stops in order: {}", report.exit_code() == 0);
}

#[tokio::main]
async fn main() {
    scenario().await;
}
