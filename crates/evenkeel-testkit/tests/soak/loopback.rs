//! reqwest, over loopback in the same runtime.

use std::{sync::Arc, time::Duration};

use evenkeel_testkit::{
    World,
    http::{Method, Server},
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{median, tell, wall};

const LATENCY: Duration = Duration::from_millis(200);

/// The virtual time, and the calls that failed or timed out.
fn run(calls: usize, limit: usize) -> (Duration, usize) {
    World::run(async |_| {
        let server = Server::loopback().await.expect("a free port");
        server.on(Method::GET, "/").reply(200).body("ok").latency(LATENCY).expect(calls);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().expect("a client");
        let start = Instant::now();
        let permits = Arc::new(Semaphore::new(limit));
        let mut running = JoinSet::new();
        for _ in 0..calls {
            let (client, url, permits) = (client.clone(), server.url("/"), permits.clone());
            running.spawn(async move {
                let _permit = permits.acquire().await;
                let call = async { client.get(url).send().await?.bytes().await };
                !matches!(timeout(Duration::from_secs(5), call).await, Ok(Ok(_)))
            });
        }
        let failed = running.join_all().await.into_iter().filter(|failed| *failed).count();
        (start.elapsed(), failed)
    })
}

#[test]
#[ignore = "soak"]
fn a_thousand_calls_of_200_ms_limit_100() {
    let mut walls = vec![];
    for _ in 0..5 {
        let (run, time) = wall(|| run(1000, 100));
        assert_eq!(run, (10 * LATENCY, 0));
        walls.push(time);
    }
    tell(format_args!(
        "1000 calls x 200 ms, limit 100, reqwest: 2s virtual, {:?} wall (median of 5)",
        median(walls)
    ));
}

#[test]
#[ignore = "soak"]
fn five_hundred_runs() {
    let (odd, time) = wall(|| {
        let runs = (0..500).map(|_| run(20, 5));
        runs.filter(|run| *run != (4 * LATENCY, 0)).collect::<Vec<_>>()
    });
    tell(format_args!("500 runs of 20 calls x 200 ms, limit 5, reqwest: {} odd, {time:?} wall", odd.len()));
    assert_eq!(odd, []);
}
