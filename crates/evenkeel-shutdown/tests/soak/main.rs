//! A server under load gets SIGTERM, in real time: `cargo xtask soak shutdown`.
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "the program talks to the test")]
#![expect(dead_code, reason = "it uses a part of what the real tier has")]

#[path = "../real/churn.rs"]
mod churn;
#[path = "../real/client.rs"]
mod client;
#[path = "../real/load.rs"]
mod load;
#[path = "../real/process.rs"]
mod process;
#[path = "../real/programs.rs"]
mod programs;
#[path = "../real/server.rs"]
mod server;

use std::time::Duration;

use load::Load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn a_thousand_requests_and_websockets_in_flight() {
    let secs = Duration::from_secs;
    for _ in 0..5 {
        Load { requests: 1_000, sockets: 200, work: secs(5), pre_stop: secs(3), grace: secs(10) }.run().await;
    }
}

#[tokio::test]
#[ignore = "soak"]
async fn many_runs_that_come_and_go() {
    for _ in 0..20 {
        churn::churn(10_000).await;
    }
}
