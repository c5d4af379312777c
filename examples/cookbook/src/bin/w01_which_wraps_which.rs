//! Which wraps which? From the outside in: the time for all of it, the retry, the slots, the rate, the time of one attempt. So
//! each attempt takes its turn, no wait in a queue counts as time of the server, and a pause between attempts holds nothing.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_limit::{ConcurrencyLimiter, RateLimiter};
use evenkeel_retry::{Backoff, Jitter, Policy, RetryError};
use tokio::time::{Instant, sleep};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

static POLICY: Policy = Policy::new(Backoff::exponential(ms(100), ms(1000)).jitter(Jitter::None))
    .total_timeout(ms(2000))
    .attempt_timeout(ms(80))
    .named("call");
static RATE: RateLimiter = RateLimiter::per_second(50).burst(1).named("rate");
static SLOTS: ConcurrencyLimiter = ConcurrencyLimiter::new(2).named("slots");

/// Is too slow at the first attempt of the second caller.
async fn call(caller: u32, attempt: u32) -> io::Result<u32> {
    sleep(if caller == 2 && attempt == 1 { ms(5000) } else { ms(50) }).await;
    Ok(caller)
}

async fn patiently(caller: u32) -> Result<u32, RetryError<io::Error>> {
    let mut attempts = POLICY.start();
    let mut number = 0;
    loop {
        number += 1;
        let slot = SLOTS.acquire().await;
        // A turn is used when it has come: nothing waits behind it.
        RATE.acquire().await;
        // The time of an attempt begins here, behind both queues.
        let outcome = attempts.attempt(call(caller, number)).await;
        drop(slot);
        match outcome {
            Ok(answer) => return Ok(answer),
            Err(failed) => attempts.backoff(failed).await?,
        }
    }
}

pub(crate) async fn scenario() {
    let start = Instant::now();
    let callers = (1..=4).map(async |caller| {
        let answer = patiently(caller).await;
        println!("{:>3} ms: caller {caller}: {answer:?}", start.elapsed().as_millis());
    });
    futures::future::join_all(callers).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
