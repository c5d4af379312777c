//! The client of the API: reads documents, each with retries, within a rate and a limit of calls in flight.

mod limit_pauses;

use std::{
    pin::pin,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::{Duration, SystemTime},
};

use evenkeel::{
    limit::{ConcurrencyLimiter, Permit, http},
    retry::{Budget, GaveUp, Policy, RetryError},
    task::Stop,
};
use futures::poll;
use http_body_util::BodyExt as _;
use limit_pauses::LimitPauses;
use reqwest::{
    Url,
    header::{self, HeaderMap},
};
use tokio::time::{Instant, sleep};

use crate::{
    error::{CallError, Limit},
    link,
    model::{Call, Document, Flaw, NOT_UTF8, OrdersDoc, PageDoc, Part, PrefsDoc},
    quota::Quota,
    stats::{Failure, Stage, Stats},
    timeline::{Trace, Wait},
    transport::{self, Response, Transport},
};

/// The maximum size of a document in bytes.
const MAX_DOCUMENT: usize = 16 << 20;

/// The retry policy of every document. The embedded server, whose latency is known, gets less time for an attempt.
pub(crate) const POLICY: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(5))
    .named("documents")
    .max_attempts(5)
    .attempt_timeout(Duration::from_secs(5))
    .total_timeout(Duration::from_secs(60));

/// The shortest pause: a server that rejects calls and says "now" must not be called in a loop.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// Returns the budget of all retries: a quarter of the calls, and a reserve for an outage in which everything that is in
/// flight or waiting fails, twice.
pub(crate) fn budget(concurrency: usize) -> Budget {
    let calls = concurrency as u32;
    Budget::percent(25).per_second(calls.div_ceil(4)).reserve((6 * calls).max(50))
}

#[derive(Debug)]
pub(crate) struct Api {
    transport: Arc<dyn Transport>,
    base: Url,
    policy: Policy,
    quota: Quota,
    /// The slots of calls in flight, for pages and the documents of users alike.
    slots: Arc<ConcurrencyLimiter>,
    /// The number of documents that were answered.
    answered: AtomicU64,
    stats: Arc<Stats>,
}

/// The result of reading a document, after all its attempts.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) outcome: Result<T, Failure>,
    pub(crate) guard: InFlightGuard,
}

/// Keeps the slot of a document until the document is stored: at most `--concurrency` calls are in flight or not yet
/// stored, and a crash loses no more than these.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    _slot: Option<Permit<'static>>,
    _trace: Trace,
}

/// A document of a user that is not stored yet.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) call: Call,
    pub(crate) document: Document,
    /// The reasons why the document, or a part of it, is missing.
    pub(crate) failures: Vec<Failure>,
    pub(crate) _guard: InFlightGuard,
}

#[cfg(test)]
impl Fetched {
    /// A document made by a test.
    pub(crate) fn new(call: Call, document: Document) -> Self {
        let guard = InFlightGuard { _slot: None, _trace: Trace::new(Arc::default(), Stage::Documents) };
        Self { call, document, failures: Vec::new(), _guard: guard }
    }
}

impl Api {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        base: Url,
        policy: Policy,
        quota: Quota,
        concurrency: usize,
        stats: Arc<Stats>,
    ) -> Self {
        let slots = Arc::new(ConcurrencyLimiter::new(concurrency as u32).named("calls in flight"));
        Self { transport, base, policy, quota, slots, answered: AtomicU64::new(0), stats }
    }

    /// Returns the number of calls that are in flight, or not yet stored.
    pub(crate) fn slots_in_use(&self) -> usize {
        self.slots.snapshot().in_use as usize
    }

    pub(crate) fn first_page(&self) -> Url {
        self.below(&["users.json"])
    }

    /// Returns the URL of a page as it is stored: relative, since the server may have another address the next time.
    pub(crate) fn relative(&self, page: &Url) -> String {
        let first = self.first_page();
        let relative = first.make_relative(page).filter(|text| first.join(text).as_ref() == Ok(page));
        relative.unwrap_or_else(|| {
            // The next run has the user and password in its own `--url`.
            let mut page = page.clone();
            let _ = page.set_username("");
            let _ = page.set_password(None);
            page.into()
        })
    }

    /// Reads a page, and returns it with the URL where it was found: links are relative to that, also after a redirect.
    pub(crate) async fn page(&self, url: &Url, stop: &Stop) -> Option<Answer<(PageDoc, Url)>> {
        self.get(url, Stage::Pages, stop).await
    }

    /// Returns a document of a user that is given up, for a reason that is no answer.
    pub(crate) fn given_up(&self, call: Call, reason: String) -> Fetched {
        let guard = InFlightGuard { _slot: None, _trace: self.stats.trace(Stage::Documents) };
        let user = call.user.to_string();
        let (name, document) = match call.part {
            Part::Orders => ("orders.json", Document::Orders(Vec::new())),
            Part::Prefs => ("prefs.json", Document::Prefs(None)),
        };
        let failures = vec![failure(&self.below(&["users", &user, name]), reason)];
        Fetched { call, document, failures, _guard: guard }
    }

    /// Reads a document of a user. Returns `None` if a stop came while it waited for a limit.
    pub(crate) async fn fetch(&self, call: Call, stop: &Stop) -> Option<Fetched> {
        let user = call.user.to_string();
        let (document, failures, guard) = match call.part {
            Part::Orders => {
                let url = self.below(&["users", &user, "orders.json"]);
                let Answer { outcome, guard } = self.get::<OrdersDoc>(&url, Stage::Documents, stop).await?;
                let orders =
                    outcome.and_then(|(doc, _)| check_user(doc.user, call, &url).map(|()| doc.orders()));
                let (orders, failures) = match orders {
                    Ok((orders, flaws)) => (orders, flaws.into_iter().map(|flaw| at(&url, flaw)).collect()),
                    Err(failure) => (Vec::new(), vec![failure]),
                };
                (Document::Orders(orders), failures, guard)
            }
            Part::Prefs => {
                let url = self.below(&["users", &user, "prefs.json"]);
                let Answer { outcome, guard } = self.get::<PrefsDoc>(&url, Stage::Documents, stop).await?;
                let prefs = outcome.and_then(|(doc, _)| {
                    check_user(doc.user, call, &url)?;
                    doc.prefs().map_err(|reason| failure(&url, reason))
                });
                match prefs {
                    Ok(prefs) => (Document::Prefs(Some(prefs)), Vec::new(), guard),
                    Err(failure) => (Document::Prefs(None), vec![failure], guard),
                }
            }
        };
        Some(Fetched { call, document, failures, _guard: guard })
    }

    /// Reads a document. The layers, from the outside to the inside:
    ///
    /// 1. the total time;
    /// 2. the retries;
    /// 3. the rate limit, so that a retry counts as a call;
    /// 4. the limit of calls in flight, so that no slot is taken during the wait for the rate;
    /// 5. the time of one attempt, so that only the server uses it up.
    ///
    /// A rejection by a limit of the API is not a failed attempt: after the pause the policy starts from the beginning.
    /// Returns `None` if a stop came during such a pause, or during the wait for the rate: the document counts as not begun.
    async fn get<T: FromStr<Err = String>>(
        &self,
        url: &Url,
        stage: Stage,
        stop: &Stop,
    ) -> Option<Answer<(T, Url)>> {
        let mut trace = self.stats.trace(stage);
        let mut attempts = self.policy.start();
        let mut pauses = LimitPauses::default();
        let (outcome, slot) = loop {
            // In this order: a permit that waits for a slot is used together with those of later, above the rate.
            trace.wait_for(Wait::Slot);
            let slot = self.slots.acquire_owned(1).await.expect("the limiter is never closed");
            let mut slot = Some(slot);
            if !self.permit(&mut trace, stop).await {
                return None;
            }
            let failed = match attempts.attempt(self.attempt(url, &mut trace)).await {
                Ok(document) => break (Ok(document), slot),
                Err(failed) => failed.classify(CallError::verdict),
            };
            trace.wait_for(Wait::NextAttempt);
            let label = failed.error().map_or("timed out".into(), CallError::label);
            if let Some(pause) = failed.error().and_then(CallError::pause)
                && pauses.allows(pause, self.answered.load(Relaxed))
            {
                drop(slot);
                self.stats.with(|counts| counts.paused += 1);
                let over = tokio::select! {
                    biased;
                    () = stop.draining() => false,
                    () = sleep(pause.max(MIN_PAUSE)) => true,
                };
                self.stats.with(|counts| counts.paused -= 1);
                if !over {
                    return None;
                }
                self.stats.with(|counts| *counts.retries.entry(label).or_default() += 1);
                attempts = self.policy.start();
                continue;
            }
            let mut backoff = attempts.backoff(failed);
            let decided = match poll!(&mut backoff) {
                Poll::Ready(decided) => decided,
                // There will be another attempt, and the wait for it needs no slot.
                Poll::Pending => {
                    slot = None;
                    backoff.await
                }
            };
            match decided {
                Ok(()) => self.stats.with(|counts| *counts.retries.entry(label).or_default() += 1),
                Err(gave_up) => break (Err(self.failure(url, &gave_up)), slot),
            }
        };
        trace.wait_for(Wait::Store);
        self.stats.with(|counts| {
            counts.documents += 1;
            let stage = &mut counts.stages[stage as usize];
            stage.done += 1;
            stage.errors += u64::from(outcome.is_err());
        });
        Some(Answer { outcome, guard: InFlightGuard { _slot: slot, _trace: trace } })
    }

    /// Waits for the rate; returns `false` if a stop came before.
    async fn permit(&self, trace: &mut Trace, stop: &Stop) -> bool {
        let mut permit = pin!(self.quota.acquire());
        if poll!(&mut permit).is_ready() {
            return true;
        }
        trace.wait_for(Wait::RateLimit);
        tokio::select! {
            biased;
            () = stop.draining() => false,
            () = permit => true,
        }
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
        let response = self.transport.get(url.clone()).await.map_err(CallError::Transport)?;
        check_response(&response, self.transport.now())?;
        let Response { url: at, body, .. } = response;
        let body = whole(body).await?;
        self.stats.with(|counts| counts.latencies.record(sent.elapsed()));
        self.answered.fetch_add(1, Relaxed);
        Ok((parse(&body)?, at))
    }

    /// Returns a URL below the base, with the base's query.
    fn below(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only a URL without a host has no path, and `cli` rejects those.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// Returns the failure of a document.
pub(crate) fn failure(url: &Url, reason: String) -> Failure {
    Failure::new(link::without_password(url), reason)
}

/// Returns the failure of a record in a document.
pub(crate) fn at(url: &Url, flaw: Flaw) -> Failure {
    let mut url = url.clone();
    url.set_fragment(Some(&flaw.pointer));
    failure(&url, flaw.reason)
}

fn check_user(found: i64, call: Call, url: &Url) -> Result<(), Failure> {
    if found == call.user { Ok(()) } else { Err(failure(url, format!("it is of user {found}"))) }
}

fn check_response(response: &Response, now: SystemTime) -> Result<(), CallError> {
    let Response { status, headers, .. } = response;
    // An answer without content, or with a part of it that was not requested, is not a document.
    if !status.is_success() || matches!(status.as_u16(), 204..=206) {
        return Err(CallError::Status { status: *status, limit: limit(headers, now) });
    }
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        return Err(CallError::Encoding(String::from_utf8_lossy(encoding.as_bytes()).into()));
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(is_json) {
        return Ok(());
    }
    Err(CallError::ContentType(content_type.map(str::to_owned)))
}

/// Reads a limit from the headers. `evenkeel-limit` knows their forms.
fn limit(headers: &HeaderMap, now: SystemTime) -> Limit {
    let texts = || headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let exhausted = texts().any(|(name, value)| name.contains("remaining") && is_none_left(value));
    Limit { pause: http::pause(texts(), now), exhausted }
}

/// `0`, `0.0`, `-1`, `0;w=60`
fn is_none_left(remaining: &str) -> bool {
    let number = remaining.split([';', ',']).next().unwrap_or_default().trim();
    number.parse().is_ok_and(|left: f64| left <= 0.0)
}

/// Parses a document. Bytes that are not UTF-8 cost the record that they are in, and no other.
fn parse<T: FromStr<Err = String>>(body: &[u8]) -> Result<T, CallError> {
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

async fn whole(mut body: transport::Body) -> Result<Vec<u8>, CallError> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(CallError::Transport)?.into_data() else { continue };
        whole.extend_from_slice(&chunk);
        if whole.len() > MAX_DOCUMENT {
            return Err(CallError::TooLarge { limit: MAX_DOCUMENT });
        }
    }
    Ok(whole)
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
mod tests;
