//! Retries of reqwest against a server on loopback.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime},
};

use evenkeel_retry::{GaveUp, Policy, Verdict, http::retry_after};
use reqwest::header::RETRY_AFTER;
use tokio::time::Instant;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

use crate::ms;

static POLICY: Policy = Policy::fixed(ms(1)).max_attempts(3);

#[derive(Debug)]
enum ApiError {
    Status { status: u16, retry_after: Option<Duration> },
    Transport,
}

async fn get(uri: String) -> Result<u16, ApiError> {
    let response = reqwest::get(uri).await.map_err(|_| ApiError::Transport)?;
    let status = response.status().as_u16();
    if status < 400 {
        return Ok(status);
    }
    Err(ApiError::Status { status, retry_after: retry_after(response.headers(), wall_clock()) })
}

fn verdict(error: &ApiError) -> Verdict {
    match error {
        ApiError::Status { status: 429 | 503, retry_after: Some(wait) } => Verdict::RetryAfter(*wait),
        ApiError::Status { status: 429 | 500..600, .. } | ApiError::Transport => Verdict::Retry,
        ApiError::Status { .. } => Verdict::Permanent,
    }
}

#[expect(clippy::disallowed_methods, reason = "an HTTP-date is compared with the wall clock")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Answers first with `first`, and then with 200.
async fn serve(first: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(first).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    server
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_status_decides() {
    for status in [429, 500, 502, 503, 504] {
        let server = serve(ResponseTemplate::new(status)).await;
        assert_eq!(POLICY.run(|| get(server.uri())).classify(verdict).await.unwrap(), 200);
        assert_eq!(server.received_requests().await.unwrap().len(), 2, "after {status}");
    }
    for status in [400, 401, 403, 404, 409, 422] {
        let server = serve(ResponseTemplate::new(status)).await;
        let gave_up = POLICY.run(|| get(server.uri())).classify(verdict).await.unwrap_err();
        assert_eq!((gave_up.reason, gave_up.attempts), (GaveUp::Permanent, 1), "at {status}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn seconds_are_waited_for() {
    let server = serve(ResponseTemplate::new(429).insert_header(RETRY_AFTER, "1")).await;
    let start = Instant::now();
    assert_eq!(POLICY.run(|| get(server.uri())).classify(verdict).await.unwrap(), 200);
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_date_is_waited_for() {
    // A date has whole seconds: this is in one to two of them.
    let date = httpdate::fmt_http_date(wall_clock() + Duration::from_secs(2));
    let named = httpdate::parse_http_date(&date).unwrap();
    let server = MockServer::start().await;
    let arrivals = std::sync::Arc::new(Mutex::new(Vec::new()));
    let noted = arrivals.clone();
    let answer = move |_: &Request| {
        let mut noted = noted.lock().unwrap();
        noted.push(wall_clock());
        match noted.len() {
            1 => ResponseTemplate::new(503).insert_header(RETRY_AFTER, date.as_str()),
            _ => ResponseTemplate::new(200),
        }
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    assert_eq!(POLICY.run(|| get(server.uri())).classify(verdict).await.unwrap(), 200);
    let arrivals = arrivals.lock().unwrap();
    assert_eq!(arrivals.len(), 2);
    assert!(arrivals[0] < named && arrivals[1] >= named, "{arrivals:?} for {named:?}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn more_than_anybody_waits_ends_the_call() {
    let server = serve(ResponseTemplate::new(503).insert_header(RETRY_AFTER, "3600")).await;
    let gave_up = POLICY.run(|| get(server.uri())).classify(verdict).await.unwrap_err();
    assert_eq!(gave_up.reason, GaveUp::RetryAfter(Duration::from_secs(3600)));
    let Some(ApiError::Status { status: 503, .. }) = gave_up.last else { panic!("{:?}", gave_up.last) };
}
