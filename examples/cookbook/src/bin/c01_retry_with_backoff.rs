//! How do I try again, a little later each time? With a policy, as a `static`; the call says which errors are
//! retried.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{cell::Cell, io, time::Duration};

use evenkeel_retry::{Backoff, Jitter, Policy};

static POLICY: Policy = Policy::new(
    Backoff::exponential(Duration::from_millis(50), Duration::from_secs(2)).jitter(Jitter::Equal),
)
.max_attempts(5)
.attempt_timeout(Duration::from_secs(1))
.total_timeout(Duration::from_secs(10))
.named("connect");

/// Refuses twice, as a starting server does.
async fn connect(calls: &Cell<u32>) -> io::Result<&'static str> {
    calls.set(calls.get() + 1);
    match calls.get() {
        1 | 2 => Err(io::ErrorKind::ConnectionRefused.into()),
        _ => Ok("connected"),
    }
}

pub(crate) async fn scenario() -> Result<(), Box<dyn std::error::Error>> {
    let calls = Cell::new(0);
    let answer = POLICY
        .run(|| connect(&calls))
        .when(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        .observe(|retry| println!("attempt {} failed, again in {:?}", retry.attempt, retry.delay))
        .await?;
    println!("{answer}");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    scenario().await
}
