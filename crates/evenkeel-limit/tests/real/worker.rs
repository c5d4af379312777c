//! A process that takes permits of a quota: the test binary, started again.

use std::{
    env,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, OnFailure},
};
use tokio::time::{Instant, sleep};

use crate::redis::store;

/// The environment variable with the orders for the process.
const ORDERS: &str = "EVENKEEL_LIMIT_WORKER";

#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) rate: u32,
    pub(crate) burst: u32,
    pub(crate) lease: u32,
    /// `open`, `closed`, or the number of processes that share.
    pub(crate) policy: &'static str,
    pub(crate) time: Duration,
    /// The pause between requests.
    pub(crate) pause: Duration,
}

/// The report of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) granted: u64,
    pub(crate) refused: u64,
    pub(crate) longest: Duration,
    /// The times of its first request and its last grant, in microseconds of the wall clock.
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// A running process.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(orders: &Orders) -> Self {
        let Orders { url, key, rate, burst, lease, policy, time, pause } = orders;
        let (time, pause) = (time.as_millis(), pause.as_micros());
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "worker::works", "--ignored", "--nocapture"])
            .env(ORDERS, format!("{url} {key} {rate} {burst} {lease} {policy} {time} {pause}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Waits for its end.
    pub(crate) fn ends(self) -> Report {
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line =
            text.lines().find_map(|line| line.split_once("worker: ")).unwrap_or_else(|| panic!("{text}"));
        let numbers: Vec<u64> = line.1.split(' ').map(|number| number.parse().unwrap()).collect();
        let [granted, refused, longest, from, until] = numbers[..] else { panic!("{text}") };
        Report { granted, refused, longest: Duration::from_micros(longest), from, until }
    }
}

/// A clock that processes have in common.
fn wall() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}

#[test]
#[ignore = "a program"]
#[expect(clippy::print_stdout, reason = "it talks to the test")]
fn works() {
    let Ok(orders) = env::var(ORDERS) else { return };
    let orders: Vec<&str> = orders.split(' ').collect();
    let number = |at: usize| orders[at].parse::<u32>().unwrap();
    let policy = match orders[5] {
        "open" => OnFailure::Open,
        "closed" => OnFailure::Closed,
        share => OnFailure::LocalShare(share.parse().unwrap()),
    };
    let (time, pause) = (Duration::from_millis(number(6).into()), Duration::from_micros(number(7).into()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Report { granted, refused, longest, from, until } = runtime.block_on(async {
        let quota = Distributed::new(store(orders[0]), orders[1], Rate::per_second(number(2)))
            .burst(number(3))
            .lease(number(4))
            .on_failure(policy);
        let end = Instant::now() + time;
        let mut report = Report { granted: 0, refused: 0, longest: Duration::ZERO, from: wall(), until: 0 };
        let mut start = Instant::now();
        while start < end {
            match quota.acquire().await {
                Ok(()) => report.granted += 1,
                Err(_) => report.refused += 1,
            }
            let now = Instant::now();
            report.longest = report.longest.max(now - start);
            start = now;
            if !pause.is_zero() {
                sleep(pause).await;
                start = Instant::now();
            }
        }
        Report { until: wall(), ..report }
    });
    println!("worker: {granted} {refused} {} {from} {until}", longest.as_micros());
}
