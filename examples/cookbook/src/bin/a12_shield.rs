//! How do I keep a critical section from being cancelled? With `shield`: when the caller is dropped it goes on, within a
//! limit, and the group around it waits.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_task::{GroupError, group, shield};
use tokio::time::{sleep, timeout};

async fn pay() {
    println!("money leaves one account ...");
    sleep(Duration::from_millis(50)).await;
    println!("... and reaches the other");
}

pub(crate) async fn scenario() -> Result<(), GroupError> {
    group(async |_g| {
        let paid = timeout(Duration::from_millis(10), shield(Duration::from_secs(5), pay())).await;
        println!("the caller gave up: {}", paid.is_err());
        Ok(())
    })
    .await?;
    println!("the group has ended");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GroupError> {
    scenario().await
}
