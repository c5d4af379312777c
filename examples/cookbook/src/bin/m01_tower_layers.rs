//! How do I put retries and limits into a stack of tower? As layers: the retry outside, so that each attempt takes its turn.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_limit::{
    RateLimiter,
    tower::{LimitError, LimitLayer},
};
use evenkeel_retry::{Policy, Verdict, tower::RetryLayer};
use evenkeel_task::BoxError;
use tokio::time::Instant;
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

static POLICY: Policy = Policy::fixed(Duration::from_millis(50)).max_attempts(3).named("api");
static CALLS: AtomicU32 = AtomicU32::new(0);

/// Fails each second time.
async fn call(request: u32) -> io::Result<u32> {
    if CALLS.fetch_add(1, Relaxed).is_multiple_of(2) {
        Err(io::ErrorKind::ConnectionReset.into())
    } else {
        Ok(request * 10)
    }
}

pub(crate) async fn scenario() -> Result<(), BoxError> {
    let start = Instant::now();
    let rate = Arc::new(RateLimiter::per_second(10).burst(1).named("api"));
    let retry = RetryLayer::new(
        &POLICY,
        |request: &u32| Some(*request),
        |_error: &LimitError<io::Error>| Verdict::Retry,
    );
    let mut service = ServiceBuilder::new().layer(retry).layer(LimitLayer::rate(rate)).service_fn(call);
    for request in 1..=3 {
        let answer = service.ready().await?.call(request).await?;
        println!("{answer} after {} ms and {} calls", start.elapsed().as_millis(), CALLS.load(Relaxed));
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    scenario().await
}
