//! The client of the API: reads one document after another, each with its retries.

use std::{sync::Arc, time::Duration, time::SystemTime};

use evenkeel::{
    limit::RateLimiter,
    retry::{GaveUp, Policy, RetryError, http::retry_after},
};
use reqwest::{Client, Response, Url, header};
use serde::de::DeserializeOwned;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    error::CallError,
    model::{Order, OrdersDoc, PageDoc, Prefs, PrefsDoc, User},
    stats::{Failure, Stats},
};

/// The largest document that is read.
const MAX_DOCUMENT: usize = 16 << 20;

/// How every document is retried; the embedded server, whose latency is known, gets less time for an attempt.
pub(crate) const POLICY: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(5))
    .max_attempts(5)
    .attempt_timeout(Duration::from_secs(5))
    .total_timeout(Duration::from_secs(60));

#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    base: Url,
    policy: Policy,
    limiter: RateLimiter,
    /// Calls in flight: a page and the documents of users count alike.
    gate: Semaphore,
    stats: Arc<Stats>,
}

impl Api {
    pub(crate) fn new(
        client: Client,
        base: Url,
        policy: Policy,
        limiter: RateLimiter,
        concurrency: usize,
        stats: Arc<Stats>,
    ) -> Self {
        Self { client, base, policy, limiter, gate: Semaphore::new(concurrency), stats }
    }

    pub(crate) fn first_page(&self) -> Url {
        self.below(&["users.json"])
    }

    pub(crate) async fn page(&self, url: &Url) -> Result<PageDoc, Failure> {
        self.get(url).await
    }

    pub(crate) async fn orders(&self, user: &User) -> Result<Vec<Order>, Failure> {
        let url = self.below(&["users", &user.id.to_string(), "orders.json"]);
        let doc: OrdersDoc = self.get(&url).await?;
        of_user(doc.user, user, url).map(|()| doc.orders)
    }

    pub(crate) async fn prefs(&self, user: &User) -> Result<Prefs, Failure> {
        let url = self.below(&["users", &user.id.to_string(), "prefs.json"]);
        let doc: PrefsDoc = self.get(&url).await?;
        of_user(doc.user, user, url).map(|()| doc.prefs)
    }

    /// Reads a document. Which wraps which: the total time is around the retries, and they are around the rate
    /// limit, so that a retry counts as a call; that is around the limit of calls in flight, so that nobody holds
    /// a place while it waits for its turn; the time for one attempt is innermost, so that only the server uses it up.
    async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, Failure> {
        let mut tries = self.policy.start();
        let outcome = loop {
            self.limiter.acquire().await;
            let place = self.gate.acquire().await.expect("the gate is never closed");
            let failed = match tries.attempt(self.attempt(url)).await {
                Ok(document) => break Ok(document),
                Err(failed) => failed.classify(CallError::verdict),
            };
            // The backoff needs no place.
            drop(place);
            let label = failed.error().map_or("timed out".into(), CallError::label);
            match tries.backoff(failed).await {
                Ok(()) => self.stats.with(|counts| *counts.retries.entry(label).or_default() += 1),
                Err(gave_up) => break Err(Failure { url: url.to_string(), reason: reason(&gave_up) }),
            }
        };
        self.stats.with(|counts| counts.documents += 1);
        outcome
    }

    async fn attempt<T: DeserializeOwned>(&self, url: &Url) -> Result<T, CallError> {
        let _in_flight = self.stats.call();
        let sent = Instant::now();
        let request = self.client.get(url.clone()).header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(CallError::Transport)?;
        let body = body(checked(response)?).await?;
        self.stats.with(|counts| counts.latencies.record(sent.elapsed()));
        serde_json::from_slice(&body).map_err(CallError::Json)
    }

    /// A URL below the base, with the base's query.
    fn below(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only a URL without a host has no path, and `cli` lets none of those through.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

fn of_user(found: i64, user: &User, url: Url) -> Result<(), Failure> {
    if found == user.id {
        return Ok(());
    }
    Err(Failure { url: url.into(), reason: format!("it is of user {found}") })
}

#[expect(
    clippy::disallowed_methods,
    reason = "Retry-After may be a date, which only the wall clock can tell"
)]
fn checked(response: Response) -> Result<Response, CallError> {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let status = response.status();
    if !status.is_success() {
        let retry_after = text(header::RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now()));
        return Err(CallError::Status { status, retry_after });
    }
    let content_type = text(header::CONTENT_TYPE);
    if content_type.is_some_and(is_json) {
        return Ok(response);
    }
    Err(CallError::ContentType(content_type.map(str::to_owned)))
}

/// `application/json`, `application/problem+json; charset=utf-8`, ...
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

async fn body(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(CallError::Transport)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_DOCUMENT {
            return Err(CallError::TooLarge { limit: MAX_DOCUMENT });
        }
    }
    Ok(body)
}

fn reason(gave_up: &RetryError<CallError>) -> String {
    let last = gave_up.last.as_ref().map_or("timed out".into(), CallError::to_string);
    match gave_up.reason {
        GaveUp::Permanent => last,
        GaveUp::RetryAfter(wait) => format!("{last}, come back in {} s", wait.as_secs()),
        _ => format!("{last}, at attempt {}", gave_up.attempts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(base: &str) -> Api {
        let base = Url::parse(base).unwrap();
        Api::new(Client::new(), base, POLICY, RateLimiter::unlimited(), 1, Arc::default())
    }

    #[test]
    fn documents_are_below_the_base_with_its_query() {
        for (base, first) in [
            ("http://h", "http://h/users.json"),
            ("http://h/", "http://h/users.json"),
            ("http://h:81/api/v1", "http://h:81/api/v1/users.json"),
            ("http://h/api/v1/?key=a%20b&x", "http://h/api/v1/users.json?key=a%20b&x"),
        ] {
            assert_eq!(api(base).first_page().as_str(), first);
        }
    }

    #[test]
    fn json_has_many_content_types() {
        for good in
            ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/hal+json"]
        {
            assert!(is_json(good), "{good}");
        }
        for bad in ["text/html", "application/jsonp", "", "text/plain; a=/json"] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
