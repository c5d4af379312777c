//! How do I call a server at a fixed rate, and obey its own limits? With a limiter as a `static`: callers wait in order, and
//! the limits in the server's headers pause all of them.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::{Duration, SystemTime};

use evenkeel_limit::{RateLimiter, http};
use tokio::time::Instant;

static LIMITER: RateLimiter = RateLimiter::per_second(20).burst(5).named("api");

type Headers = Vec<(&'static str, &'static str)>;

/// Your HTTP call, and the headers of its response.
async fn get(page: u32) -> Headers {
    if page == 10 { vec![("ratelimit", r#""default";r=0;t=1"#)] } else { vec![("content-type", "text/html")] }
}

#[expect(clippy::disallowed_methods, reason = "a date in a header can only be compared with the wall clock")]
fn obey(headers: Headers) {
    if let Some(pause) = http::pause(headers, SystemTime::now()) {
        println!("the server asks for a pause of {pause:?}");
        LIMITER.penalize(pause);
    }
}

pub(crate) async fn scenario() {
    let start = Instant::now();
    for page in 0..15 {
        LIMITER.acquire().await;
        println!("{:>4} ms: page {page}", start.elapsed().as_millis());
        obey(get(page).await);
    }

    // Fails instead of being late.
    let soon = Instant::now() + Duration::from_millis(10);
    if let Err(denied) = LIMITER.acquire().by(soon).await {
        println!("{denied}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
