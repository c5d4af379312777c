//! Brokers, functions and counts that the tests share.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{
    DeadLetter, DrainReport, Faults, MemoryBroker, MemoryConfig, Message, Sink, SinkError,
};

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A broker with an ack wait, and the numbers from 0 on in it.
pub(crate) async fn numbers(count: u64, ack_wait: Duration) -> MemoryBroker<u64> {
    filled(count, MemoryConfig { ack_wait, ..MemoryConfig::default() }).await
}

pub(crate) async fn filled(count: u64, config: MemoryConfig) -> MemoryBroker<u64> {
    let broker = MemoryBroker::with(MemoryConfig { capacity: 100_000, ..config });
    for n in 0..count {
        broker.publish(n).await.expect("it is open");
    }
    broker
}

pub(crate) fn faulty(seed: u64) -> MemoryConfig {
    let faults = Faults { seed, latency: ms(5), duplicates: 0.1, reorders: 0.3, lost_answers: 0.2 };
    MemoryConfig { ack_wait: secs(3), faults, ..MemoryConfig::default() }
}

/// The effects of items, counted by item.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects(Arc<Mutex<BTreeMap<u64, u32>>>);

impl Effects {
    pub(crate) fn add(&self, item: u64) {
        *self.0.lock().expect("nobody panics with it").entry(item).or_default() += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.lock().expect("nobody panics with it").values().map(|count| u64::from(*count)).sum()
    }

    pub(crate) fn items(&self) -> Vec<u64> {
        self.0.lock().expect("nobody panics with it").keys().copied().collect()
    }

    pub(crate) fn of(&self, item: u64) -> u32 {
        self.0.lock().expect("nobody panics with it").get(&item).copied().unwrap_or(0)
    }
}

/// The dead letters of a sink, in the order of their writes.
pub(crate) type Letters = Arc<Mutex<Vec<(String, DeadLetter<u64>)>>>;

/// A sink that collects.
pub(crate) fn collect(letters: &Letters) -> impl Sink<DeadLetter<u64>> + use<> {
    let letters = Arc::clone(letters);
    move |batch: Vec<Message<DeadLetter<u64>>>| {
        letters
            .lock()
            .expect("nobody panics with it")
            .extend(batch.into_iter().map(|message| (message.id, message.item)));
        async { Ok::<_, SinkError>(()) }
    }
}

pub(crate) fn no(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

#[track_caller]
pub(crate) fn assert_adds_up(report: &DrainReport) {
    let sum = report.acked + report.nacked + report.dead + report.left();
    assert_eq!(report.accepted, sum, "{report}");
}
