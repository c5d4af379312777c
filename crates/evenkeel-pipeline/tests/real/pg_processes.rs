//! Workers that are processes of their own, and are killed, stopped or asked to end.

use std::time::Duration;

use crate::{
    harness::{TestSchema, run, until},
    worker::{Orders, Worker},
};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

/// A queue with jobs, and the orders of its workers.
async fn filled(schema: &TestSchema, jobs: i64) -> Orders {
    let queue = schema.queue("orders").await;
    Orders::set_up(&schema.admin, &schema.name).await;
    queue.enqueue_many((0..jobs).map(|number| number.to_string())).await.unwrap();
    Orders {
        server: schema.url.clone(),
        schema: schema.name.clone(),
        queue: "orders".into(),
        lease: MILLIS(800),
        sink: schema.url.clone(),
        takes: MILLIS(20),
        limit: 10,
        window: 20,
        notes_begin: false,
        grace: MILLIS(5000),
        dies: false,
    }
}

impl TestSchema {
    /// Asserts that each job has one effect, and that there were more runs than that.
    async fn assert_exact(&self, jobs: i64) -> i64 {
        let effects = "select count(*) from {s}.effect";
        let distinct = "select count(distinct (message, number)) from {s}.effect";
        assert_eq!((self.number(effects).await, self.number(distinct).await), (jobs, jobs));
        self.number("select count(*) from {s}.run").await - jobs
    }
}

#[test]
#[ignore = "real tier"]
fn e1_a_kill_between_effect_and_ack_leaves_exact_rows() {
    run(|schema| async move {
        let orders = filled(&schema, 60).await;
        let mut killed = Worker::start(&Orders { dies: true, ..orders.clone() });
        until("it has killed itself", || std::future::ready(!killed.is_alive())).await;
        let effects = schema.number("select count(*) from {s}.effect").await;
        assert!(effects > 0 && schema.jobs().await == 60, "{effects} effects, no ack");
        let worker = Worker::start(&orders);
        until("all are done", async || schema.jobs().await == 0).await;
        worker.signal("TERM");
        worker.ends().await;
        // The effects of the killed one were there already.
        let absorbed = schema.assert_exact(60).await;
        assert!(absorbed >= effects, "{absorbed} of {effects}");
    });
}

#[test]
#[ignore = "real tier"]
fn e4_a_worker_that_stands_still_is_fenced_and_goes_on() {
    run(|schema| async move {
        let orders = filled(&schema, 40).await;
        let slow = Orders { takes: MILLIS(300), limit: 20, notes_begin: true, ..orders.clone() };
        let stalled = Worker::start(&slow);
        until("it has jobs", async || schema.number("select count(*) from {s}.run").await >= 20).await;
        stalled.signal("STOP");
        let worker = Worker::start(&orders);
        until("all are done", async || schema.jobs().await == 0).await;
        worker.signal("TERM");
        worker.ends().await;
        stalled.signal("CONT");
        schema
            .queue("orders")
            .await
            .enqueue_many((40..60).map(|number: i64| number.to_string()))
            .await
            .unwrap();
        until("it goes on", async || schema.jobs().await == 0).await;
        stalled.signal("TERM");
        let ended = stalled.ends().await;
        assert!(ended.superseded > 0 && ended.acked >= 20, "{ended:?}");
        assert_eq!((ended.nacked, ended.lost), (0, 0), "{ended:?}");
        schema.assert_exact(60).await;
    });
}

#[test]
#[ignore = "real tier"]
fn e8_stops_under_load_count_no_attempt_and_leave_nothing_locked() {
    run(|schema| async move {
        let mut orders = filled(&schema, 500).await;
        for grace in [0, 5000, 30] {
            orders.grace = MILLIS(grace);
            let worker = Worker::start(&orders);
            let before = schema.number("select count(*) from {s}.effect").await;
            until("it works", async || schema.number("select count(*) from {s}.effect").await > before).await;
            worker.signal("TERM");
            let ended = worker.ends().await;
            assert_eq!((ended.nacked, ended.superseded, ended.lost), (0, 0, 0), "{ended:?}");
            assert_eq!((ended.accepted, ended.errors), (ended.acked + ended.released, 0), "{ended:?}");
            let locked =
                "select count(*) from {s}.job where state = 'h' or attempt > 0 or worker is not null";
            assert_eq!(schema.number(locked).await, 0);
            assert_eq!(schema.number("select count(*) from {s}.worker").await, 0);
        }
        let worker = Worker::start(&orders);
        until("all are done", async || schema.jobs().await == 0).await;
        worker.signal("TERM");
        worker.ends().await;
        schema.assert_exact(500).await;
        assert_eq!(schema.number("select count(*) from {s}.run where attempt > 1").await, 0);
    });
}
