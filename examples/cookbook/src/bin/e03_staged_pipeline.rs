//! How do I fetch, enrich and store, each at its own pace? With a `Pipeline`: the stages overlap, a failure is tried again, and
//! what fails for good is kept with its reason.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{error::Error, io, time::Duration};

use evenkeel_limit::RateLimiter;
use evenkeel_pipeline::{Batch, DeadLetter, MemoryBroker, Message, Pipeline, SinkError};
use evenkeel_retry::Policy;
use tokio::time::sleep;

static API: RateLimiter = RateLimiter::per_second(500).burst(50).named("api");
static POLICY: Policy = Policy::exponential(Duration::from_millis(5), Duration::from_secs(1));

async fn call(user: u32) -> io::Result<String> {
    sleep(Duration::from_millis(10)).await;
    if user == 13 { Err(io::Error::other("no such user")) } else { Ok(format!("user {user}")) }
}

/// Retries within the stage: the item keeps its place, and each attempt takes its turn at the limiter.
async fn fetch(user: u32) -> Result<String, Box<dyn Error + Send + Sync>> {
    let fetched = POLICY.run(|| async {
        API.acquire().await;
        call(user).await
    });
    Ok(fetched.await?)
}

async fn enrich(user: String) -> io::Result<String> {
    sleep(Duration::from_millis(10)).await;
    Ok(format!("{user}, enriched"))
}

/// The id of a message is the same at each attempt: as a unique column it makes the write happen once.
async fn store(users: Vec<Message<String>>) -> Result<(), SinkError> {
    sleep(Duration::from_millis(20)).await;
    println!("stored {} users, the first by the id {}", users.len(), users[0].id);
    Ok(())
}

pub(crate) async fn scenario() -> Result<(), Box<dyn Error>> {
    let users = MemoryBroker::new();
    let dead: MemoryBroker<DeadLetter<u32>> = MemoryBroker::new();
    for user in 0..200 {
        users.publish(user).await?;
    }
    let running = Pipeline::from(users.source())
        .stage("fetch", fetch)
        .limit(20)
        .timeout(Duration::from_secs(5))
        .stage("enrich", enrich)
        .limit(10)
        .sink("store", Batch::items(50).within(Duration::from_millis(100)), store)
        .max_attempts(2)
        .backoff(|_| Duration::from_millis(50))
        .dead_letter(dead.clone())
        .start()?;
    sleep(Duration::from_millis(100)).await;
    println!("held up by {}", running.snapshot().bottleneck());
    // Nothing more is published: it ends with the last one.
    users.close();
    println!("{}", running.await?);

    dead.close();
    let letters =
        Pipeline::from(dead.source()).stage("read", async |letter: DeadLetter<u32>| -> io::Result<()> {
            println!("user {} failed {} times: {}", letter.item, letter.attempts, letter.reason);
            Ok(())
        });
    letters.start()?.await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    scenario().await
}
