//! How do I bound the time of something? With `timeout` for one future, a deadline for a group, a policy's two limits for
//! attempts and for all of them; the error says which limit it was.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{future::pending, io, time::Duration};

use evenkeel_retry::Policy;
use evenkeel_task::Group;
use tokio::time::{Instant, timeout};

const SHORT: Duration = Duration::from_millis(20);

static POLICY: Policy = Policy::exponential(SHORT, Duration::from_secs(1))
    .attempt_timeout(SHORT)
    .total_timeout(Duration::from_millis(100))
    .named("call");

pub(crate) async fn scenario() {
    if let Err(late) = timeout(SHORT, pending::<()>()).await {
        println!("one future: {late}");
    }
    let run = Group::builder().deadline(Instant::now() + SHORT).run(async |g| {
        g.spawn(pending::<()>());
        g.spawn(async {});
        Ok(())
    });
    if let Err(error) = run.await {
        println!("a group: {error}");
    }
    if let Err(error) = POLICY.run(pending::<io::Result<()>>).await {
        println!("a retried call: {error}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
