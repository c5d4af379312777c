//! Asks for one URL: within the rate of its host, by the rules of its robots.txt, with retries, and reads its links.

mod client;
mod robots_cache;

use std::{sync::Arc, time::Duration};

use evenkeel::{
    retry::{Failed, GaveUp, Policy, Verdict},
    task::Stop,
};
use reqwest::{Client, Url};

use self::{client::FetchError, robots_cache::RobotsCache};
use crate::{
    log::RequestLog,
    outcome::{Entry, Kind, Outcome, Problem, Validators},
    pacer::{MAX_PAUSE, Pacer},
    robots::{Access, Rules},
    scope::{Role, host},
    stats::Stats,
};

/// The retry policy of a request, with this time for one attempt.
const fn policy(timeout: Duration) -> Policy {
    Policy::exponential(Duration::from_millis(500), Duration::from_secs(30))
        .named("requests")
        .max_attempts(4)
        .attempt_timeout(timeout)
        .max_retry_after(MAX_PAUSE)
}

/// The settings of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The time for one attempt.
    pub(crate) timeout: Duration,
    /// The maximum size of a page in bytes, decompressed.
    pub(crate) max_body: usize,
    /// Whether robots.txt counts.
    pub(crate) obeys_robots: bool,
    /// Whether the client knows TLS.
    pub(crate) has_https: bool,
}

/// Asks servers.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client,
    limits: Limits,
    policy: Policy,
    pacer: Pacer,
    robots: RobotsCache,
    log: RequestLog,
    stats: Arc<Stats>,
}

/// A request as its attempts need it.
struct Request<'a> {
    url: &'a Url,
    validators: &'a Validators,
    reads: Reads,
}

/// The part of an answer that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// The links of a page, and its targets of fragments.
    Links,
    /// The targets of fragments only.
    Anchors,
    /// The text of a robots.txt.
    Text,
}

/// An answer that needs no further attempt.
#[derive(Debug)]
enum Answer {
    Outcome(Outcome),
    Text(Vec<u8>),
}

impl Fetcher {
    pub(crate) fn new(
        client: Client,
        limits: Limits,
        pacer: Pacer,
        log: RequestLog,
        stats: Arc<Stats>,
    ) -> Self {
        let policy = policy(limits.timeout);
        Self { client, limits, policy, pacer, robots: RobotsCache::default(), log, stats }
    }

    /// Returns the client of all requests. It follows no redirects, which are links of their own here.
    pub(crate) fn client(connections: usize) -> reqwest::Result<Client> {
        Client::builder()
            .user_agent(concat!("evenkeel-crawl/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .pool_max_idle_per_host(connections)
            .build()
    }

    /// Asks for a URL. Returns `None` if a stop came while it waited: then it counts as not begun.
    pub(crate) async fn fetch(&self, entry: &Entry, stop: &Stop) -> Option<Outcome> {
        if self.limits.obeys_robots {
            let rules = self.rules(&entry.url, stop).await?;
            if !rules.allow(&entry.url) {
                let problem = |reason: &String| Problem::new(Kind::Robots, format!("robots.txt: {reason}"));
                return Some(
                    rules.unreachable.as_ref().map(problem).map_or(Outcome::Disallowed, Outcome::Failed),
                );
            }
        }
        let reads = if entry.role == Role::Follow { Reads::Links } else { Reads::Anchors };
        let request = Request { url: &entry.url, validators: &entry.validators, reads };
        Some(match self.attempts(&request, stop).await? {
            Ok(Answer::Outcome(outcome)) => outcome,
            Ok(Answer::Text(_)) => unreachable!("only a robots.txt is read as text"),
            Err(problem) => Outcome::Failed(problem),
        })
    }

    /// Keeps the distance to the requests of an earlier run.
    pub(crate) fn resume(&self, hosts: &[String]) {
        self.pacer.resume(hosts);
    }

    /// Makes a request until it is answered or the policy gives up. The layers, from the outside to the inside: the
    /// retries; the rate of the host, so that a retry counts as a request; the time of one attempt, so that only the
    /// server uses it up.
    async fn attempts(&self, request: &Request<'_>, stop: &Stop) -> Option<Result<Answer, Problem>> {
        let host = host(request.url);
        let mut attempts = self.policy.start();
        loop {
            let begun = || self.stats.with(|counts| counts.requests += 1);
            let line = self.log.line(request.url);
            if !self.pacer.turn(&host, stop, || line.begin(begun)).await {
                return None;
            }
            let failed = match attempts.attempt(self.attempt(request)).await {
                Ok(answer) => return Some(Ok(answer)),
                Err(failed) => failed.classify(FetchError::verdict),
            };
            if let Some(Verdict::RetryAfter(pause)) = failed.error().map(FetchError::verdict) {
                self.pacer.pause(&host, pause);
            }
            let label = problem_of(&failed, self.limits.timeout);
            let decided = tokio::select! {
                // A failure that is final is an outcome, also after a stop.
                biased;
                decided = attempts.backoff(failed) => decided,
                () = stop.draining() => return None,
            };
            match decided {
                Ok(()) => self.stats.with(|counts| counts.retries += 1),
                Err(gave_up) => {
                    let mut problem = label;
                    if gave_up.reason == GaveUp::Attempts {
                        problem.detail += &format!(", at attempt {}", gave_up.attempts);
                    }
                    return Some(Err(problem));
                }
            }
        }
    }

    /// Returns the rules of the server of this URL, and asks for them if they are not known or a day old.
    async fn rules(&self, url: &Url, stop: &Stop) -> Option<Arc<Rules>> {
        let server = self.robots.server(url);
        let mut known = server.lock().await;
        if let Some(rules) = known.fresh() {
            return Some(rules);
        }
        let access = self.access(url, stop).await?;
        let rules = Rules::new(&access, crate::robots::AGENT);
        if let Some(delay) = rules.delay() {
            self.pacer.set_delay(&host(url), delay).await;
        }
        Some(known.set(rules))
    }

    /// Asks for a robots.txt, behind up to five redirects to any host; the outcome counts for the first host.
    async fn access(&self, url: &Url, stop: &Stop) -> Option<Access> {
        const MAX_REDIRECTS: usize = 5;
        let Ok(mut at) = url.join("/robots.txt") else { return Some(Access::Unavailable) };
        for _ in 0..=MAX_REDIRECTS {
            let request = Request { url: &at, validators: &Validators::default(), reads: Reads::Text };
            let next = match self.attempts(&request, stop).await? {
                Ok(Answer::Text(text)) => return Some(Access::Found(text)),
                Ok(Answer::Outcome(Outcome::Redirect(link))) => Url::parse(&link.url).ok(),
                Ok(Answer::Outcome(_)) => None,
                // The server has said that there is none, or not for us.
                Err(Problem { kind: Kind::Status, detail }) if detail.starts_with('4') => None,
                Err(Problem { kind: Kind::Redirect, .. }) => None,
                Err(problem) => return Some(Access::Unreachable(problem.detail)),
            };
            match next {
                Some(next) => at = next,
                None => return Some(Access::Unavailable),
            }
        }
        Some(Access::Unavailable)
    }
}

fn problem_of(failed: &Failed<FetchError>, timeout: Duration) -> Problem {
    let timed_out = || Problem::new(Kind::Timeout, format!("no answer within {timeout:?}"));
    failed.error().map_or_else(timed_out, FetchError::problem)
}
