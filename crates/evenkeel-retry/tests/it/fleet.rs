//! A fleet of seeded clients and a server that is down for a while: how many calls reach the server, and when.

use std::{cell::RefCell, future::ready, rc::Rc, time::Duration};

use backoff::backoff::Backoff as _;
use backon::BackoffBuilder as _;
use evenkeel_retry::{Backoff, Budget, Policy};
use evenkeel_testkit::World;
use tokio::{
    task::LocalSet,
    time::{Instant, sleep},
};

use crate::{Refused, ms};

const OUTAGE: Duration = Duration::from_secs(30);
const CLIENTS: u64 = 10_000;
const CAP: Duration = Duration::from_secs(10);

/// The most calls in any 10 ms from the end of the outage on, if each client keeps these delays until it succeeds.
fn peak_after_outage(delays: impl Fn(u64) -> Box<dyn Iterator<Item = Duration>>) -> usize {
    let mut calls: Vec<Duration> = (0..CLIENTS)
        .map(|client| {
            let mut at = Duration::ZERO;
            let mut delays = delays(client);
            while at < OUTAGE {
                at += delays.next().expect("clients do not give up");
            }
            at
        })
        .collect();
    calls.sort_unstable();
    let within = |from: usize| calls[from..].partition_point(|at| *at < calls[from] + ms(10));
    (0..calls.len()).map(within).max().unwrap_or(0)
}

#[test]
fn clients_do_not_come_back_as_a_herd() {
    let policy = Backoff::exponential(ms(500), CAP);
    let ours = peak_after_outage(|seed| Box::new((1..).map(move |n| policy.delay(n, seed))));
    let defaults = backon::ExponentialBuilder::default().with_max_delay(CAP).without_max_times();
    let backon = peak_after_outage(|_| Box::new(defaults.build()));
    let backoff = peak_after_outage(|_| {
        let mut builder = backoff::ExponentialBackoffBuilder::new();
        let mut backoff = builder.with_max_interval(CAP).with_max_elapsed_time(None).build();
        Box::new(std::iter::from_fn(move || backoff.next_backoff()))
    });
    assert!(ours * 2 <= backon, "{ours}, and backon's {backon}");
    // Theirs wait longer than the cap, 10 s on average where ours wait 5: so fewer of them come, above the cap.
    assert!(ours <= backoff * 5 / 2, "{ours}, and backoff's {backoff}");
}

const DOWN: std::ops::Range<Duration> = Duration::from_secs(3)..Duration::from_secs(13);

/// When each call reached the server, of clients that make a call every second for twenty seconds.
async fn calls(clients: u64, policy: Policy) -> Vec<Duration> {
    let start = Instant::now();
    let log = Rc::new(RefCell::new(Vec::new()));
    let local = LocalSet::new();
    for seed in 0..clients {
        let (policy, log) = (policy.clone().seed(seed), log.clone());
        local.spawn_local(async move {
            sleep(ms(seed * 1000 / clients)).await;
            for _ in 0..20 {
                let call = policy.run(|| {
                    let now = start.elapsed();
                    log.borrow_mut().push(now);
                    ready(if DOWN.contains(&now) { Err(Refused(0)) } else { Ok(()) })
                });
                let (_, ()) = tokio::join!(call, sleep(ms(1000)));
            }
        });
    }
    local.await;
    log.take()
}

#[test]
fn a_budget_keeps_an_outage_from_multiplying_the_load() {
    World::run(async |_| {
        let policy = Policy::exponential(ms(50), ms(200)).max_attempts(4);
        let during = |calls: &[Duration]| calls.iter().filter(|at| DOWN.contains(at)).count();
        let without = calls(100, policy.clone()).await;
        let budget = Budget::percent(10).per_second(0);
        let with = calls(100, policy.budget(budget)).await;
        // Ten seconds of a hundred calls a second.
        let amplified = during(&without);
        assert!((3900..=4000).contains(&amplified), "{amplified}");
        let bounded = during(&with);
        assert!((1000..=1110).contains(&bounded), "{bounded}");
        // All is well again as soon as the server is.
        let after = |calls: &[Duration]| calls.iter().filter(|at| **at >= DOWN.end).count();
        assert!(after(&with) <= after(&without) && after(&without) < 1000);
    });
}
