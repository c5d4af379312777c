//! Which HTTP answers are worth a retry, and when? The status decides, `Retry-After` is obeyed in all of its forms,
//! and a request that may have taken effect is not sent twice.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{
    cell::Cell,
    error, fmt,
    time::{Duration, SystemTime},
};

use evenkeel_retry::{
    Policy, Verdict,
    http::{retry_after, verdict},
};

static POLICY: Policy =
    Policy::exponential(Duration::from_millis(50), Duration::from_secs(2)).max_attempts(4).named("get");

/// An answer that is not a success, as `error_for_status` of an HTTP client returns it.
#[derive(Debug)]
struct Status {
    code: u16,
    headers: &'static [(&'static str, &'static str)],
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.code)
    }
}

impl error::Error for Status {}

#[expect(clippy::disallowed_methods, reason = "an HTTP-date can only be compared with the wall clock")]
fn classify(status: &Status) -> Verdict {
    verdict(status.code, retry_after(status.headers.iter().copied(), SystemTime::now()))
}

/// Is busy once, fails once, and answers.
async fn get(calls: &Cell<usize>) -> Result<&'static str, Status> {
    let answers = [Err((429, &[("retry-after", "1")][..])), Err((502, &[])), Ok("hello")];
    let answer = answers[calls.get()];
    calls.set(calls.get() + 1);
    answer.map_err(|(code, headers)| Status { code, headers })
}

pub(crate) async fn scenario() -> Result<(), Box<dyn error::Error>> {
    let calls = Cell::new(0);
    let body = POLICY
        .run(|| get(&calls))
        .classify(classify)
        .observe(|retry| println!("{:?}: again in {:?}", retry.error, retry.delay))
        .await?;
    println!("{body}");

    // A payment is not safe to repeat: after a 502 it may have been made.
    calls.set(1);
    if let Err(gave_up) = POLICY.run(|| get(&calls)).classify(classify).at_most_once().await {
        println!("{gave_up}");
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn error::Error>> {
    scenario().await
}
