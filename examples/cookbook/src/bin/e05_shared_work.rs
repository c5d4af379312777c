//! How do several workers share one queue, and what happens when one of them dies? Each runs the same pipeline; the leases of
//! the dead one run out, and the others get its items.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_pipeline::{MemoryBroker, MemoryConfig, Pipeline, Running};
use tokio::time::sleep;

/// The broker is in memory here, so that the program needs no server: with one, each worker is a process.
fn worker(jobs: &MemoryBroker<u32>, done: &Arc<AtomicU32>) -> Result<Running, Box<dyn Error>> {
    let done = Arc::clone(done);
    let pipeline = Pipeline::from(jobs.source())
        .messages()
        .stage("work", async move |job| -> io::Result<()> {
            sleep(Duration::from_millis(20)).await;
            if job.attempt > 1 {
                println!("job {} comes again, as attempt {}", job.item, job.attempt);
            }
            done.fetch_add(1, Relaxed);
            Ok(())
        })
        .limit(4);
    Ok(pipeline.window(4).start()?)
}

pub(crate) async fn scenario() -> Result<(), Box<dyn Error>> {
    // Long enough for a worker to extend, short enough to notice a dead one soon.
    let config = MemoryConfig { ack_wait: Duration::from_millis(300), ..MemoryConfig::default() };
    let jobs = MemoryBroker::with(config);
    for job in 0..200 {
        jobs.publish(job).await?;
    }
    jobs.close();
    let done = Arc::new(AtomicU32::new(0));
    let [dies, stops, stays] = [worker(&jobs, &done)?, worker(&jobs, &done)?, worker(&jobs, &done)?];

    sleep(Duration::from_millis(50)).await;
    drop(dies); // as `kill -9`: what it had in hand is not settled
    let report = stops.drain(Duration::ZERO).await?;
    println!("one has to stop at once, and hands back {} jobs without an attempt", report.left());

    stays.await?;
    println!(
        "{} messages left in the queue, {} runs of 200 jobs",
        jobs.snapshot().stored,
        done.load(Relaxed)
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    scenario().await
}
