//! How do I limit the work that runs at the same time? With a limit whose permits return on drop. Heavy work takes several
//! permits, waiters are served in order and have a deadline, and the queue is bounded.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_limit::{ConcurrencyLimiter, Denied, Reason};
use tokio::time::{Instant, sleep};

/// The maximum of megabytes in use at once.
static MEMORY: ConcurrencyLimiter = ConcurrencyLimiter::new(100).max_waiters(50).named("memory");

async fn resize(image: u32, megabytes: u32) -> Result<(), Denied> {
    let deadline = Instant::now() + Duration::from_millis(300);
    let _permit = MEMORY.acquire_many(megabytes).by(deadline).await?;
    sleep(Duration::from_millis(200)).await;
    println!("image {image} of {megabytes} MB is done");
    Ok(())
}

pub(crate) async fn scenario() {
    // Two fit at once, then one after the other; of the last two, one is too late and the other never fits.
    let all = [resize(1, 60), resize(2, 40), resize(3, 90), resize(4, 90), resize(5, 101)];
    for (image, result) in (1..).zip(futures::future::join_all(all).await) {
        match result {
            Ok(()) => {}
            Err(denied) if denied.reason == Reason::Deadline => println!("image {image} would be too late"),
            Err(denied) => println!("image {image}: {denied}"),
        }
    }
    println!("{:?}", MEMORY.snapshot());
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
