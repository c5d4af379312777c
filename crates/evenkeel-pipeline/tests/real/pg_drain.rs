//! Many jobs through the engine: each exactly once while nothing fails.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::harness::{run, until};
use evenkeel_pipeline::{PgJob, PgQueue, Pipeline, Running};

type Seen = Arc<Mutex<HashMap<Vec<u8>, usize>>>;

/// Starts a worker that notes the jobs that it has run.
fn start(queue: &PgQueue, seen: &Seen, window: usize) -> Running {
    let seen = Arc::clone(seen);
    Pipeline::from(queue.source())
        .stage("note", async move |job: Vec<u8>| {
            *seen.lock().unwrap().entry(job).or_default() += 1;
            Ok::<_, Infallible>(())
        })
        .window(window)
        .start()
        .unwrap()
}

#[test]
#[ignore = "real tier"]
fn four_workers_drain_20_000_jobs_each_once() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let seen = Seen::default();
        let running: Vec<_> = (0..4).map(|_| start(&queue, &seen, 200)).collect();
        for batch in 0..20 {
            let job = |n: u32| {
                let job = PgJob::new(n.to_string());
                if n.is_multiple_of(10) { job.key((n % 70).to_string()) } else { job }
            };
            queue.enqueue_many((0..1000).map(|n| job(batch * 1000 + n))).await.unwrap();
        }
        until("all are done", async || schema.jobs().await == 0).await;
        let mut acked = 0;
        for running in running {
            acked += running.drain(Duration::from_secs(10)).await.unwrap().acked;
        }
        assert_eq!(acked, 20_000);
        {
            let seen = seen.lock().unwrap();
            assert_eq!(seen.len(), 20_000);
            assert!(seen.values().all(|count| *count == 1));
        }
        assert_eq!(schema.number("select count(*) from {s}.worker").await, 0);
    });
}
