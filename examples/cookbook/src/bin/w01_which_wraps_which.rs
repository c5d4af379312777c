//! Which wraps which? From the outside in: the time for all of it, the retry, the slots, the rate, the time of one attempt. So
//! each attempt takes its turn, no wait in a queue counts as time of the server, and a pause between attempts holds nothing.
//! A stop ends the queue and the pause, and no attempt.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_limit::{ConcurrencyLimiter, Denied, RateLimiter};
use evenkeel_retry::{Backoff, GaveUp, Jitter, Policy};
use evenkeel_task::{BoxError, Stop};
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

/// Is too slow at the first attempt of two callers.
async fn call(caller: u32, attempt: u32) -> io::Result<u32> {
    sleep(if [2, 6].contains(&caller) && attempt == 1 { ms(5000) } else { ms(50) }).await;
    Ok(caller)
}

/// Returns the answer, or `None` if the program stops before there is one.
async fn patiently(caller: u32, stop: &Stop) -> Result<Option<u32>, BoxError> {
    let mut attempts = POLICY.start();
    let end = attempts.ends_at().expect("the policy has a total time");
    let mut number = 0;
    loop {
        number += 1;
        // The loop's own waits: the time for all of it reaches them by `by`, and the stop by `run_until_draining`.
        let turn = async {
            let slot = SLOTS.acquire().by(end).await?;
            // A turn is used when it has come: nothing waits behind it.
            RATE.acquire().by(end).await?;
            Ok::<_, Denied>(slot)
        };
        let Some(slot) = stop.run_until_draining(turn).await.transpose()? else { return Ok(None) };
        // The time of an attempt begins here, behind both queues. A stop lets it end.
        let outcome = attempts.attempt(call(caller, number)).await;
        drop(slot);
        match outcome {
            Ok(answer) => return Ok(Some(answer)),
            // It judges the failure first: one that is final is told, also behind the stop.
            Err(failed) => match attempts.backoff_until(failed, stop.draining()).await {
                Ok(()) => {}
                Err(error) if error.reason == GaveUp::Cancelled => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        }
    }
}

pub(crate) async fn scenario() {
    let (start, stop) = (Instant::now(), Stop::new());
    let caller = async |caller| {
        let answer = patiently(caller, &stop).await;
        println!("{:>3} ms: caller {caller}: {answer:?}", start.elapsed().as_millis());
    };
    futures::future::join_all((1..=4).map(caller)).await;

    // The calls of callers 5 and 6 are under way, and caller 7 waits for a slot.
    let stopping = async {
        sleep(ms(35)).await;
        println!("{:>3} ms: the program stops", start.elapsed().as_millis());
        stop.drain("SIGTERM");
    };
    tokio::join!(futures::future::join_all((5..=7).map(caller)), stopping);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
