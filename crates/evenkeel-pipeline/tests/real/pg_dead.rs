//! Dead letters in the database of their queue.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use evenkeel_pipeline::{
    Ack as _, DeadLetter, Message, PgJob, Pipeline, Settle, SettleOutcome::Confirmed,
    SettleOutcome::Superseded, Sink as _, Source as _,
};
use tokio::time::sleep;

use crate::harness::{PgDelivery, none, one, pull, run, settle, text, texts};

const SECS: fn(u64) -> Duration = Duration::from_secs;

fn letter(job: &PgDelivery, reason: &str) -> Message<DeadLetter<Vec<u8>>> {
    let item = DeadLetter::new(job.item.clone(), reason.to_owned(), job.attempt);
    Message { id: job.receipt.to_string(), attempt: job.attempt, item }
}

#[test]
#[ignore = "real tier"]
fn a_pipeline_buries_what_fails_too_often_and_it_can_be_enqueued_again() {
    run(|schema| async move {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        RUNS.store(0, Relaxed);
        let queue = schema.queue("orders").await;
        let job = PgJob::new("poison").key("k").dedup("d");
        queue.enqueue_many([job.clone(), PgJob::new("next").key("k"), PgJob::new("free")]).await.unwrap();
        let running = Pipeline::from(queue.source())
            .stage("work", async |job: Vec<u8>| {
                RUNS.fetch_add(1, Relaxed);
                if job == b"poison" { Err(io::Error::other("it is\0 poison")) } else { Ok(()) }
            })
            .max_attempts(3)
            .backoff(|_| Duration::from_millis(10))
            .dead_letter(queue.dead_letters())
            .start()
            .unwrap();
        while schema.jobs().await > 0 {
            sleep(Duration::from_millis(20)).await;
        }
        let report = running.drain(SECS(10)).await.unwrap();
        assert_eq!((report.accepted, report.acked, report.nacked, report.dead), (5, 2, 2, 1), "{report}");
        assert_eq!(RUNS.load(Relaxed), 5);
        let dead = queue.dead(10).await.unwrap();
        assert_eq!(dead.len(), 1);
        assert_eq!(
            (&*dead[0].payload, dead[0].attempts, dead[0].key.as_deref()),
            (&b"poison"[..], 3, Some("k"))
        );
        assert!(dead[0].reason.contains("it is\u{fffd} poison"), "{}", dead[0].reason);

        // It is not done, and its id is free: another one takes it, and has to end first.
        assert!(queue.enqueue(job).await.unwrap().is_some());
        assert_eq!(queue.requeue(&[dead[0].id]).await.unwrap(), 0);
        let mut source = queue.source();
        settle(&source.ack(), one(&mut source).await.receipt, Settle::Ack).await;
        assert_eq!(queue.requeue(&[dead[0].id, 0]).await.unwrap(), 1);
        let again = one(&mut source).await;
        assert!(again.receipt.to_string().ends_with(&format!("/{}", dead[0].id)), "{}", again.receipt);
        assert_eq!(again.attempt, 1);
        assert_eq!(queue.dead(10).await.unwrap(), []);
    });
}

#[test]
#[ignore = "real tier"]
fn a_crash_between_a_dead_letter_and_its_term_leaves_one_of_both() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.lease(SECS(1));
        queue.enqueue_many([PgJob::new("a").key("k"), PgJob::new("b").key("k")]).await.unwrap();
        let (mut source, mut other) = (queue.source(), queue.source());
        let job = one(&mut source).await;
        let dead = queue.dead_letters();
        dead.send(vec![letter(&job, "no")]).await.unwrap();
        // The answer was lost.
        dead.send(vec![letter(&job, "no")]).await.unwrap();
        assert_eq!((schema.jobs().await, queue.dead(10).await.unwrap().len()), (1, 1));
        // The worker is gone; the job of the next one is let go all the same.
        assert_eq!(texts(&pull(&mut other, 10).await), ["b"]);
        sleep(SECS(3)).await;
        none(&mut other).await;
        assert_eq!(queue.dead(10).await.unwrap().len(), 1);
    });
}

#[test]
#[ignore = "real tier"]
fn a_term_behind_the_letter_is_confirmed_and_letters_of_others_are_refused_by_index() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        queue.enqueue_many(["a", "b"]).await.unwrap();
        let mut source = queue.source();
        let jobs = pull(&mut source, 10).await;
        let mut foreign = letter(&jobs[0], "no");
        foreign.id = "stream/17".into();
        let error = queue.dead_letters().send(vec![foreign, letter(&jobs[1], "no")]).await.unwrap_err();
        assert!(error.has_failed(0) && !error.has_failed(1), "{error}");
        let batch = [(jobs[0].receipt, Settle::Ack), (jobs[1].receipt, Settle::Term)];
        assert_eq!(source.ack().settle(&batch).await.unwrap(), [Confirmed; 2]);
        assert_eq!(queue.dead(10).await.unwrap().len(), 1);
    });
}

#[test]
#[ignore = "real tier"]
fn a_late_letter_from_before_a_requeue_buries_nothing() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        queue.enqueue("a").await.unwrap();
        let mut source = queue.source();
        settle(&source.ack(), one(&mut source).await.receipt, Settle::Retry { after: SECS(0) }).await;
        let job = one(&mut source).await;
        assert_eq!(job.attempt, 2);
        queue.dead_letters().send(vec![letter(&job, "no")]).await.unwrap();
        let id = queue.dead(1).await.unwrap()[0].id;
        assert_eq!(queue.requeue(&[id]).await.unwrap(), 1);
        queue.dead_letters().send(vec![letter(&job, "no")]).await.unwrap();
        let again = one(&mut source).await;
        assert_eq!(text(&again), "a");
        source.stop().await;
        assert_eq!(settle(&source.ack(), again.receipt, Settle::Term).await, Superseded);
        assert_eq!(schema.jobs().await, 1);
    });
}
