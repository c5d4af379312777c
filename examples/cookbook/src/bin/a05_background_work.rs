//! How do I start background work that is not lost? As a named task of a group: it can be listed and stopped, and its
//! error is returned.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{future::pending, time::Duration};

use evenkeel_task::{BoxError, group};
use tokio::time::sleep;

pub(crate) async fn scenario() {
    let served = group(async |g| {
        g.task("metrics").spawn(async {
            sleep(Duration::from_millis(30)).await;
            Err::<(), BoxError>("the disk is full".into())
        });
        g.task("cache").spawn(pending::<()>());
        sleep(Duration::from_millis(10)).await;
        for task in g.live() {
            println!("{}: {:?}", task.name.as_deref().unwrap_or("-"), task.state);
        }
        // The rest of the program; it ends when a task fails.
        pending::<Result<(), BoxError>>().await
    });
    if let Err(error) = served.await {
        println!("{:#}; {} other was stopped", error.first(), error.cancelled());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
