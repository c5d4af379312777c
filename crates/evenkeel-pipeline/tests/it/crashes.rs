//! Crashes: workers that are killed, brokers that restart or lose power, and what is left of each message then.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_pipeline::{
    Ack as _, Batch, DeadLetter, Demand, Faults, MemoryBroker, MemoryConfig, Message, Pipeline, Running,
    Settle, SettleOutcome, SinkError, Source as _,
};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::sleep;

use crate::support::{Effects, Letters, assert_adds_up, collect, filled, ms, no, numbers, secs};

/// A table with a unique column: it stores a row once, whoever writes it, and how often.
#[derive(Clone, Debug, Default)]
struct Table {
    rows: Arc<Mutex<BTreeSet<String>>>,
    writes: Arc<AtomicU32>,
}

impl Table {
    async fn write(self, batch: Vec<Message<u64>>) -> Result<(), SinkError> {
        sleep(ms(3)).await;
        for message in batch {
            self.writes.fetch_add(1, SeqCst);
            self.rows.lock().expect("nobody panics with it").insert(message.id);
        }
        // The ack comes later than the effect.
        sleep(ms(3)).await;
        Ok(())
    }

    fn len(&self) -> usize {
        self.rows.lock().expect("nobody panics with it").len()
    }
}

fn worker(broker: &MemoryBroker<u64>, table: &Table, salt: u64) -> Running {
    let (table, calls) = (table.clone(), Arc::new(AtomicU32::new(0)));
    let pipeline = Pipeline::from(broker.source())
        .stage("work", async move |n: u64| {
            let call = u64::from(calls.fetch_add(1, SeqCst));
            sleep(ms((n * 7 + salt) % 40)).await;
            if (n + salt + call).is_multiple_of(13) { Err(no("unlucky")) } else { Ok(n) }
        })
        .limit(8)
        .sink("store", Batch::items(5).within(ms(10)), move |batch| table.clone().write(batch))
        .limit(2)
        .backoff(|_| ms(50))
        .window(24);
    pipeline.start().expect("it is valid")
}

#[test]
fn e1_a_worker_killed_between_effect_and_ack_leaves_exact_rows() {
    World::run(async |_| {
        let broker = numbers(1, secs(3)).await;
        let (table, effects) = (Table::default(), Effects::default());
        let one = |effects: Effects, table: Table| {
            Pipeline::from(broker.source()).sink("store", Batch::items(1), move |batch: Vec<Message<u64>>| {
                effects.add(u64::from(batch[0].attempt));
                table.clone().write(batch)
            })
        };
        let killed = one(effects.clone(), table.clone()).start().unwrap();
        sleep(ms(5)).await;
        assert_eq!((table.len(), broker.snapshot().acked), (1, 0));
        drop(killed);
        let next = one(effects.clone(), table.clone()).start().unwrap();
        sleep(secs(4)).await;
        assert_eq!((table.len(), broker.snapshot().acked), (1, 1));
        // The second attempt, once the lease had run out; it wrote again, and changed nothing.
        assert_eq!((effects.of(1), effects.of(2), table.writes.load(SeqCst)), (1, 1, 2));
        assert_adds_up(&next.drain(secs(0)).await.unwrap());
    });
}

/// A step of the model: time passes, and something breaks.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// A worker is killed, and another started.
    Kill(usize),
    /// A worker is drained, and another started.
    Drain(usize, u64),
    Broker(u64),
}

fn breaks() -> impl Strategy<Value = Vec<(u64, Break)>> {
    let what = prop_oneof![
        (0..3_usize).prop_map(Break::Kill),
        (0..3_usize, 0..100_u64).prop_map(|(worker, time)| Break::Drain(worker, time)),
        (1..800_u64).prop_map(Break::Broker),
    ];
    proptest::collection::vec((1..300_u64, what), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_its_row_and_no_other_under_random_crashes(seed in 0_u64..1000, breaks in breaks()) {
        World::run(async |_| {
            let faults = Faults { seed, latency: ms(4), duplicates: 0.05, reorders: 0.2, lost_answers: 0.1 };
            let config = MemoryConfig { ack_wait: ms(500), faults, ..MemoryConfig::default() };
            let broker = filled(200, config).await;
            let table = Table::default();
            let mut workers: Vec<Running> = (0..3).map(|salt| worker(&broker, &table, salt)).collect();
            for (salt, (pause, what)) in (3..).zip(&breaks) {
                sleep(ms(*pause)).await;
                match *what {
                    Break::Kill(index) => workers[index] = worker(&broker, &table, salt),
                    Break::Drain(index, time) => {
                        let next = worker(&broker, &table, salt);
                        let report = std::mem::replace(&mut workers[index], next).drain(ms(time)).await.unwrap();
                        assert_adds_up(&report);
                    }
                    Break::Broker(time) => broker.crash(ms(time)),
                }
            }
            broker.close();
            let mut acked = 0;
            for worker in workers {
                let report = worker.await.unwrap();
                assert_adds_up(&report);
                assert_eq!(report.unfinished + report.unconfirmed + report.released, 0);
                acked += report.acked;
            }
            assert!(acked <= 200 + broker.snapshot().redelivered);
            assert_eq!((table.len(), broker.snapshot().stored), (200, 0));
        });
    }

    /// The acks of a broker against a set: what was acked is never delivered again, all else is.
    #[test]
    fn an_acked_message_never_comes_again_and_every_other_does(seed in 0_u64..1000, kills in 0_usize..6) {
        World::run(async |_| {
            let faults = Faults { seed, latency: ms(4), reorders: 0.3, ..Faults::default() };
            let broker = filled(100, MemoryConfig { ack_wait: ms(300), faults, ..MemoryConfig::default() }).await;
            let (table, mut acked) = (Table::default(), 0);
            for salt in 0..kills as u64 {
                let running = worker(&broker, &table, salt);
                sleep(ms(20 + seed % 50)).await;
                if salt % 2 == 0 {
                    drop(running);
                    // A task that is woken at this instant is dropped behind its turn.
                    sleep(ms(1)).await;
                    acked = broker.snapshot().acked;
                } else {
                    acked += running.drain(ms(10)).await.unwrap().acked;
                }
                prop_assert_eq!(broker.snapshot().acked, acked);
                prop_assert_eq!(broker.snapshot().stored as u64, 100 - acked);
            }
            broker.close();
            let report = worker(&broker, &table, 99).await.unwrap();
            prop_assert_eq!(report.acked, 100 - acked);
            prop_assert_eq!(table.len(), 100);
            Ok(())
        })?;
    }
}

#[test]
fn e3_a_power_loss_loses_what_was_not_synced_and_tells_it_and_an_outbox_loses_nothing() {
    for seed in 0..20 {
        World::run(async |_| {
            let faults = Faults { seed, ..Faults::default() };
            let config = MemoryConfig {
                sync_every: Some(ms(200)),
                faults,
                ack_wait: secs(3),
                ..MemoryConfig::default()
            };
            let broker = MemoryBroker::with(config);
            let table = Table::default();
            let running = worker(&broker, &table, seed);
            // The outbox keeps a message until the broker has made it durable, and publishes the rest once more.
            let mut outbox: Vec<u64> = (0..100).collect();
            let (mut published, mut lost) = (0, 0);
            while !outbox.is_empty() {
                for n in &outbox {
                    broker.publish(*n).await.unwrap();
                    published += 1;
                    sleep(ms(1 + seed % 7)).await;
                }
                if published < 300 {
                    sleep(ms(seed * 11 % 190)).await;
                    let loss = broker.power_loss(ms(500));
                    lost += loss.lost;
                    assert_eq!(broker.snapshot().lost, lost as u64);
                } else {
                    broker.sync().await;
                    outbox.clear();
                }
            }
            broker.close();
            let report = running.await.unwrap();
            assert_adds_up(&report);
            // Each message of the last round has its row, and those before that were not lost.
            assert!(table.len() >= 100 && table.len() as u64 <= published);
            assert!(table.len() as u64 + lost as u64 >= published, "{} {lost} {published}", table.len());
            assert_eq!(broker.snapshot().stored, 0);
        });
    }
}

/// The server has forgotten an ack with the power, which is sent again as its answer was lost.
#[test]
fn an_ack_that_is_confirmed_behind_the_power_loss_that_took_it_is_kept() {
    World::run(async |_| {
        let broker =
            MemoryBroker::with(MemoryConfig { sync_every: Some(secs(60)), ..MemoryConfig::default() });
        broker.publish(7).await.unwrap();
        broker.sync().await;
        let mut source = broker.source();
        let delivery = source.pull(Demand { items: 1, bytes: usize::MAX }).await.unwrap().remove(0);
        for stored in [1, 0] {
            let outcome = source.ack().settle(&[(delivery.receipt, Settle::Ack)]).await.unwrap();
            assert_eq!((&*outcome, broker.snapshot().stored), (&[SettleOutcome::Confirmed][..], 0));
            if stored == 1 {
                assert_eq!(broker.power_loss(Duration::ZERO).revived, 1);
            }
            assert_eq!(broker.snapshot().stored, stored);
        }
    });
}

#[test]
fn e4_a_late_effect_of_a_superseded_attempt_is_fenced_by_its_number() {
    World::run(async |_| {
        let broker = numbers(1, secs(3)).await;
        // A row with the attempt that wrote it: an earlier attempt does not overwrite a later one.
        let row = Arc::new(Mutex::new((0, "nothing")));
        let attempt = |by: &'static str, time: Duration, row: Arc<Mutex<(u32, &'static str)>>| {
            Pipeline::from(broker.source()).messages().stage("work", async move |message: Message<u64>| {
                // Work that cannot be dropped, as in a thread or on a server.
                let write = tokio::spawn(async move {
                    sleep(time).await;
                    let mut row = row.lock().expect("nobody panics with it");
                    if row.0 < message.attempt {
                        *row = (message.attempt, by);
                    }
                });
                write.await
            })
        };
        let first = attempt("first", secs(10), Arc::clone(&row)).start().unwrap();
        sleep(ms(1)).await;
        // Cut off from the broker, as a stalled worker is.
        drop(first);
        let second = attempt("second", secs(1), Arc::clone(&row)).start().unwrap();
        sleep(secs(20)).await;
        assert_eq!(*row.lock().expect("nobody panics with it"), (2, "second"));
        assert_eq!(second.drain(secs(0)).await.unwrap().acked, 1);
    });
}

#[test]
fn e6_a_dead_letter_whose_write_or_term_was_cut_is_neither_lost_nor_twice() {
    for cut in 1..40 {
        World::run(async |_| {
            let broker = numbers(3, secs(3)).await;
            let dead: MemoryBroker<DeadLetter<u64>> = MemoryBroker::new();
            let runs = Effects::default();
            let pipeline = |runs: Effects| {
                let dead = dead.clone();
                Pipeline::from(broker.source())
                    .stage("work", async move |n| {
                        runs.add(n);
                        Err::<(), _>(no("poison"))
                    })
                    .max_attempts(2)
                    .backoff(|_| ms(5))
                    .dead_letter(move |letters: Vec<Message<DeadLetter<u64>>>| {
                        let dead = dead.clone();
                        async move {
                            sleep(ms(5)).await;
                            evenkeel_pipeline::Sink::send(&dead, letters).await?;
                            sleep(ms(5)).await;
                            Ok(())
                        }
                    })
            };
            let killed = pipeline(runs.clone()).start().unwrap();
            sleep(ms(cut)).await;
            drop(killed);
            let next = pipeline(runs.clone()).start().unwrap();
            sleep(secs(10)).await;
            assert_eq!((dead.snapshot().stored, broker.snapshot().stored), (3, 0), "cut at {cut} ms");
            assert_eq!(broker.snapshot().terminated, 3);
            // The attempt that was cut counts by its lease, and no item runs more often than it may.
            assert!((0..3).all(|n| runs.of(n) <= 2), "cut at {cut} ms: {runs:?}");
            assert_adds_up(&next.drain(secs(0)).await.unwrap());
        });
    }
}

#[test]
fn an_item_that_kills_its_worker_goes_to_the_dead_letters_without_being_run_again() {
    World::run(async |_| {
        let broker = numbers(2, secs(3)).await;
        let (runs, letters) = (Effects::default(), Letters::default());
        for _ in 0..3 {
            let ran = runs.clone();
            let killed = Pipeline::from(broker.source())
                .stage("work", async move |n| {
                    ran.add(n);
                    // The process ends here.
                    std::future::pending::<Result<(), Infallible>>().await
                })
                .max_attempts(3)
                .dead_letter(collect(&letters))
                .start()
                .unwrap();
            sleep(ms(1)).await;
            drop(killed);
            sleep(secs(3)).await;
        }
        assert_eq!((runs.of(0), runs.of(1), letters.lock().expect("nobody panics with it").len()), (3, 3, 0));
        let ran = runs.clone();
        let last = Pipeline::from(broker.source())
            .stage("work", async move |n| {
                ran.add(n);
                Ok::<_, Infallible>(())
            })
            .max_attempts(3)
            .dead_letter(collect(&letters))
            .start()
            .unwrap();
        sleep(secs(1)).await;
        assert_eq!((runs.of(0), broker.snapshot().terminated), (3, 2));
        let report = last.drain(secs(0)).await.unwrap();
        assert_eq!((report.accepted, report.dead), (2, 2));
        let letters = letters.lock().expect("nobody panics with it");
        assert_eq!(letters[0].1.attempts, 3);
        assert_eq!(letters[0].1.reason, "delivered 4 times, of which 3 may fail: none had a result");
    });
}

#[test]
fn e3_an_outbox_with_ids_publishes_what_a_power_loss_took_and_nothing_twice() {
    for seed in 0..30 {
        World::run(async |_| {
            let config =
                MemoryConfig { sync_every: Some(ms(100)), ack_wait: secs(3), ..MemoryConfig::default() };
            let broker = MemoryBroker::with(config);
            let mut lost = 0;
            for round in 0..3 {
                for n in 0..20 {
                    // All of them each time, as nobody knows which were lost.
                    let _ = broker.publish_once(&format!("order {n}"), n).await.unwrap();
                    sleep(ms((seed + n) % 9)).await;
                }
                if round < 2 {
                    lost += broker.power_loss(ms(seed)).lost as u64;
                }
            }
            broker.sync().await;
            assert_eq!((broker.snapshot().stored, broker.snapshot().published), (20, 20 + lost), "{seed}");
            assert_eq!(broker.power_loss(ms(1)).lost, 0);
        });
    }
}

#[test]
fn a_message_of_one_id_is_stored_once_within_the_window_and_again_behind_it() {
    World::run(async |_| {
        let broker = MemoryBroker::new();
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), Some(1));
        sleep(secs(119)).await;
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), None);
        assert_eq!(broker.publish_once("b", 2).await.unwrap(), Some(2));
        sleep(secs(1)).await;
        // Behind the window of the first, and the second one did not extend it.
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), Some(3));
        assert_eq!(broker.publish_once("b", 2).await.unwrap(), None);
    });
}

#[test]
fn dead_letters_of_two_brokers_meet_in_one_sink() {
    World::run(async |_| {
        let dead: MemoryBroker<DeadLetter<u64>> = MemoryBroker::new();
        for _ in 0..2 {
            let broker = numbers(3, secs(30)).await;
            broker.close();
            let pipeline = Pipeline::from(broker.source())
                .stage("fail", async |_| Err::<(), _>(no("always")))
                .max_attempts(1)
                .dead_letter(dead.clone());
            assert_eq!(pipeline.start().unwrap().await.unwrap().dead, 3);
        }
        assert_eq!(dead.snapshot().stored, 6);
    });
}
