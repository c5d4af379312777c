//! Delivers orders to a partner: four at once, ten a second, and again if it fails.
#![expect(clippy::disallowed_methods, reason = "an HTTP-date can only be compared with the wall clock")]

use std::{
    convert::Infallible,
    error, fmt,
    iter::successors,
    sync::Arc,
    time::{Duration, SystemTime},
};

use evenkeel::{
    limit::{ConcurrencyLimiter, RateLimiter},
    retry::{GaveUp, Policy, Verdict, http},
    shutdown::Stop,
    stream::Consumer,
    task::BoxError,
};
use reqwest::Client;

use super::orders::Orders;

/// The time of one attempt, and of the end of all that have begun when the program stops.
const ATTEMPT: Duration = Duration::from_secs(3);
pub(crate) const LAST_ATTEMPTS: Duration = Duration::from_secs(4);

static POLICY: Policy = Policy::exponential(Duration::from_millis(200), Duration::from_secs(10))
    .max_attempts(5)
    .attempt_timeout(ATTEMPT)
    .total_timeout(Duration::from_secs(300));

pub(crate) struct Deliveries {
    partner: String,
    client: Client,
    slots: ConcurrencyLimiter,
    rate: RateLimiter,
}

impl Deliveries {
    pub(crate) fn new(partner: String) -> Self {
        let (slots, rate) = (ConcurrencyLimiter::new(4), RateLimiter::per_second(10).burst(1));
        Self { partner, client: Client::new(), slots, rate }
    }

    /// Delivers what comes through the queue, until the program stops.
    pub(crate) async fn run(self, queue: Consumer<u32>, orders: Orders, stop: Stop) -> Result<(), BoxError> {
        let (this, stopping) = (Arc::new(self), stop.draining());
        // More workers than slots: an order that waits for its next attempt keeps a worker, and no slot.
        let workers = queue.workers(32, async move |order| {
            match this.deliver(order, &stop).await {
                Ok(Some(())) => orders.set(order, "delivered"),
                // It is still waiting, and is delivered after the next start.
                Ok(None) => {}
                Err(error) => orders.set(order, &with_causes(&error)),
            }
            Ok::<_, Infallible>(())
        });
        stopping.await;
        // Orders that stand in the queue are still waiting, too.
        let report = workers.close_now(LAST_ATTEMPTS).await;
        match (report.panicked, report.aborted) {
            (0, 0) => Ok(()),
            (panicked, aborted) => Err(format!("{panicked} panicked, {aborted} were aborted").into()),
        }
    }

    /// Calls until the partner has the order; `None` if the program stops before.
    pub(crate) async fn deliver(&self, order: u32, stop: &Stop) -> Result<Option<()>, BoxError> {
        let mut attempts = POLICY.start();
        loop {
            // As long as it takes: nobody waits for the answer.
            let turn = async {
                let slot = self.slots.acquire().await;
                self.rate.acquire().await;
                slot
            };
            let Some(slot) = stop.run_until_draining(turn).await else { return Ok(None) };
            // Not within the stop: it has begun, so it may end.
            let outcome = attempts.attempt(self.call(order)).await;
            drop(slot);
            match outcome {
                Ok(()) => return Ok(Some(())),
                Err(failed) => {
                    let failed = failed.classify(CallError::verdict);
                    match attempts.backoff_until(failed, stop.draining()).await {
                        Ok(()) => {}
                        Err(error) if error.reason == GaveUp::Cancelled => return Ok(None),
                        // For good, also if the program stops.
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
    }

    /// One call.
    async fn call(&self, order: u32) -> Result<(), CallError> {
        let call = self.client.post(format!("{}/{order}", self.partner));
        let response = call.send().await.map_err(CallError::Http)?;
        if response.status().is_success() {
            return Ok(());
        }
        let wait = http::retry_after(response.headers(), SystemTime::now());
        Err(CallError::Status(response.status().as_u16(), wait))
    }
}

#[derive(Debug)]
enum CallError {
    Http(reqwest::Error),
    /// The status, and how long the partner asks to wait.
    Status(u16, Option<Duration>),
}

impl CallError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Status(status, wait) => http::verdict(*status, *wait),
            // A URL that is none fails each time.
            Self::Http(error) if error.is_builder() => Verdict::Permanent,
            Self::Http(_) => Verdict::Retry,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Status(status, _) => write!(f, "status {status}"),
        }
    }
}

impl error::Error for CallError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Http(error) => error.source(),
            Self::Status(..) => None,
        }
    }
}

/// An error with its causes. That of a retry is the last answer, and below it is what the system has said.
fn with_causes(error: &BoxError) -> String {
    let causes = successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
