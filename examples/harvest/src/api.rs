//! The client of the API: reads one document after another, each with its retries.

use std::{sync::Arc, task::Poll, time::Duration, time::SystemTime};

use evenkeel::{
    limit::RateLimiter,
    retry::{Budget, GaveUp, Policy, RetryError, http::retry_after},
};
use futures::poll;
use reqwest::{Client, Response, Url, header};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    error::CallError,
    model::{Call, Document, OrdersDoc, PageDoc, Part, PrefsDoc},
    stats::{Failure, Stats},
    timeline::{Trace, Wait},
};

/// The largest document that is read.
const MAX_DOCUMENT: usize = 16 << 20;

/// How every document is retried; the embedded server, whose latency is known, gets less time for an attempt.
pub(crate) const POLICY: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(5))
    .max_attempts(5)
    .attempt_timeout(Duration::from_secs(5))
    .total_timeout(Duration::from_secs(60));

/// How many retries all calls together may make: a quarter of the calls, and before that as many as it takes for an
/// outage in which all that can be in flight or waiting fails at once, twice.
pub(crate) fn budget(concurrency: usize) -> Budget {
    let calls = concurrency as u32;
    Budget::percent(25).per_second(calls.div_ceil(4)).reserve((6 * calls).max(50))
}

#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    base: Url,
    policy: Policy,
    limiter: RateLimiter,
    /// Calls in flight: a page and the documents of users count alike.
    gate: Arc<Semaphore>,
    stats: Arc<Stats>,
}

/// What came of reading a document, after all its attempts.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) outcome: Result<T, Failure>,
    pub(crate) held: Held,
}

/// What a document holds until it is in the store, so that at no moment more calls are in flight or not yet stored
/// than `--concurrency`: a crash costs that many at most.
#[derive(Debug)]
pub(crate) struct Held {
    _place: Option<OwnedSemaphorePermit>,
    _trace: Trace,
}

/// A document of a user, on its way into the store.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) call: Call,
    pub(crate) document: Document,
    /// Why there is nothing in it.
    pub(crate) failure: Option<Failure>,
    pub(crate) _held: Held,
}

#[cfg(test)]
impl Fetched {
    /// One that was read by a test.
    pub(crate) fn new(call: Call, document: Document) -> Self {
        let held = Held { _place: None, _trace: Trace::new(Arc::default()) };
        Self { call, document, failure: None, _held: held }
    }
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
        Self { client, base, policy, limiter, gate: Arc::new(Semaphore::new(concurrency)), stats }
    }

    pub(crate) fn first_page(&self) -> Url {
        self.below(&["users.json"])
    }

    /// The URL of a page as it is remembered: the server may be elsewhere the next time.
    pub(crate) fn relative(&self, page: &Url) -> String {
        let first = self.first_page();
        let relative = first.make_relative(page).filter(|text| first.join(text).as_ref() == Ok(page));
        relative.unwrap_or_else(|| page.to_string())
    }

    pub(crate) async fn page(&self, url: &Url) -> Answer<PageDoc> {
        self.get(url).await
    }

    /// Reads a document of a user.
    pub(crate) async fn fetch(&self, call: Call) -> Fetched {
        let user = call.user.to_string();
        match call.part {
            Part::Orders => {
                let url = self.below(&["users", &user, "orders.json"]);
                let Answer { outcome, held } = self.get::<OrdersDoc>(&url).await;
                let orders = outcome.and_then(|doc| of_user(doc.user, call, &url).map(|()| doc.orders));
                let (orders, failure) = parted(orders);
                Fetched { call, document: Document::Orders(orders.unwrap_or_default()), failure, _held: held }
            }
            Part::Prefs => {
                let url = self.below(&["users", &user, "prefs.json"]);
                let Answer { outcome, held } = self.get::<PrefsDoc>(&url).await;
                let prefs = outcome.and_then(|doc| of_user(doc.user, call, &url).map(|()| doc.prefs));
                let (prefs, failure) = parted(prefs);
                Fetched { call, document: Document::Prefs(prefs), failure, _held: held }
            }
        }
    }

    /// Reads a document. Which wraps which: the total time is around the retries, and they are around the rate
    /// limit, so that a retry counts as a call; that is around the limit of calls in flight, so that nobody holds
    /// a place while it waits for its turn; the time for one attempt is innermost, so that only the server uses it up.
    async fn get<T: DeserializeOwned>(&self, url: &Url) -> Answer<T> {
        let mut trace = self.stats.trace();
        let mut tries = self.policy.start();
        let (outcome, place) = loop {
            if self.limiter.try_acquire().is_err() {
                trace.wait_for(Wait::RateLimit);
                self.limiter.acquire().await;
            }
            trace.wait_for(Wait::Place);
            let place = self.gate.clone().acquire_owned().await.expect("the gate is never closed");
            let mut place = Some(place);
            let failed = match tries.attempt(self.attempt(url, &mut trace)).await {
                Ok(document) => break (Ok(document), place),
                Err(failed) => failed.classify(CallError::verdict),
            };
            trace.wait_for(Wait::NextAttempt);
            let label = failed.error().map_or("timed out".into(), CallError::label);
            let mut backoff = tries.backoff(failed);
            let decided = match poll!(&mut backoff) {
                Poll::Ready(decided) => decided,
                // There will be another attempt, and the wait for it needs no place.
                Poll::Pending => {
                    place = None;
                    backoff.await
                }
            };
            match decided {
                Ok(()) => self.stats.with(|counts| *counts.retries.entry(label).or_default() += 1),
                Err(gave_up) => break (Err(self.failure(url, &gave_up)), place),
            }
        };
        trace.wait_for(Wait::Store);
        self.stats.with(|counts| counts.documents += 1);
        Answer { outcome, held: Held { _place: place, _trace: trace } }
    }

    fn failure(&self, url: &Url, gave_up: &RetryError<CallError>) -> Failure {
        if gave_up.reason == GaveUp::Budget {
            self.stats.with(|counts| counts.refused += 1);
        }
        Failure { url: url.to_string(), reason: reason(gave_up) }
    }

    async fn attempt<T: DeserializeOwned>(&self, url: &Url, trace: &mut Trace) -> Result<T, CallError> {
        trace.wait_for(Wait::Answer);
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

fn of_user(found: i64, call: Call, url: &Url) -> Result<(), Failure> {
    if found == call.user {
        return Ok(());
    }
    Err(Failure { url: url.to_string(), reason: format!("it is of user {found}") })
}

fn parted<T>(outcome: Result<T, Failure>) -> (Option<T>, Option<Failure>) {
    match outcome {
        Ok(document) => (Some(document), None),
        Err(failure) => (None, Some(failure)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "Retry-After may be a date, which only the wall clock can tell"
)]
fn checked(response: Response) -> Result<Response, CallError> {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let status = response.status();
    if !status.is_success() {
        let retry_after = retry_after(response.headers(), SystemTime::now());
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
        GaveUp::Budget => format!("{last}, and no retry was left in the budget"),
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
    fn what_is_remembered_of_a_page_leads_to_it_again() {
        let api = api("http://h:81/api/?key=1");
        for (page, remembered) in [
            ("http://h:81/api/users.json?key=1", "?key=1"),
            ("http://h:81/api/users-2.json", "users-2.json"),
            ("http://h:81/api/users.json?page=2", "?page=2"),
            ("http://h:81/v2/users", "../v2/users"),
            ("https://other/users", "https://other/users"),
        ] {
            let url = Url::parse(page).unwrap();
            assert_eq!(api.relative(&url), remembered, "{page}");
            assert_eq!(api.first_page().join(remembered).unwrap(), url);
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
