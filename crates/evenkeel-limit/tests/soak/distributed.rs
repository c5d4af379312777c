//! Processes that share a quota in Redis: their speed, and the longest wait when the server is killed.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    redis::{key, run_alone},
    server::Server,
    worker::{Orders, Report, Worker},
};

const SECOND: Duration = Duration::from_secs(1);

/// The time-out of a call, and the time that a busy process may take to notice it.
const LONGEST: Duration = Duration::from_millis(110);

#[expect(clippy::print_stdout, reason = "the figures are what a soak is for")]
fn tell(figures: std::fmt::Arguments<'_>) {
    println!("{figures}");
}

fn orders(server: &Server) -> Orders {
    Orders {
        url: server.url(),
        key: key(),
        rate: 1_000_000_000,
        burst: 1_000_000_000,
        lease: 64,
        policy: "closed",
        time: 3 * SECOND,
        pause: Duration::ZERO,
    }
}

/// Runs a number of processes; returns the permits that all of them used, and the seconds of the run.
fn processes(count: usize, orders: &Orders) -> (f64, f64) {
    let workers: Vec<Worker> = (0..count).map(|_| Worker::start(orders)).collect();
    let reports: Vec<Report> = workers.into_iter().map(Worker::ends).collect();
    let granted: u64 = reports.iter().map(|report| report.granted).sum();
    let from = reports.iter().map(|report| report.from).min().unwrap();
    let until = reports.iter().map(|report| report.until).max().unwrap();
    (granted as f64, (until - from) as f64 / 1e6)
}

#[test]
#[ignore = "soak"]
fn leases_are_twenty_times_as_fast_as_calls() {
    run_alone(async |server| {
        let speed = |lease| {
            let (granted, secs) = processes(2, &Orders { lease, ..orders(&server) });
            granted / secs
        };
        let (calls, leases) = (speed(1), speed(64));
        tell(format_args!(
            "2 processes: {calls:.0} permits/s with a call for each, {leases:.0} with leases of 64: {:.0} times",
            leases / calls
        ));
        assert!(leases >= 20.0 * calls);
    });
}

#[test]
#[ignore = "soak"]
fn leases_grant_nothing_too_much() {
    run_alone(async |server| {
        let (rate, burst) = (100_000, 1_000);
        let (granted, secs) = processes(2, &Orders { rate, burst, ..orders(&server) });
        let most = f64::from(rate) * secs + f64::from(burst);
        tell(format_args!("2 processes at 100000/s: {granted} of {most:.0} permits in {secs:.2} s"));
        assert!(granted <= most);
        assert!(granted >= 0.9 * most);
    });
}

#[test]
#[ignore = "soak"]
fn a_server_that_is_killed_for_five_seconds_holds_nobody_up() {
    for policy in ["open", "closed", "2"] {
        run_alone(async |mut server| {
            let pause = Duration::from_micros(200);
            let orders = Orders { policy, pause, time: 8 * SECOND, ..orders(&server) };
            let workers = [Worker::start(&orders), Worker::start(&orders)];
            sleep(SECOND).await;
            server.kill();
            sleep(5 * SECOND).await;
            server.restart().await;
            for report in workers.map(Worker::ends) {
                let Report { granted, refused, longest, .. } = report;
                tell(format_args!(
                    "{policy}: {granted} granted, {refused} refused, longest wait {longest:?}"
                ));
                assert!(longest <= LONGEST, "{longest:?}");
                assert_eq!(refused > 0, policy == "closed");
            }
        });
    }
}
