//! How do I wait for a while, and keep the tasks that are not done yet? With tokio's own `JoinSet` and `timeout`: pending
//! tasks stay in the set, and end with it.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout_at},
};

pub(crate) async fn scenario() -> Result<(), JoinError> {
    let mut pending = JoinSet::new();
    for millis in [10, 20, 200, 60_000] {
        pending.spawn(async move {
            sleep(Duration::from_millis(millis)).await;
            millis
        });
    }
    if let Some(first) = pending.join_next().await {
        println!("the first: {} ms", first?);
    }
    let deadline = Instant::now() + Duration::from_millis(50);
    while let Ok(Some(done)) = timeout_at(deadline, pending.join_next()).await {
        println!("in time: {} ms", done?);
    }
    println!("{} are not done; the next of them ...", pending.len());
    if let Some(late) = pending.join_next().await {
        println!("... is {} ms", late?);
    }
    pending.shutdown().await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), JoinError> {
    scenario().await
}
