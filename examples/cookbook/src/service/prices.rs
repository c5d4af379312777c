//! Prices, from a partner: ten calls a second, and each comes again if it fails.

use std::{iter::successors, time::Duration};

use evenkeel::{
    limit::RateLimiter,
    retry::{Policy, Verdict, http},
    task::BoxError,
};
use reqwest::Client;
use tokio::time::Instant;

/// The time for all of it: turns in the limiter, attempts, and pauses between them. It fits into the stop of the program.
const TIME: Duration = Duration::from_secs(5);

/// Up to five attempts, with jitter; two seconds for each.
static POLICY: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(1))
    .max_attempts(5)
    .attempt_timeout(Duration::from_secs(2));

pub(crate) struct Prices {
    partner: String,
    client: Client,
    limit: RateLimiter,
}

impl Prices {
    pub(crate) fn new(partner: String) -> Self {
        let limit = RateLimiter::per_second(10).burst(1);
        Self { partner, client: Client::new(), limit }
    }

    /// Asks the partner until there is an answer.
    pub(crate) async fn price(&self, item: &str) -> Result<u32, BoxError> {
        let deadline = Instant::now() + TIME;
        let mut attempts = POLICY.start().deadline(deadline);
        let body = loop {
            // Each attempt takes its turn. The wait for it is none of the partner's time, so it is outside of the attempt.
            // It is the loop's own wait, so it needs the deadline, too: a turn that would come later is refused at once.
            self.limit.acquire().by(deadline).await?;
            match attempts.attempt(self.call(item)).await {
                Ok(body) => break body,
                Err(failed) => attempts.backoff(failed.classify(verdict)).await?,
            }
        };
        Ok(body.trim().parse()?)
    }

    /// One call.
    async fn call(&self, item: &str) -> reqwest::Result<String> {
        let response = self.client.get(format!("{}/{item}", self.partner)).send().await?;
        response.error_for_status()?.text().await
    }
}

/// A connection that broke and a server in trouble are worth another attempt; "not found" and a URL that is none are not.
fn verdict(error: &reqwest::Error) -> Verdict {
    match error.status() {
        Some(status) => http::verdict(status.as_u16(), None),
        None if error.is_builder() => Verdict::Permanent,
        None => Verdict::Retry,
    }
}

/// An error with its causes. That of a retry is the last answer, and below it is what the system has said.
pub(crate) fn with_causes(error: &BoxError) -> String {
    let causes = successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
