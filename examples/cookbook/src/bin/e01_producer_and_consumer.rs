//! How do a producer and its consumers hand work over? Through a queue: bounded, without a sentinel, and it knows when the
//! work is done.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_stream::{Capacity, queue};
use tokio::time::sleep;

pub(crate) async fn scenario() {
    let (jobs, consumer) = queue(Capacity::items(2));

    let consumers: Vec<_> = (0..2)
        .map(|number| {
            let consumer = consumer.clone();
            tokio::spawn(async move {
                let mut taken = 0;
                // The end of the queue is the end of the loop.
                while let Some(job) = consumer.pop().await {
                    sleep(Duration::from_millis(5)).await;
                    taken += 1;
                    // The job is done when it is dropped, and if this task were aborted here, too.
                    drop(job);
                }
                println!("consumer {number} has taken some: {}", taken > 0);
            })
        })
        .collect();
    drop(consumer);

    for id in 0..10 {
        // Waits while two jobs stand in the queue.
        if let Err(refused) = jobs.push(id).await {
            println!("job {} has no consumer", refused.into_item());
        }
    }
    match jobs.join().await {
        Ok(()) => println!("all {} are done", jobs.snapshot().done),
        Err(error) => println!("{error}"),
    }
    jobs.close();
    for consumer in consumers {
        let _ = consumer.await;
    }

    // A job that must not be lost goes back when its task dies.
    let (jobs, consumer) = queue(Capacity::items(10));
    let _ = jobs.push("important").await;
    let job = consumer.pop().await.map(|job| job.put_back_on_drop());
    drop(job);
    println!("back in the queue: {:?}", jobs.close_now());
}

#[tokio::main]
async fn main() {
    scenario().await;
}
