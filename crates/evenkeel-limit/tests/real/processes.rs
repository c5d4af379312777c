//! Several processes, one quota, and a server that is killed and paused.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    redis::{key, run_alone},
    server::Server,
    worker::{Orders, Report, Worker},
};

const RATE: u32 = 500;
const BURST: u32 = 100;

/// Kills the server once, and pauses it once.
async fn trouble(server: &mut Server) {
    sleep(Duration::from_millis(800)).await;
    server.kill();
    sleep(Duration::from_millis(500)).await;
    server.restart().await;
    sleep(Duration::from_millis(800)).await;
    server.pause();
    sleep(Duration::from_millis(500)).await;
    server.resume();
}

/// All permits that four processes used, and their maximum: the bucket at the start, one for each outage, and the
/// rate.
async fn four(mut server: Server, policy: &'static str) -> (u64, u64) {
    let orders = Orders {
        url: server.url(),
        key: key(),
        rate: RATE,
        burst: BURST,
        lease: 10,
        policy,
        time: Duration::from_millis(3_500),
        pause: if policy == "closed" { Duration::from_micros(500) } else { Duration::ZERO },
    };
    let workers: Vec<Worker> = (0..4).map(|_| Worker::start(&orders)).collect();
    trouble(&mut server).await;
    let reports: Vec<Report> = workers.into_iter().map(Worker::ends).collect();
    let granted = reports.iter().map(|report| report.granted).sum();
    let from = reports.iter().map(|report| report.from).min().unwrap();
    let until = reports.iter().map(|report| report.until).max().unwrap();
    (granted, (until - from) * u64::from(RATE) / 1_000_000 + 3 * u64::from(BURST))
}

#[test]
#[ignore = "real tier"]
fn four_processes_share_a_quota_that_is_closed_in_an_outage() {
    run_alone(async |server| {
        let (granted, most) = four(server, "closed").await;
        // The server has lost no state in the pause.
        assert!(granted <= most - u64::from(BURST), "{granted} of {most}");
        assert!(granted >= u64::from(RATE), "{granted} of {most}");
    });
}

#[test]
#[ignore = "real tier"]
fn four_processes_share_a_quota_and_have_shares_in_an_outage() {
    run_alone(async |server| {
        let (granted, most) = four(server, "4").await;
        // A process that misses the end of an outage goes on with its share, no longer than the outage has lasted.
        let unnoticed = 2 * u64::from(RATE) * 3 / 4 * 6 / 10;
        assert!(granted <= most + unnoticed, "{granted} of {most}");
        assert!(granted >= 2 * u64::from(RATE), "{granted} of {most}");
    });
}
