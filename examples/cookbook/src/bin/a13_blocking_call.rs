//! How do I call something that blocks? With `blocking`, on a thread of its own; the call sees when it should stop.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_task::{GroupError, blocking, group};
use tokio::time::timeout;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GroupError> {
    group(async |_g| {
        let long = blocking(|stop| {
            let mut steps = 0_u64;
            while !stop.is_draining() {
                steps += 1;
                std::thread::park_timeout(Duration::from_millis(1));
            }
            println!("the call saw the stop: {}", steps > 1);
        });
        if timeout(Duration::from_millis(30), long).await.is_err() {
            println!("the caller gave up");
        }
        Ok(())
    })
    .await?;
    println!("no call runs any more");
    Ok(())
}
