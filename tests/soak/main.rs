//! Measurements that only the clock of tests can make, and rules on real servers. It prints figures, and is run in release by
//! `cargo xtask soak`.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use backon::Retryable as _;
use evenkeel::retry::Policy;
use tokio::runtime::{Builder, Runtime};

const DELAY: Duration = Duration::from_millis(100);
const CALLS: u32 = 2000;
const ROUNDS: usize = 101;

static POLICY: Policy = Policy::fixed(DELAY).max_attempts(2);

/// Calls that each fail once: their cost beside the peers' without the wait for the delay.
#[test]
#[ignore = "soak"]
fn a_delayed_retry_in_virtual_time() {
    let names = ["evenkeel", "tokio-retry", "backon"];
    let mut rounds = names.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        rounds[0].push(round(async |failed| POLICY.run(async || once(failed)).await.is_ok()));
        rounds[1].push(round(async |failed| {
            let delays = tokio_retry::strategy::FixedInterval::new(DELAY).take(1);
            tokio_retry::Retry::start(delays, async || once(failed)).await.is_ok()
        }));
        rounds[2].push(round(async |failed| {
            let delays = backon::ConstantBuilder::default().with_delay(DELAY).with_max_times(1);
            (async || once(failed)).retry(delays).await.is_ok()
        }));
    }
    let medians = rounds.map(|mut costs| {
        costs.sort();
        costs[ROUNDS / 2] / CALLS
    });
    for (name, median) in names.iter().zip(medians) {
        let ratio = medians[0].as_secs_f64() / median.as_secs_f64();
        tell(&format!("one delayed retry, {name}: {median:?}, ours is {ratio:.2} of it"));
    }
}

fn once(failed: &Cell<bool>) -> Result<(), &'static str> {
    if failed.replace(true) { Ok(()) } else { Err("the first") }
}

/// The real time of this number of calls, one after the other.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn round(call: impl AsyncFn(&Cell<bool>) -> bool) -> Duration {
    let start = Instant::now();
    paused().block_on(async {
        let virtually = tokio::time::Instant::now();
        for _ in 0..CALLS {
            assert!(call(&Cell::new(false)).await);
        }
        assert_eq!(virtually.elapsed(), DELAY * CALLS);
    });
    start.elapsed()
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// All rules of pipelines on each real server, of ours and of the peers.
#[cfg(unix)]
#[test]
#[ignore = "soak"]
fn pipelines_keep_their_rules_on_each_server() {
    let mut conformance = std::process::Command::new(env!("CARGO_BIN_EXE_conformance"));
    let output = conformance.arg("real").output().expect("cargo has built it");
    tell(&String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[expect(clippy::print_stdout, reason = "the figures are what a soak is for")]
fn tell(figures: &str) {
    println!("{figures}");
}
