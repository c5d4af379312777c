//! The drawing in the guide, compared with the limiters.

use std::{fmt::Write, time::Duration};

use evenkeel_limit::{Rate, RateLimiter};
use evenkeel_testkit::World;
use tokio::time::advance;

const COLUMN: Duration = Duration::from_millis(100);

/// The permits that are granted at each instant.
async fn grants(limiter: &RateLimiter, columns: usize) -> Vec<usize> {
    let mut grants = vec![];
    for _ in 0..columns {
        grants.push(std::iter::from_fn(|| limiter.try_acquire().ok()).count());
        advance(COLUMN).await;
    }
    grants
}

fn marks(grants: &[usize]) -> String {
    grants.iter().map(|n| if *n == 0 { " .".to_owned() } else { format!("{n:>2}") }).collect()
}

#[test]
fn the_guide_draws_what_a_burst_does() {
    World::run(async |_| {
        let rate = Rate::per_second(10);
        let mut drawing = format!("{:21}0 s{:17}1 s{:13}idle    60 s\n", "", "", "");
        for (name, limiter) in [
            ("per_second(10)", RateLimiter::new(rate)),
            ("  .burst(3)", RateLimiter::new(rate).burst(3)),
            ("  .burst(1)", RateLimiter::new(rate).burst(1)),
            ("    .start_empty()", RateLimiter::new(rate).burst(1).start_empty()),
            ("sliding", RateLimiter::sliding(rate)),
        ] {
            let busy = grants(&limiter, 18).await;
            let first = busy[..10].iter().sum::<usize>();
            advance(Duration::from_millis(58_200)).await;
            let again = grants(&limiter, 13).await;
            writeln!(
                drawing,
                "{name:20}{}        {}   {first:>2} in the first second",
                marks(&busy),
                marks(&again)
            )
            .unwrap();
        }
        assert!(include_str!("../../GUIDE.md").contains(&drawing), "the guide should have\n{drawing}");
    });
}
