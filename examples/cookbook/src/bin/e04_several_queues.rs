//! How do I work on several queues by the same stages, so that none waits for another? Each has its own acks and leases, and
//! its share of the items in hand: a backlog in one leaves the others theirs.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{error::Error, io, time::Duration};

use evenkeel_pipeline::{MemoryBroker, Pipeline};
use tokio::time::{Instant, sleep};

pub(crate) async fn scenario() -> Result<(), Box<dyn Error>> {
    // In memory here, so that the program needs no server. They may be of different kinds, with items of one type.
    let (imports, requests) = (MemoryBroker::new(), MemoryBroker::new());
    for n in 0..500 {
        imports.publish(format!("import {n}")).await?;
    }
    let start = Instant::now();
    let running = Pipeline::from(imports.source())
        .merge(requests.source())
        .stage("work", async |job: String| -> io::Result<String> {
            sleep(Duration::from_millis(5)).await;
            Ok(job)
        })
        .limit(8)
        .stage("tell", async move |job: String| -> io::Result<()> {
            if job.starts_with("request") {
                println!("{job} was done after {:?}, before the backlog", start.elapsed());
            }
            Ok(())
        })
        .start()?;

    sleep(Duration::from_millis(50)).await;
    requests.publish("request 1".to_owned()).await?;
    sleep(Duration::from_millis(50)).await;
    println!("{} imports are done by now", imports.snapshot().acked);

    // The pipeline ends when both queues have.
    imports.close();
    requests.close();
    println!("{}", running.await?);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    scenario().await
}
