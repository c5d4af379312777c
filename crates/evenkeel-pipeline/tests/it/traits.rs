//! The traits: a source of few lines, functions as sinks, errors that convert.

use std::{
    error::Error as _,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{
    Ack, Delivery, Demand, Message, Settle, SettleOutcome, Sink, SinkError, Source, SourceError, Warning,
    Workload,
};
use evenkeel_testkit::World;
use tokio::time::Instant;

/// Counts down to the end.
struct Countdown(u32);

#[derive(Clone)]
struct NoServer;

impl Source for Countdown {
    type Item = u32;
    type Ack = NoServer;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u32, u32>>, SourceError> {
        let first = self.0;
        self.0 = first.saturating_sub(u32::try_from(demand.items).unwrap_or(u32::MAX));
        Ok((self.0..first).rev().map(|n| Delivery::new(n, n, 1)).collect())
    }

    fn ack(&self) -> NoServer {
        NoServer
    }
}

impl Ack for NoServer {
    type Receipt = u32;

    async fn settle(&self, batch: &[(u32, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

#[test]
fn a_source_without_leases_implements_three_methods() {
    World::run(async |_| {
        let mut source = Countdown(3);
        let ack = source.ack();
        assert_eq!((ack.ack_wait(), ack.linger()), (None, Duration::ZERO));
        assert_eq!(ack.extend(&[1]).await.unwrap(), Vec::<usize>::new());
        assert_eq!(source.check(&Workload::new(64)).await.unwrap(), Vec::<Warning>::new());
        let start = Instant::now();
        let pulled = source.pull(Demand { items: 2, bytes: usize::MAX }).await.unwrap();
        let facts = |d: &Delivery<u32, u32>| (d.item, d.attempt, d.size, d.leased_at);
        assert_eq!(pulled.iter().map(facts).collect::<Vec<_>>(), [(2, 1, 0, start), (1, 1, 0, start)]);
        assert_eq!(source.pull(Demand { items: 9, bytes: usize::MAX }).await.unwrap().len(), 1);
        assert!(source.pull(Demand { items: 9, bytes: usize::MAX }).await.unwrap().is_empty());
        source.stop().await;
    });
}

#[test]
fn a_closure_is_a_sink_and_errors_of_any_type_fail_the_whole_batch() {
    World::run(async |_| {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let written = Arc::clone(&written);
            move |batch: Vec<Message<u32>>| {
                let written = Arc::clone(&written);
                async move {
                    for message in batch {
                        if message.item == 0 {
                            Err(io::Error::other("the disk is full"))?;
                        }
                        written.lock().unwrap().push((message.id, message.attempt, message.item));
                    }
                    Ok::<_, SinkError>(())
                }
            }
        };
        let message = |item| Message { id: format!("n/{item}"), attempt: 2, item };
        sink.send(vec![message(7)]).await.unwrap();
        let failed = sink.send(vec![message(0), message(8)]).await.unwrap_err();
        assert!(failed.has_failed(0) && failed.has_failed(1));
        assert_eq!(failed.to_string(), "the disk is full");
        assert_eq!(failed.error().to_string(), "the disk is full");
        assert_eq!(*written.lock().unwrap(), [("n/7".to_owned(), 2, 7)]);
    });
}

#[test]
fn failed_items_of_a_batch_are_named_in_any_order_and_once() {
    let failed = SinkError::some("no", [9, 2, 9]);
    assert_eq!((0..12).filter(|index| failed.has_failed(*index)).collect::<Vec<_>>(), [2, 9]);
    assert_eq!(failed.to_string(), "no (2 items of the batch)");
    assert_eq!(SinkError::some("no", [4]).to_string(), "no (1 item of the batch)");
    assert!(!SinkError::some("no", []).has_failed(0));
}

#[test]
fn an_error_of_a_source_says_whether_it_passes_and_keeps_its_chain() {
    let inner = io::Error::other(SourceError::permanent("the root"));
    let error = SourceError::transient(inner);
    assert!(error.is_transient());
    assert_eq!(error.to_string(), "the root");
    assert_eq!(SourceError::permanent("gone").to_string(), "gone");
    assert!(!SourceError::permanent("gone").is_transient());
    assert!(SourceError::permanent("gone").source().is_none());
}
