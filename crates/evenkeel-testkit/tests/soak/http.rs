//! Calls in memory.

use std::{sync::Arc, time::Duration};

use evenkeel_testkit::{
    World,
    http::{Client, Method, Server},
    net::MemNet,
};
use http_body_util::BodyExt;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{median, tell, wall};

const LATENCY: Duration = Duration::from_millis(200);
const BODY: &str = r#"{"id":7}"#;

/// The observable result of a run.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    virtual_time: Duration,
    timeouts: usize,
    calls: Vec<(Duration, String, usize)>,
    peak: usize,
    connections: u64,
}

async fn call(client: Client, url: hyper::Uri) -> usize {
    let reply = client.get(url).await.expect("a reply");
    reply.into_body().collect().await.expect("a body").to_bytes().len()
}

fn run(calls: usize, limit: usize) -> Run {
    World::run(async |_| {
        let server = Server::mem(&MemNet::new(), "api.test").expect("a free address");
        server.on(Method::GET, "/users/{id}").reply(200).body(BODY).latency(LATENCY).expect(calls);
        let client = server.client();
        let start = Instant::now();
        let permits = Arc::new(Semaphore::new(limit));
        let mut running = JoinSet::new();
        for id in 0..calls {
            let url = server.url(&format!("/users/{id}")).parse().expect("a URL");
            let (client, permits) = (client.clone(), permits.clone());
            running.spawn(async move {
                let _permit = permits.acquire().await;
                match timeout(Duration::from_secs(5), call(client, url)).await {
                    Ok(len) => usize::from(len != BODY.len()),
                    Err(_) => 1,
                }
            });
        }
        let timeouts = running.join_all().await.into_iter().sum();
        Run {
            virtual_time: start.elapsed(),
            timeouts,
            calls: server
                .calls()
                .iter()
                .map(|call| (call.at, call.uri.to_string(), call.in_flight))
                .collect(),
            peak: server.peak_in_flight(),
            connections: server.link().snapshot().opened,
        }
    })
}

#[test]
#[ignore = "soak"]
fn a_thousand_calls_of_200_ms_limit_100() {
    let (first, _) = wall(|| run(1000, 100));
    assert_eq!((first.virtual_time, first.timeouts, first.peak), (10 * LATENCY, 0, 100));
    assert_eq!((first.calls.len(), first.connections), (1000, 100));
    let mut walls = vec![];
    for _ in 0..100 {
        let (again, time) = wall(|| run(1000, 100));
        assert_eq!(again, first);
        walls.push(time);
    }
    let five = median(walls[..5].to_vec());
    tell(format_args!(
        "1000 calls x 200 ms, limit 100, in memory: {:?} virtual, {five:?} wall (median of 5; of 100: {:?}), \
         100 of 100 runs equal",
        first.virtual_time,
        median(walls),
    ));
}

#[test]
#[ignore = "soak"]
fn one_after_the_other_and_all_at_once() {
    for (limit, expected) in [(1, 1000 * LATENCY), (1000, LATENCY)] {
        let (run, time) = wall(|| run(1000, limit));
        assert_eq!((run.virtual_time, run.timeouts, run.peak), (expected, 0, limit));
        tell(format_args!(
            "1000 calls x 200 ms, limit {limit}: {:?} virtual, {time:?} wall",
            run.virtual_time
        ));
    }
}

#[test]
#[ignore = "soak"]
fn a_hundred_thousand_calls() {
    let (run, time) = wall(|| run(100_000, 100));
    assert_eq!((run.virtual_time, run.timeouts, run.peak), (1000 * LATENCY, 0, 100));
    assert_eq!(run.calls.len(), 100_000);
    tell(format_args!("100,000 calls x 200 ms, limit 100: {:?} virtual, {time:?} wall", run.virtual_time));
}
