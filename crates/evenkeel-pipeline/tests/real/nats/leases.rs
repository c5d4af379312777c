//! Leases: extended while work goes on, and what is late does no harm.

use std::collections::BTreeSet;

use evenkeel_pipeline::{Ack as _, Pipeline, Settle, SettleOutcome, Source as _, nats::JetStreamMessage};
use tokio::time::{Instant, sleep, timeout};

use super::harness::{
    Queue, assert_idle, attempts, items, ms, pull_all, queue_config, run, run_with, settle,
};

#[test]
#[ignore = "real tier"]
fn a_slow_consumer_gets_each_message_once() {
    run(async |queue| {
        queue.fill(200).await;
        let pipeline = Pipeline::from(queue.source(ms(2000)).await)
            .window(200)
            .stage("work", async |message: JetStreamMessage| {
                sleep(ms(15)).await;
                drop(message);
                Ok::<_, std::io::Error>(())
            })
            .limit(1);
        let running = pipeline.start().unwrap();
        while queue.info().await.state.messages > 0 {
            sleep(ms(100)).await;
        }
        let report = running.drain(ms(30_000)).await.unwrap();
        assert_eq!((report.acked, report.left()), (200, 0), "{report}");
        // The bare client's batch of 200 is delivered 280 times with an ack wait of 1 s and work of 20 ms.
        assert_eq!(queue.consumer().await.delivered.consumer_sequence, 200);
    });
}

#[test]
#[ignore = "real tier"]
fn messages_that_arrive_between_pulls_are_held() {
    run_with(async |url| {
        // They come for the request of the pull that has returned, which stands for a second: too short at times.
        let (queue, mut source, one, held) = loop {
            let queue = Queue::new(&url, queue_config()).await;
            queue.fill(1).await;
            let mut source = queue.source(ms(3000)).await;
            let one = timeout(ms(30_000), source.pull(items(700))).await.unwrap().unwrap();
            queue.fill(600).await;
            let held = queue.consumer().await.num_ack_pending;
            if held > 400 {
                break (queue, source, one, held);
            }
        };
        let receipts = [one[0].receipt];
        for _ in 0..3 {
            sleep(ms(1400)).await;
            assert_eq!(source.ack().extend(&receipts).await.unwrap(), Vec::<usize>::new());
        }
        let rest = pull_all(&mut source, held - 1).await;
        assert_eq!(attempts(&rest), vec![1; held - 1]);
        // They have come 4.2 s ago.
        assert!(rest.iter().all(|one| one.leased_at.elapsed() < ms(4000)));
        assert_eq!(settle(&source, &rest, Settle::Ack).await, vec![SettleOutcome::Confirmed; held - 1]);
        assert_eq!(queue.consumer().await.num_redelivered, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn items_are_held_for_several_ack_waits() {
    run(async |queue| {
        queue.fill(2000).await;
        let ack_wait = ms(2000);
        let mut source = queue.source(ack_wait).await;
        let start = Instant::now();
        let delivered = pull_all(&mut source, 2000).await;
        let receipts: Vec<_> = delivered.iter().map(|one| one.receipt).collect();
        let ack = source.ack();
        while start.elapsed() < 2 * ack_wait {
            assert_eq!(ack.extend(&receipts).await.unwrap(), Vec::<usize>::new());
            sleep(ack_wait / 5).await;
        }
        let info = queue.consumer().await;
        assert_eq!((info.num_redelivered, info.num_ack_pending), (0, 2000));
        assert_eq!(settle(&source, &delivered, Settle::Ack).await, [SettleOutcome::Confirmed; 2000]);
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_pause_with_nothing_in_hand_leaves_all_to_others() {
    run(async |queue| {
        let pipeline =
            Pipeline::from(queue.source(ms(3000)).await).stage("work", async |one: JetStreamMessage| {
                drop(one);
                Ok::<_, std::io::Error>(())
            });
        let running = pipeline.start().unwrap();
        while queue.consumer().await.num_waiting == 0 {
            sleep(ms(5)).await;
        }
        // Some come for the request of the pull that the pause drops.
        running.pause();
        queue.fill(20).await;
        let mut other = queue.source(ms(3000)).await;
        let mut taken = BTreeSet::new();
        let all = async {
            while running.snapshot().counts.acked + (taken.len() as u64) < 20 {
                if let Ok(more) = timeout(ms(300), other.pull(items(20))).await {
                    // A message is an attempt that the server sends between the end of the subscription and the one of its request.
                    let more = more.unwrap();
                    settle(&other, &more, Settle::Ack).await;
                    taken.extend(more.iter().map(|one| one.item.sequence));
                }
            }
        };
        timeout(ms(30_000), all).await.expect("each is handed back");
        let before = running.snapshot().counts.acked;
        assert_eq!(before + taken.len() as u64, 20);
        running.resume();
        queue.fill(5).await;
        while queue.info().await.state.messages > 0 {
            sleep(ms(20)).await;
        }
        let report = running.drain(ms(30_000)).await.unwrap();
        assert_eq!((report.acked, report.superseded), (before + 5, 0), "{report}");
    });
}

#[test]
#[ignore = "real tier"]
fn messages_that_trickle_in_are_taken_at_their_first_delivery() {
    run(async |queue| {
        let ack_wait = ms(2000);
        let pipeline =
            Pipeline::from(queue.source(ack_wait).await).stage("work", async |one: JetStreamMessage| {
                drop(one);
                Ok::<_, std::io::Error>(())
            });
        let running = pipeline.start().unwrap();
        // Faster than heartbeats, which a server sends when there is nothing else.
        let start = Instant::now();
        let mut published = 0;
        while start.elapsed() < 2 * ack_wait {
            queue.fill(1).await;
            published += 1;
            sleep(ms(20)).await;
        }
        while queue.info().await.state.messages > 0 {
            sleep(ms(20)).await;
        }
        let report = running.drain(ms(30_000)).await.unwrap();
        assert_eq!((report.acked, report.superseded), (published, 0), "{report}");
        assert_eq!(queue.consumer().await.delivered.consumer_sequence, published);
    });
}

#[test]
#[ignore = "real tier"]
fn what_is_late_is_superseded_and_an_ack_is_not() {
    run(async |queue| {
        queue.fill(4).await;
        let (mut first, mut second) = (queue.source(ms(1500)).await, queue.source(ms(1500)).await);
        let late = pull_all(&mut first, 4).await;
        sleep(ms(1600)).await;
        let again = pull_all(&mut second, 4).await;
        assert_eq!(attempts(&again), [2; 4]);
        let receipts: Vec<_> = late.iter().map(|one| one.receipt).collect();
        assert_eq!(first.ack().extend(&receipts).await.unwrap(), [0, 1, 2, 3]);
        for decision in [Settle::Retry { after: ms(0) }, Settle::Release, Settle::Term] {
            assert_eq!(settle(&first, &late, decision).await, [SettleOutcome::Superseded; 4]);
        }
        // Nothing took the messages from the second one.
        let info = queue.consumer().await;
        assert_eq!((info.num_ack_pending, info.num_pending), (4, 0));
        assert_eq!(info.delivered.consumer_sequence, 8);
        assert_eq!(settle(&first, &late, Settle::Ack).await, [SettleOutcome::Confirmed; 4]);
        assert_eq!(queue.info().await.state.messages, 0);
        assert_idle(&mut second, ms(1700)).await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_source_that_sees_a_later_delivery_knows_that_the_first_is_lost() {
    run(async |queue| {
        queue.fill(1).await;
        let mut source = queue.source(ms(1500)).await;
        let first = pull_all(&mut source, 1).await;
        let second = pull_all(&mut source, 1).await;
        assert_eq!(attempts(&second), [2]);
        let receipts = [first[0].receipt, second[0].receipt];
        assert_eq!(source.ack().extend(&receipts).await.unwrap(), [0]);
        assert_eq!(settle(&source, &first, Settle::Term).await, [SettleOutcome::Superseded]);
        assert_eq!(settle(&source, &second, Settle::Term).await, [SettleOutcome::Confirmed]);
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_server_whose_clock_jumps_delivers_again_and_the_first_attempt_is_superseded() {
    run(async |queue| {
        queue.fill(1).await;
        let mut source = queue.source(ms(30_000)).await;
        let first = pull_all(&mut source, 1).await;
        // As if the clock of the server said that the ack wait is over, long before it is on ours.
        let item = &first[0].item;
        let published = item.published.as_nanos();
        let subject = format!("$JS.ACK.{}.worker.1.{}.1.{published}.0", queue.name, item.sequence);
        queue.client.publish(subject, "-NAK".into()).await.unwrap();
        let second = pull_all(&mut source, 1).await;
        assert_eq!((attempts(&second), &second[0].item.payload), (vec![2], &item.payload));
        let receipts = [first[0].receipt, second[0].receipt];
        assert_eq!(source.ack().extend(&receipts).await.unwrap(), [0]);
        for decision in [Settle::Retry { after: ms(0) }, Settle::Release, Settle::Term] {
            assert_eq!(settle(&source, &first, decision).await, [SettleOutcome::Superseded]);
        }
        assert_eq!(settle(&source, &second, Settle::Ack).await, [SettleOutcome::Confirmed]);
        assert_eq!(queue.consumer().await.delivered.consumer_sequence, 2);
    });
}

#[test]
#[ignore = "real tier"]
fn a_lease_is_counted_from_before_the_message_left() {
    run(async |queue| {
        let mut source = queue.source(ms(3000)).await;
        let wait = async {
            sleep(ms(3200)).await;
            let before = Instant::now();
            queue.fill(1).await;
            before
        };
        let (pulled, published) = tokio::join!(pull_all(&mut source, 1), wait);
        // The pull has waited for longer than the ack wait, and the lease is young nevertheless.
        let leased_at = pulled[0].leased_at;
        assert!(
            leased_at <= Instant::now() && leased_at + ms(1500) > published,
            "{:?}",
            published - leased_at
        );
        assert_eq!(settle(&source, &pulled, Settle::Ack).await, [SettleOutcome::Confirmed]);
    });
}
