//! How do I close a resource whose close needs an `await`? With `using`: acquire, release, body. The release runs
//! after a value, an error, a panic, and when the caller is dropped.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{error::Error as _, future::pending, io, time::Duration};

use evenkeel_task::{GroupError, group, using};
use tokio::time::{sleep, timeout};

struct Lock(&'static str);

impl Lock {
    async fn take(name: &'static str) -> io::Result<Self> {
        println!("{name}: taken");
        Ok(Self(name))
    }

    async fn free(self) -> io::Result<()> {
        sleep(Duration::from_millis(10)).await;
        println!("{}: free", self.0);
        Ok(())
    }
}

pub(crate) async fn scenario() -> Result<(), GroupError> {
    group(async |_g| {
        let value = using(Lock::take("value"), Lock::free, async |lock| Ok(lock.0.len())).await?;
        println!("value: {value}");

        let failed =
            using(Lock::take("error"), Lock::free, async |_lock| Err::<(), _>("no such file".into()));
        if let Err(error) = failed.await {
            println!("error: {error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
        }

        let cut = using(Lock::take("cut"), Lock::free, async |_lock| {
            pending::<()>().await;
            Ok(())
        });
        println!("cut: {}", timeout(Duration::from_millis(10), cut).await.is_err());
        Ok(())
    })
    .await?;
    println!("nothing is held");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GroupError> {
    scenario().await
}
