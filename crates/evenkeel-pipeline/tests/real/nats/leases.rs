//! Leases: extended while work goes on, and what is late does no harm.

use evenkeel_pipeline::{Ack as _, Pipeline, Settle, SettleOutcome, Source as _, nats::JetStreamMessage};
use tokio::time::{Instant, sleep, timeout};

use super::harness::{assert_idle, attempts, items, ms, pull_all, run, settle};

#[test]
#[ignore = "real tier"]
fn a_slow_consumer_gets_each_message_once() {
    run(async |queue| {
        queue.fill(200).await;
        let pipeline = Pipeline::from(queue.source(ms(1000)).await)
            .window(200)
            .stage("work", async |message: JetStreamMessage| {
                sleep(ms(20)).await;
                drop(message);
                Ok::<_, std::io::Error>(())
            })
            .limit(1);
        let running = pipeline.start().unwrap();
        while queue.info().await.state.messages > 0 {
            sleep(ms(100)).await;
        }
        let report = running.drain(ms(5000)).await.unwrap();
        assert_eq!((report.acked, report.left()), (200, 0), "{report}");
        // The bare client's batch of 200 is delivered 280 times with these numbers.
        assert_eq!(queue.consumer().await.delivered.consumer_sequence, 200);
    });
}

#[test]
#[ignore = "real tier"]
fn messages_that_arrive_between_pulls_are_held() {
    run(async |queue| {
        queue.fill(1).await;
        let mut source = queue.source(ms(1000)).await;
        let one = timeout(ms(5000), source.pull(items(20))).await.unwrap().unwrap();
        // They come for the request of the pull that has returned.
        queue.fill(10).await;
        let receipts = [one[0].receipt];
        for _ in 0..15 {
            sleep(ms(200)).await;
            assert_eq!(source.ack().extend(&receipts).await.unwrap(), Vec::<usize>::new());
        }
        let info = queue.consumer().await;
        assert_eq!((info.num_ack_pending, info.delivered.consumer_sequence), (11, 11));
        let rest = pull_all(&mut source, 10).await;
        assert_eq!(attempts(&rest), [1; 10]);
        assert!(rest.iter().all(|one| one.leased_at.elapsed() < ms(500)));
        assert_eq!(settle(&source, &rest, Settle::Ack).await, [SettleOutcome::Confirmed; 10]);
    });
}

#[test]
#[ignore = "real tier"]
fn ten_thousand_items_are_held_for_ten_ack_waits() {
    run(async |queue| {
        queue.fill(10_000).await;
        let ack_wait = ms(2000);
        let mut source = queue.source(ack_wait).await;
        let start = Instant::now();
        let delivered = pull_all(&mut source, 10_000).await;
        let receipts: Vec<_> = delivered.iter().map(|one| one.receipt).collect();
        let ack = source.ack();
        while start.elapsed() < 10 * ack_wait {
            assert_eq!(ack.extend(&receipts).await.unwrap(), Vec::<usize>::new());
            sleep(ack_wait / 3).await;
        }
        let info = queue.consumer().await;
        assert_eq!((info.num_redelivered, info.num_ack_pending), (0, 10_000));
        for batch in delivered.chunks(5000) {
            assert_eq!(settle(&source, batch, Settle::Ack).await, [SettleOutcome::Confirmed; 5000]);
        }
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn what_is_late_is_superseded_and_an_ack_is_not() {
    run(async |queue| {
        queue.fill(4).await;
        let (mut first, mut second) = (queue.source(ms(1000)).await, queue.source(ms(1000)).await);
        let late = pull_all(&mut first, 4).await;
        sleep(ms(1200)).await;
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
        assert_idle(&mut second, ms(1500)).await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_source_that_sees_a_later_delivery_knows_that_the_first_is_lost() {
    run(async |queue| {
        queue.fill(1).await;
        let mut source = queue.source(ms(1000)).await;
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
fn a_lease_is_counted_from_before_the_message_left() {
    run(async |queue| {
        let mut source = queue.source(ms(3000)).await;
        let wait = async {
            sleep(ms(4000)).await;
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
