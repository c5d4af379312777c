//! The client of the API: reads one document after another, each with its retries.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
    time::SystemTime,
};

use evenkeel::{
    limit::{RateLimiter, http},
    retry::{Budget, GaveUp, Policy, RetryError},
    task::Stop,
};
use futures::poll;
use reqwest::{Client, Response, Url, header, header::HeaderMap};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};

use crate::{
    error::{CallError, Limit},
    link,
    model::{Call, Document, Flaw, NOT_UTF8, OrdersDoc, PageDoc, Part, PrefsDoc},
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

/// The longest pause that a limit of the API may ask for: that of one which counts by the hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600 + 60);

/// The shortest: a server that says "now" while it turns calls away is not to be asked in a loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How often a document waits for a limit under which nothing gets through.
const FRUITLESS_PAUSES: u32 = 4;

/// How often it waits in all: who is turned away for ever while others get through meets no limit.
const PAUSES: u32 = 1000;

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
    /// Documents that were answered.
    answered: AtomicU64,
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
    /// Why there is nothing in it, or not all.
    pub(crate) failures: Vec<Failure>,
    pub(crate) _held: Held,
}

#[cfg(test)]
impl Fetched {
    /// One that was read by a test.
    pub(crate) fn new(call: Call, document: Document) -> Self {
        let held = Held { _place: None, _trace: Trace::new(Arc::default()) };
        Self { call, document, failures: Vec::new(), _held: held }
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
        let gate = Arc::new(Semaphore::new(concurrency));
        Self { client, base, policy, limiter, gate, answered: AtomicU64::new(0), stats }
    }

    pub(crate) fn first_page(&self) -> Url {
        self.below(&["users.json"])
    }

    /// The URL of a page as it is remembered: the server may be elsewhere the next time.
    pub(crate) fn relative(&self, page: &Url) -> String {
        let first = self.first_page();
        let relative = first.make_relative(page).filter(|text| first.join(text).as_ref() == Ok(page));
        relative.unwrap_or_else(|| {
            // Who asked with a name and a password will do so again.
            let mut page = page.clone();
            let _ = page.set_username("");
            let _ = page.set_password(None);
            page.into()
        })
    }

    /// Reads a page, and says where it was: the links on it are relative to that, also behind a redirect.
    pub(crate) async fn page(&self, url: &Url, stop: &Stop) -> Option<Answer<(PageDoc, Url)>> {
        self.get(url, stop).await
    }

    /// Reads a document of a user; none if a stop came while it waited for a limit.
    pub(crate) async fn fetch(&self, call: Call, stop: &Stop) -> Option<Fetched> {
        let user = call.user.to_string();
        let (document, failures, held) = match call.part {
            Part::Orders => {
                let url = self.below(&["users", &user, "orders.json"]);
                let Answer { outcome, held } = self.get::<OrdersDoc>(&url, stop).await?;
                let orders =
                    outcome.and_then(|(doc, _)| of_user(doc.user, call, &url).map(|()| doc.orders()));
                let (orders, failures) = match orders {
                    Ok((orders, flaws)) => (orders, flaws.into_iter().map(|flaw| at(&url, flaw)).collect()),
                    Err(failure) => (Vec::new(), vec![failure]),
                };
                (Document::Orders(orders), failures, held)
            }
            Part::Prefs => {
                let url = self.below(&["users", &user, "prefs.json"]);
                let Answer { outcome, held } = self.get::<PrefsDoc>(&url, stop).await?;
                let prefs = outcome.and_then(|(doc, _)| {
                    of_user(doc.user, call, &url)?;
                    doc.prefs().map_err(|reason| failure(&url, reason))
                });
                match prefs {
                    Ok(prefs) => (Document::Prefs(Some(prefs)), Vec::new(), held),
                    Err(failure) => (Document::Prefs(None), vec![failure], held),
                }
            }
        };
        Some(Fetched { call, document, failures, _held: held })
    }

    /// Reads a document. Which wraps which: the total time is around the retries, and they are around the rate
    /// limit, so that a retry counts as a call; that is around the limit of calls in flight, so that nobody holds
    /// a place while it waits for its turn; the time for one attempt is innermost, so that only the server uses it up.
    /// To be turned away by a limit of the API is no failed attempt: after the pause, all begins again.
    /// None if a stop came meanwhile: what waits like that has not begun.
    async fn get<T: FromStr<Err = String>>(&self, url: &Url, stop: &Stop) -> Option<Answer<(T, Url)>> {
        let mut trace = self.stats.trace();
        let mut tries = self.policy.start();
        let mut pauses = Pauses::default();
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
            if let Some(pause) = failed.error().and_then(CallError::pause)
                && pauses.another(pause, self.answered.load(Relaxed))
            {
                drop(place);
                self.stats.with(|counts| counts.paused += 1);
                let over = tokio::select! {
                    () = sleep(pause.max(SHORTEST_PAUSE)) => true,
                    () = stop.draining() => false,
                };
                self.stats.with(|counts| counts.paused -= 1);
                if !over {
                    return None;
                }
                self.stats.with(|counts| *counts.retries.entry(label).or_default() += 1);
                tries = self.policy.start();
                continue;
            }
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
        Some(Answer { outcome, held: Held { _place: place, _trace: trace } })
    }

    fn failure(&self, url: &Url, gave_up: &RetryError<CallError>) -> Failure {
        if gave_up.reason == GaveUp::Budget {
            self.stats.with(|counts| counts.refused += 1);
        }
        failure(url, reason(gave_up))
    }

    async fn attempt<T: FromStr<Err = String>>(
        &self,
        url: &Url,
        trace: &mut Trace,
    ) -> Result<(T, Url), CallError> {
        trace.wait_for(Wait::Answer);
        let sent = Instant::now();
        let request = self.client.get(url.clone()).header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(CallError::Transport)?;
        let at = response.url().clone();
        let body = body(checked(response)?).await?;
        self.stats.with(|counts| counts.latencies.record(sent.elapsed()));
        self.answered.fetch_add(1, Relaxed);
        Ok((parsed(&body)?, at))
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

/// The pauses of one document.
#[derive(Debug, Default)]
struct Pauses {
    all: u32,
    fruitless: u32,
    answered: u64,
}

impl Pauses {
    /// Whether to wait for a limit, when so many documents were answered. Under one that lets others through there is
    /// a turn for each; one that lets nobody through is given up.
    fn another(&mut self, pause: Duration, answered: u64) -> bool {
        if self.answered != answered {
            (self.fruitless, self.answered) = (0, answered);
        }
        self.all += 1;
        self.fruitless += 1;
        self.all <= PAUSES && self.fruitless <= FRUITLESS_PAUSES && pause <= LONGEST_PAUSE
    }
}

/// A document that could not be read.
pub(crate) fn failure(url: &Url, reason: String) -> Failure {
    Failure::new(link::without_password(url), reason)
}

/// A record of a document that could not be read.
pub(crate) fn at(url: &Url, flaw: Flaw) -> Failure {
    let mut url = url.clone();
    url.set_fragment(Some(&flaw.pointer));
    failure(&url, flaw.reason)
}

fn of_user(found: i64, call: Call, url: &Url) -> Result<(), Failure> {
    if found == call.user { Ok(()) } else { Err(failure(url, format!("it is of user {found}"))) }
}

fn checked(response: Response) -> Result<Response, CallError> {
    let (status, headers) = (response.status(), response.headers());
    // No content, and a part of it that nobody has asked for, are no document.
    if !status.is_success() || matches!(status.as_u16(), 204..=206) {
        return Err(CallError::Status { status, limit: limit(headers) });
    }
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        return Err(CallError::Encoding(String::from_utf8_lossy(encoding.as_bytes()).into()));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(is_json) {
        return Ok(response);
    }
    Err(CallError::ContentType(content_type.map(str::to_owned)))
}

/// What the headers say about a limit. All that is known of their forms is known to `evenkeel-limit`.
#[expect(clippy::disallowed_methods, reason = "a header may have a date, which only the wall clock can tell")]
fn limit(headers: &HeaderMap) -> Limit {
    let texts = || headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let exhausted = texts().any(|(name, value)| name.contains("remaining") && is_none_left(value));
    Limit { pause: http::pause(texts(), SystemTime::now()), exhausted }
}

/// `0`, `0.0`, `-1`, `0;w=60`
fn is_none_left(remaining: &str) -> bool {
    let number = remaining.split([';', ',']).next().unwrap_or_default().trim();
    number.parse().is_ok_and(|left: f64| left <= 0.0)
}

/// Reads a document. JSON is UTF-8; bytes that are not cost the record that they are in, and no other.
fn parsed<T: FromStr<Err = String>>(body: &[u8]) -> Result<T, CallError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let chunks = body.utf8_chunks();
    let parts =
        chunks.flat_map(|chunk| [chunk.valid(), if chunk.invalid().is_empty() { "" } else { NOT_UTF8 }]);
    parts.collect::<String>().parse().map_err(CallError::Document)
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
    fn what_a_response_says_about_a_limit() {
        let limit = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            super::limit(&headers.collect::<HeaderMap>())
        };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(limit(&[]), Limit::default());
        assert_eq!(limit(&[("retry-after", "7")]), Limit { pause: seconds(7), exhausted: false });
        let counted = |remaining| limit(&[("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", "9")]);
        assert_eq!(counted("0"), Limit { pause: seconds(9), exhausted: true });
        assert_eq!(counted("1"), Limit::default());
        for none_left in ["0.0", "-1", "0;w=60", " 0 "] {
            assert!(limit(&[("ratelimit-remaining", none_left)]).exhausted, "{none_left:?}");
        }
        for other in ["3", "", "zero", "0x"] {
            assert!(!limit(&[("x-ratelimit-remaining", other)]).exhausted, "{other:?}");
        }
    }

    #[test]
    fn a_limit_is_waited_for_as_long_as_others_get_through() {
        let (mut pauses, second) = (Pauses::default(), Duration::from_secs(1));
        assert!((0..100).all(|answered| pauses.another(second, answered)));
        assert_eq!([(); 5].map(|()| pauses.another(second, 99)), [true, true, true, false, false]);
        assert!(!Pauses::default().another(2 * LONGEST_PAUSE, 0));
        let (mut pauses, most) = (Pauses::default(), u64::from(PAUSES));
        assert_eq!((0..2 * most).filter(|answered| pauses.another(second, *answered)).count() as u64, most);
    }

    #[test]
    fn bytes_that_are_not_utf_8_cost_one_record() {
        let body = b"\xef\xbb\xbf{\"items\": [{\"id\": 1, \"name\": \"Zo\xeb\", \"email\": \"\", \"active\": true}, \
            {\"id\": 2, \"name\": \"\xef\xbf\xbd\", \"email\": \"\", \"active\": true, \"more\": \"\xff\"}]}";
        let (users, flaws) = parsed::<PageDoc>(body).unwrap().users();
        assert_eq!(users.iter().map(|user| user.id).collect::<Vec<_>>(), [2]);
        assert_eq!(users[0].name, "\u{fffd}");
        assert_eq!(flaws[0].reason, "user 1: its name is not UTF-8");
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
