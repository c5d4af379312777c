//! One quota for several processes, counted by the server that they call.

use std::{
    env,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    server::{Server, document, page},
    team::{Engine, Team, ends},
};

/// The part of a second's calls that may be used at once.
const BURST: u32 = 20;

/// The calls of one test.
pub(crate) struct Calls {
    pub(crate) rate: u32,
    arrivals: Vec<Instant>,
}

/// Lets processes read two documents for each of `users` users at a rate for all of them.
pub(crate) async fn calls_of(processes: usize, rate: u32, users: u64) -> Option<Calls> {
    let team = Team::new(Engine::Postgres).await?;
    let Ok(redis) = env::var("EVENKEEL_TEST_REDIS") else {
        println!("SKIPPED: no Redis server (cargo xtask servers up)");
        return None;
    };
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let count = arrivals.clone();
    let api = Server::start(move |path: String| {
        count.lock().unwrap().push(Instant::now());
        async move { if path == "/users.json" { page(1..=users, None) } else { document(&path) } }
    })
    .await;
    let flags = format!("--url {} --concurrency 50 --rate {rate} --quota {redis}", api.base);
    let workers: Vec<_> = (0..processes).map(|number| team.worker(number, &flags).spawn().unwrap()).collect();
    let mut said = String::new();
    for worker in workers {
        said += &ends(worker, 0).await;
    }
    assert_eq!(team.report(0)["users"], users, "{said}");
    let arrivals = arrivals.lock().unwrap().clone();
    assert_eq!(arrivals.len() as u64, 2 * users + 1);
    Some(Calls { rate, arrivals })
}

impl Calls {
    /// The most calls in any stretch of time above those that the rate grants in it.
    pub(crate) fn excess(&self) -> f64 {
        let rate = f64::from(self.rate);
        let (mut least, mut excess) = (f64::INFINITY, 0.0_f64);
        for (index, arrival) in self.arrivals.iter().enumerate() {
            let granted = (*arrival - self.arrivals[0]).as_secs_f64() * rate;
            least = least.min(index as f64 - granted);
            excess = excess.max(index as f64 + 1.0 - granted - least);
        }
        excess
    }

    /// The rate from this time after the first call to this time before the last.
    pub(crate) fn rate_between(&self, from: Duration, until: Duration) -> f64 {
        let (Some(first), Some(last)) = (self.arrivals.first(), self.arrivals.last()) else { return 0.0 };
        let (from, until) = (*first + from, *last - until);
        let count = self.arrivals.iter().filter(|arrival| (from..until).contains(*arrival)).count();
        count as f64 / (until - from).as_secs_f64()
    }

    pub(crate) fn burst(&self) -> f64 {
        f64::from((self.rate / BURST).max(1))
    }

    /// The calls that may arrive together although they were granted apart: the processes share few processors.
    pub(crate) fn jitter(&self) -> f64 {
        0.25 * f64::from(self.rate)
    }
}

impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rate, arrivals } = self;
        let second = Duration::from_secs(1);
        let peak = arrivals.iter().enumerate().map(|(index, arrival)| {
            arrivals[index..].iter().take_while(|then| **then - *arrival < second).count()
        });
        write!(
            f,
            "{} calls at {rate} per second: {:.2} per second, at most {} in any second, {:.1} more than the rate in any \
             stretch of time",
            arrivals.len(),
            self.rate_between(second / 2, second / 2),
            peak.max().unwrap_or_default(),
            self.excess(),
        )
    }
}
