//! How do many processes share one quota? They take permits from a bucket in Redis, a few at a time, and have a
//! rule for an outage: here each goes on with its third. `REDIS_URL=redis://localhost` names the server; without one,
//! three tasks share a store in memory.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{env, error, process::Command, time::Duration};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, MemoryStore, OnFailure, RedisStore, store::Store},
};
use tokio::time::{Instant, sleep};

/// The partner allows 100 calls a second to all of us.
fn quota(store: impl Store) -> Distributed {
    Distributed::new(store, "cookbook:partner", Rate::per_second(100))
        .burst(20)
        .lease(5)
        .timeout(Duration::from_millis(50))
        .on_failure(OnFailure::LocalShare(3))
}

/// Calls the partner for two seconds.
async fn work(name: &str, quota: Distributed) {
    let end = Instant::now() + Duration::from_secs(2);
    let mut calls = 0;
    while Instant::now() < end {
        match quota.acquire().await {
            Ok(()) => calls += 1,
            Err(error) => {
                println!("{name}: {error}");
                sleep(error.retry_after().unwrap_or_default()).await;
            }
        }
    }
    // The rest of the lease goes to the others.
    quota.close().await;
    let down = if quota.snapshot().store_down { ", and Redis does not answer" } else { "" };
    println!("{name}: {calls} calls{down}");
}

#[tokio::main(flavor = "current_thread")]
async fn process(name: &str, url: &str) -> Result<(), Box<dyn error::Error>> {
    // It connects when it is first used, and reconnects when needed: a program can start without Redis.
    let store = RedisStore::new(redis::Client::open(url)?);
    work(name, quota(store)).await;
    Ok(())
}

/// Three tasks and a store in memory.
#[tokio::main(flavor = "current_thread")]
async fn tasks() {
    println!("REDIS_URL is not set: three tasks and a store in memory");
    scenario().await;
}

pub(crate) async fn scenario() {
    let store = MemoryStore::new();
    tokio::join!(
        work("task 1", quota(store.clone())),
        work("task 2", quota(store.clone())),
        work("task 3", quota(store)),
    );
}

fn main() -> Result<(), Box<dyn error::Error>> {
    match (env::var("REDIS_URL"), env::args().nth(1)) {
        (Ok(url), Some(name)) => return process(&name, &url),
        (Ok(_), None) => {
            let start = |name| Command::new(env::current_exe()?).arg(name).spawn();
            for child in ["process 1", "process 2", "process 3"].map(start) {
                child?.wait()?;
            }
        }
        (Err(_), _) => tasks(),
    }
    println!("all together: a burst of 20, and 100 calls a second");
    Ok(())
}
