//! The time between two requests to one host.
//!
//! A rate limiter for each host has the schedule, and the pauses that a server asks for. A limiter keeps its schedule:
//! a request that starts late costs the next one no time, so two of them may start closer together than the rate says.
//! The log of a polite crawler has no such pair. So a host has one request at a time that waits for its turn, and the
//! pause to the next one is counted from its start.

use std::{collections::HashMap, time::Duration};

use evenkeel::{
    limit::{Keyed, Rate},
    task::Stop,
};
use tokio::sync::Mutex;

/// The longest pause of a host, in answer to `Retry-After`.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// The schedule of a host without a rate: no request waits.
const UNLIMITED: u32 = 1_000_000;

/// The pace of all hosts.
#[derive(Debug)]
pub(crate) struct Pacer {
    limiter: Keyed<String>,
    /// The time between two requests; zero without a rate.
    interval: Duration,
    /// The queue of each host, with the delay that its robots.txt asks for. They are few: the hosts of the scope, and
    /// those to which a robots.txt was redirected.
    hosts: std::sync::Mutex<HashMap<String, std::sync::Arc<Mutex<Duration>>>>,
}

impl Pacer {
    /// Returns a pacer with this number of requests per second to each host; `None` sets no limit.
    pub(crate) fn new(rate: Option<u32>) -> Self {
        let (limiter, interval) = match rate {
            Some(rate) => (Keyed::per_second(rate).burst(1), Duration::from_secs(1).div_f64(rate.into())),
            None => (Keyed::new(Rate::per_second(UNLIMITED)).burst(UNLIMITED), Duration::ZERO),
        };
        Self {
            limiter: limiter.named("hosts").show_keys().max_pause(MAX_PAUSE),
            interval,
            hosts: std::sync::Mutex::default(),
        }
    }

    /// Waits until a request to the host may start. Returns `false` if `stop` drains first: then none may.
    ///
    /// `begun` is called at the start, before any other request to the host may start.
    pub(crate) async fn turn(&self, host: &str, stop: &Stop, begun: impl FnOnce()) -> bool {
        let queue = self.host(host);
        let turn = async {
            let delay = queue.lock().await;
            self.limiter.acquire(host).await;
            delay
        };
        let delay = tokio::select! {
            biased;
            () = stop.draining() => return false,
            delay = turn => delay,
        };
        let gap = self.interval.max(*delay);
        begun();
        if !gap.is_zero() {
            self.limiter.penalize(host, gap);
        }
        true
    }

    /// Sets the delay that the host asks for in its robots.txt. It begins now: an earlier run may have sent a request a
    /// moment ago.
    pub(crate) async fn set_delay(&self, host: &str, delay: Duration) {
        self.pause(host, delay);
        *self.host(host).lock().await = delay;
    }

    /// Starts no request to the host for this time.
    pub(crate) fn pause(&self, host: &str, pause: Duration) {
        self.limiter.penalize(host, pause);
    }

    /// Keeps the distance to the last request of an earlier run, which may have been a moment ago.
    pub(crate) fn resume(&self, hosts: &[String]) {
        if !self.interval.is_zero() {
            hosts.iter().for_each(|host| self.limiter.penalize(host.as_str(), self.interval));
        }
    }

    fn host(&self, host: &str) -> std::sync::Arc<Mutex<Duration>> {
        let mut hosts = self.hosts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(queue) = hosts.get(host) {
            return queue.clone();
        }
        hosts.entry(host.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::join_all;
    use tokio::time::Instant;

    use super::*;

    const HOST: &str = "h.example";

    async fn starts(pacer: &Pacer, n: usize) -> Vec<u128> {
        let begin = Instant::now();
        let stop = Stop::new();
        let started = Arc::new(std::sync::Mutex::new(Vec::new()));
        let turns = (0..n)
            .map(|_| pacer.turn(HOST, &stop, || started.lock().unwrap().push(begin.elapsed().as_millis())));
        assert!(join_all(turns).await.into_iter().all(|granted| granted));
        let started = started.lock().unwrap();
        started.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_start_at_the_rate() {
        assert_eq!(starts(&Pacer::new(Some(10)), 4).await, [0, 100, 200, 300]);
        assert_eq!(starts(&Pacer::new(None), 3).await, [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_of_a_robots_txt_counts_if_it_is_longer() {
        let pacer = Pacer::new(Some(10));
        pacer.set_delay(HOST, Duration::from_millis(250)).await;
        assert_eq!(starts(&pacer, 3).await, [250, 500, 750]);
        pacer.set_delay("other", Duration::from_millis(10)).await;
        let unlimited = Pacer::new(None);
        unlimited.set_delay("none", Duration::ZERO).await;
        unlimited.set_delay(HOST, Duration::from_secs(2)).await;
        assert_eq!(starts(&unlimited, 3).await, [2000, 4000, 6000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_for_all_requests_to_the_host() {
        let pacer = Pacer::new(None);
        pacer.pause(HOST, Duration::from_secs(7));
        // After a pause the permits have to be earned, a thousand in a millisecond.
        assert_eq!(starts(&pacer, 3).await, [7000, 7001, 7001]);
        pacer.pause(HOST, Duration::from_secs(86_400));
        assert_eq!(starts(&pacer, 1).await, [MAX_PAUSE.as_millis()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_goes_on_begins_with_a_distance() {
        let pacer = Pacer::new(Some(2));
        pacer.resume(&[HOST.into()]);
        assert_eq!(starts(&pacer, 2).await, [500, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_and_lets_none_start() {
        let (pacer, stop, begin) = (Pacer::new(None), Stop::new(), Instant::now());
        pacer.pause(HOST, Duration::from_secs(60));
        let (granted, ()) = tokio::join!(pacer.turn(HOST, &stop, || panic!("it starts")), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.drain("test");
        });
        assert_eq!((granted, begin.elapsed()), (false, Duration::from_secs(1)));
        assert!(!pacer.turn("other", &stop, || panic!("it starts")).await);
    }
}
