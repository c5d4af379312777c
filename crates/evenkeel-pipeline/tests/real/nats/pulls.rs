//! Pulls: their demand, and their deliveries.

use evenkeel_pipeline::{Demand, Pipeline, Settle, SettleOutcome, Source as _, nats::JetStreamMessage};
use tokio::time::{Instant, sleep, timeout};

use super::harness::{
    Queue, assert_idle, attempts, items, ms, number, numbers, pull, pull_all, queue_config, run, run_with,
    settle,
};

#[test]
#[ignore = "real tier"]
fn messages_are_pulled_settled_and_gone() {
    run(async |queue| {
        queue.fill(1000).await;
        let mut source = queue.source(ms(30_000)).await;
        let delivered = pull_all(&mut source, 1000).await;
        assert_eq!(numbers(&delivered), (0..1000).collect::<Vec<_>>());
        let first = delivered.iter().min_by_key(|one| one.item.sequence).unwrap();
        assert_eq!((first.item.sequence, number(first), first.attempt), (1, 0, 1));
        assert_eq!(&*first.item.subject, format!("{}.0", queue.name));
        let id = format!("{}/1@{}", queue.name, first.item.published.as_nanos());
        assert_eq!(first.receipt.to_string(), id);
        assert_eq!(settle(&source, &delivered, Settle::Ack).await, [SettleOutcome::Confirmed; 1000]);
        // A second time makes no difference.
        assert_eq!(settle(&source, &delivered, Settle::Ack).await, [SettleOutcome::Confirmed; 1000]);
        assert_eq!(queue.info().await.state.messages, 0);
        assert_idle(&mut source, ms(300)).await;
    });
}

#[test]
#[ignore = "real tier"]
fn what_comes_in_a_pause_is_for_others() {
    run(async |queue| {
        let pipeline =
            Pipeline::from(queue.source(ms(30_000)).await).stage("work", async |one: JetStreamMessage| {
                drop(one);
                Ok::<_, std::io::Error>(())
            });
        let running = pipeline.start().unwrap();
        let requests = async |is_there: bool| {
            let seen = async {
                while (queue.consumer().await.num_waiting > 0) != is_there {
                    sleep(ms(5)).await;
                }
            };
            timeout(ms(30_000), seen).await.expect("the requests of the pull come and go");
        };
        requests(true).await;
        running.pause();
        requests(false).await;
        queue.fill(5).await;
        let mut other = queue.source(ms(30_000)).await;
        let delivered = pull_all(&mut other, 5).await;
        assert_eq!(attempts(&delivered), [1; 5]);
        assert_eq!(settle(&other, &delivered, Settle::Ack).await, [SettleOutcome::Confirmed; 5]);
        other.stop().await;
        running.resume();
        queue.fill(5).await;
        let all = async {
            while queue.info().await.state.messages > 0 {
                sleep(ms(5)).await;
            }
        };
        timeout(ms(30_000), all).await.expect("it goes on");
        let report = running.drain(ms(30_000)).await.unwrap();
        assert_eq!((report.accepted, report.acked), (5, 5), "{report}");
    });
}

#[test]
#[ignore = "real tier"]
fn each_decision_is_confirmed_on_request() {
    run(async |queue| {
        queue.fill(500).await;
        let mut source = queue.builder().confirm_each().open().await.unwrap();
        let delivered = pull_all(&mut source, 500).await;
        assert_eq!(settle(&source, &delivered, Settle::Ack).await, [SettleOutcome::Confirmed; 500]);
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn the_window_is_exact() {
    run(async |queue| {
        queue.fill(1000).await;
        let mut source = queue.source(ms(30_000)).await;
        let mut in_hand = pull_all(&mut source, 7).await;
        assert_eq!(queue.consumer().await.num_ack_pending, 7);
        for free in [1, 5, 7, 3] {
            let done: Vec<_> = in_hand.drain(..free).collect();
            settle(&source, &done, Settle::Ack).await;
            in_hand.extend(pull_all(&mut source, free).await);
            let info = queue.consumer().await;
            assert_eq!((info.num_ack_pending, info.num_waiting), (7, 0));
        }
    });
}

#[test]
#[ignore = "real tier"]
fn two_requests_together_never_ask_for_more_than_the_room() {
    run(async |queue| {
        queue.fill(3000).await;
        let mut source = queue.source(ms(30_000)).await;
        let (mut in_hand, mut pulled) = (Vec::new(), 0);
        while pulled < 3000 {
            let new = pull(&mut source, 64 - in_hand.len()).await;
            pulled += new.len();
            in_hand.extend(new);
            // The server counts all that it has sent, pulled or not.
            assert!(in_hand.len() <= 64 && queue.consumer().await.num_ack_pending <= 64);
            let done: Vec<_> = in_hand.drain(..in_hand.len().div_ceil(2)).collect();
            settle(&source, &done, Settle::Ack).await;
        }
        assert_eq!(queue.consumer().await.delivered.consumer_sequence, 3000);
    });
}

#[test]
#[ignore = "real tier"]
fn a_budget_in_bytes_is_kept_and_a_larger_message_passes_alone() {
    run(async |queue| {
        for size in [100, 100, 5000, 100] {
            let subject = format!("{}.a", queue.name);
            queue.context.publish(subject, vec![b'x'; size].into()).await.unwrap().await.unwrap();
        }
        let mut source = queue.source(ms(30_000)).await;
        let mut sizes = Vec::new();
        while sizes.iter().map(|(count, _)| count).sum::<usize>() < 4 {
            let demand = Demand { items: 100, bytes: 1000 };
            let pulled = timeout(ms(20_000), source.pull(demand)).await.unwrap().unwrap();
            sizes.push((pulled.len(), pulled.iter().map(|one| one.item.payload.len()).sum::<usize>()));
        }
        assert!(sizes.contains(&(1, 5000)), "{sizes:?}");
        assert!(sizes.iter().all(|(count, size)| *size <= 1000 || *count == 1), "{sizes:?}");
    });
}

#[test]
#[ignore = "real tier"]
fn a_dropped_pull_loses_nothing() {
    run(async |queue| {
        let mut source = queue.source(ms(30_000)).await;
        assert_idle(&mut source, ms(50)).await;
        // They come for the pull that was dropped.
        queue.fill(20).await;
        sleep(ms(200)).await;
        let mut all = pull(&mut source, 20).await;
        queue.fill(20).await;
        while all.len() < 40 {
            if let Ok(pulled) = timeout(ms(1), source.pull(items(5))).await {
                all.extend(pulled.unwrap());
            }
        }
        assert_eq!(attempts(&all), [1; 40]);
        assert_eq!(all.iter().map(|one| one.item.sequence).max(), Some(40));
        let info = queue.consumer().await;
        assert_eq!((info.num_ack_pending, info.num_pending, info.num_redelivered), (40, 0, 0));
    });
}

#[test]
#[ignore = "real tier"]
fn what_is_handed_back_is_no_attempt_and_what_fails_is_one() {
    run(async |queue| {
        queue.fill(10).await;
        let mut source = queue.source(ms(30_000)).await;
        for attempt in 1..4 {
            for _ in 0..2 {
                let delivered = pull_all(&mut source, 10).await;
                assert_eq!(attempts(&delivered), [attempt; 10]);
                assert_eq!(
                    settle(&source, &delivered, Settle::Release).await,
                    [SettleOutcome::Confirmed; 10]
                );
            }
            let delivered = pull_all(&mut source, 10).await;
            let retry = Settle::Retry { after: ms(0) };
            assert_eq!(settle(&source, &delivered, retry).await, [SettleOutcome::Confirmed; 10]);
        }
        // Another process knows it, too.
        source.stop().await;
        let mut other = queue.source(ms(30_000)).await;
        let delivered = pull_all(&mut other, 10).await;
        assert_eq!(attempts(&delivered), [4; 10]);
        assert_eq!(settle(&other, &delivered, Settle::Term).await, [SettleOutcome::Confirmed; 10]);
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_retry_comes_after_its_delay_and_holds_up_no_others() {
    run(async |queue| {
        queue.fill(4).await;
        let mut source = queue.source(ms(30_000)).await;
        let first = pull_all(&mut source, 2).await;
        let start = Instant::now();
        settle(&source, &first, Settle::Retry { after: ms(600) }).await;
        let others = pull_all(&mut source, 2).await;
        assert_eq!(numbers(&others), [2, 3]);
        let again = pull_all(&mut source, 2).await;
        assert!(start.elapsed() >= ms(600), "{:?}", start.elapsed());
        assert_eq!((numbers(&again), attempts(&again)), (vec![0, 1], vec![2, 2]));
    });
}

#[test]
#[ignore = "real tier"]
fn a_stop_hands_back_what_was_on_its_way() {
    run(async |queue| {
        let mut source = queue.source(ms(30_000)).await;
        while queue.consumer().await.num_waiting == 0 {
            assert_idle(&mut source, ms(100)).await;
        }
        queue.fill(50).await;
        let sent = async {
            while queue.consumer().await.num_ack_pending < 50 {
                sleep(ms(20)).await;
            }
        };
        timeout(ms(30_000), sent).await.expect("all are sent for the pull that was dropped");
        source.stop().await;
        let mut other = queue.source(ms(30_000)).await;
        let delivered = pull_all(&mut other, 50).await;
        assert_eq!(attempts(&delivered), [1; 50]);
    });
}

#[test]
#[ignore = "real tier"]
fn a_pull_without_messages_outlasts_its_request() {
    run(async |queue| {
        // A request stands for a third of it.
        let mut source = queue.source(ms(1500)).await;
        let wait = async {
            sleep(ms(1300)).await;
            queue.fill(1).await;
        };
        let (pulled, ()) = tokio::join!(pull(&mut source, 5), wait);
        assert_eq!(numbers(&pulled), [0]);
    });
}

#[test]
#[ignore = "real tier"]
fn a_pipeline_runs_and_drains() {
    run_with(async |url| {
        let queue = Queue::new(&url, queue_config()).await;
        queue.fill(2000).await;
        let pipeline = Pipeline::from(queue.source(ms(5000)).await)
            .window(64)
            .stage("work", async |message: JetStreamMessage| {
                sleep(ms(1)).await;
                drop(message);
                Ok::<_, std::io::Error>(())
            })
            .limit(16);
        let running = pipeline.start().unwrap();
        while running.snapshot().counts.acked == 0 {
            sleep(ms(10)).await;
        }
        let report = running.drain(ms(30_000)).await.unwrap();
        assert!(report.acked > 0, "{report}");
        assert_eq!(report.accepted, report.acked + report.nacked + report.dead + report.left());
        assert_eq!(queue.info().await.state.messages, 2000 - report.acked);
        // Messages that were handed back have their first attempt still.
        let mut other = queue.source(ms(5000)).await;
        let rest = pull_all(&mut other, 2000 - usize::try_from(report.acked).unwrap()).await;
        assert!(attempts(&rest).iter().all(|attempt| *attempt == 1));
    });
}

#[test]
#[ignore = "real tier"]
fn a_pull_is_dropped_at_each_await() {
    run(async |queue| {
        queue.fill(10).await;
        let mut source = queue.source(ms(30_000)).await;
        let first = pull_all(&mut source, 10).await;
        settle(&source, &first, Settle::Retry { after: ms(0) }).await;
        // The look-up of what was handed back is an await, too.
        let mut all = Vec::new();
        for polls in 0.. {
            if all.len() == 10 {
                break;
            }
            let mut pull = std::pin::pin!(source.pull(items(10)));
            for _ in 0..polls % 5 {
                if let std::task::Poll::Ready(pulled) = futures::poll!(pull.as_mut()) {
                    all.extend(pulled.unwrap());
                    break;
                }
                sleep(ms(2)).await;
            }
            assert!(polls < 1000, "{} of 10", all.len());
        }
        assert_eq!(attempts(&all), [2; 10]);
    });
}

#[test]
#[ignore = "real tier"]
fn a_pipeline_without_a_budget_pulls_without_errors() {
    run(async |queue| {
        queue.fill(3000).await;
        let pipeline = Pipeline::from(queue.source(ms(30_000)).await)
            .window(256)
            .stage("work", async |message: JetStreamMessage| {
                drop(message);
                Ok::<_, std::io::Error>(())
            })
            .limit(16);
        let running = pipeline.start().unwrap();
        while running.snapshot().counts.acked < 3000 {
            sleep(ms(20)).await;
        }
        let snapshot = running.snapshot();
        assert_eq!(snapshot.errors, 0, "{:?}", snapshot.last_error);
    });
}
