//! How do I move a call from backon to a policy? The arithmetic stays; the numbers become a `static`, and the error says why it
//! gave up.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{cell::Cell, io, time::Duration};

use tokio::time::Instant;

/// A server that refuses so many calls.
struct Server {
    refuses: u32,
    calls: Cell<u32>,
}

impl Server {
    fn refusing(refuses: u32) -> Self {
        Self { refuses, calls: Cell::new(0) }
    }

    async fn call(&self) -> io::Result<&'static str> {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() > self.refuses {
            Ok("done")
        } else {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }
}

fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

mod before {
    use super::{Duration, Server, io, is_refused};

    // ANCHOR: before
    use backon::{ExponentialBuilder, Retryable as _};

    pub(super) async fn fetch(server: &Server) -> io::Result<&'static str> {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(10))
            .with_max_times(3);
        (|| server.call())
            .retry(backoff)
            .when(is_refused)
            .notify(|error, delay| println!("  {error}, again in {delay:?}"))
            .await
    }
    // ANCHOR_END: before
}

mod after {
    use super::{Duration, Server, io, is_refused};

    // ANCHOR: after
    use evenkeel_retry::{Backoff, Jitter, Policy, RetryError};

    const WAITS: Backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10));

    /// Without `.jitter(Jitter::None)` clients do not come back all at once.
    static POLICY: Policy = Policy::new(WAITS.jitter(Jitter::None)).max_retries(3).named("fetch");

    pub(super) async fn fetch(server: &Server) -> Result<&'static str, RetryError<io::Error>> {
        POLICY
            .run(|| server.call())
            .when(is_refused)
            .observe(|retry| {
                let error = retry.error.map(ToString::to_string).unwrap_or_default();
                println!("  {error}, again in {:?}", retry.delay);
            })
            .await
    }
    // ANCHOR_END: after
}

pub(crate) async fn scenario() {
    for refuses in [2, 5] {
        let (server, start) = (Server::refusing(refuses), Instant::now());
        println!("backon:");
        match before::fetch(&server).await {
            Ok(answer) => println!("{answer} after {:?}", start.elapsed()),
            Err(error) => println!("failed after {:?}: {error}", start.elapsed()),
        }
        let (server, start) = (Server::refusing(refuses), Instant::now());
        println!("a policy:");
        match after::fetch(&server).await {
            Ok(answer) => println!("{answer} after {:?}", start.elapsed()),
            Err(error) => println!("failed after {:?}: {error}", start.elapsed()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
