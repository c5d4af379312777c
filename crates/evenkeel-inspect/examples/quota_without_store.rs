//! The server that counts the quota of all processes is gone, and no call is made without it.
#![expect(clippy::print_stdout, reason = "it shows the dump")]

use std::{io, sync::Arc, time::Duration};

use evenkeel_inspect::{Dump, dump_of};
use evenkeel_limit::{
    Distributed, Rate,
    distributed::{
        OnFailure,
        store::{Store, Take, Taken},
    },
};
use evenkeel_retry::Policy;
use evenkeel_task::{BoxError, GroupError, group};
use tokio::{runtime::Handle, time::sleep};

static POLICY: Policy = Policy::fixed(Duration::from_secs(8)).max_attempts(100).named("quota");

/// A store that nobody answers for: in production `RedisStore`.
struct Gone;

impl Store for Gone {
    type Error = io::Error;

    async fn take(&self, _: Take<'_>) -> Result<Taken, io::Error> {
        Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"))
    }
}

async fn call(quota: Arc<Distributed>) -> Result<(), BoxError> {
    POLICY.run(|| quota.acquire()).await?;
    sleep(Duration::from_millis(50)).await; // the call
    Ok(())
}

async fn work() -> Result<(), GroupError> {
    let quota = Distributed::new(Gone, "partner", Rate::per_second(50)).named("calls of the partner");
    let quota = Arc::new(quota.on_failure(OnFailure::Closed));
    group(async |g| {
        for n in 1..=3 {
            g.task(format!("call {n}")).spawn(call(quota.clone()));
        }
        Ok(())
    })
    .await
}

/// Looks at the program after thirty seconds, in which its clock jumps.
pub(crate) async fn look() -> Dump {
    tokio::select! {
        ended = work() => panic!("it does not stand still: {ended:?}"),
        dump = async {
            sleep(Duration::from_secs(30)).await;
            dump_of(Handle::current().id())
        } => dump,
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("{}", look().await);
}
