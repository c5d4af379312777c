//! Dead letters: written once, though a crash comes between the write and the end of the message.

use async_nats::{HeaderMap, jetstream::stream};
use evenkeel_pipeline::{
    DeadLetter, Message, Pipeline, Settle, Sink as _,
    nats::{DeadLetterSubject, JetStreamMessage},
};
use tokio::time::{sleep, timeout};

use super::harness::{Queue, ms, pull_all, run_with, settle};

struct Letters {
    queue: Queue,
    dead: Queue,
}

async fn letters(url: &str) -> Letters {
    let queue = Queue::new(url, super::harness::queue_config()).await;
    // It knows ids for a moment only: what keeps a letter from being there twice is its subject.
    let config = stream::Config { duplicate_window: ms(100), ..stream::Config::default() };
    Letters { queue, dead: Queue::new(url, config).await }
}

impl Letters {
    fn sink(&self) -> DeadLetterSubject {
        DeadLetterSubject::new(self.dead.client.clone(), format!("{}.letters", self.dead.name))
    }

    async fn run(&self) {
        let source = self.queue.source(ms(3000)).await;
        let pipeline = Pipeline::from(source)
            .stage("work", async |_: JetStreamMessage| Err::<(), _>(std::io::Error::other("no\nluck")))
            .max_attempts(2)
            .backoff(|_| ms(10))
            .dead_letter(self.sink());
        let running = pipeline.start().unwrap();
        let wait = async {
            while self.queue.info().await.state.messages > 0 {
                sleep(ms(50)).await;
            }
        };
        timeout(ms(40_000), wait).await.expect("all become dead letters");
        running.drain(ms(30_000)).await.unwrap();
    }
}

#[test]
#[ignore = "real tier"]
fn a_letter_has_its_reason_attempts_origin_and_payload() {
    run_with(async |url| {
        let letters = letters(&url).await;
        letters.queue.fill(3).await;
        letters.run().await;
        let stream = letters.dead.context.get_stream(&letters.dead.name).await.unwrap();
        for sequence in 1..4 {
            let letter = stream.get_raw_message(sequence).await.unwrap();
            let number: usize = std::str::from_utf8(&letter.payload).unwrap().parse().unwrap();
            let header = |name: &str| letter.headers.get(name).unwrap().as_str().to_owned();
            assert_eq!(header("Evenkeel-Attempts"), "2");
            assert_eq!(header("Evenkeel-Subject"), format!("{}.{number}", letters.queue.name));
            assert!(header("Evenkeel-Reason").contains("no luck"), "{}", header("Evenkeel-Reason"));
            let origin = header("Evenkeel-Origin");
            assert!(origin.starts_with(&format!("{}/{}@", letters.queue.name, number + 1)), "{origin}");
            let subject = format!("{}.letters.{}", letters.dead.name, origin.replace(['/', '@'], "."));
            assert_eq!(&*letter.subject, subject);
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_crash_between_letter_and_end_leaves_neither_two_nor_none() {
    run_with(async |url| {
        let letters = letters(&url).await;
        letters.queue.fill(2).await;
        // The last attempt of a process that dies when the letter of one of the two is written.
        let mut source = letters.queue.source(ms(1000)).await;
        let delivered = pull_all(&mut source, 2).await;
        settle(&source, &delivered, Settle::Retry { after: ms(0) }).await;
        let delivered = pull_all(&mut source, 2).await;
        let item = DeadLetter::new(delivered[0].item.clone(), "no luck".to_owned(), 2);
        let letter = Message { id: delivered[0].receipt.to_string(), attempt: 2, item };
        letters.sink().send(vec![letter]).await.unwrap();
        drop(source);
        sleep(ms(1200)).await;
        letters.run().await;
        assert_eq!(letters.dead.info().await.state.messages, 2);
        assert_eq!(letters.dead.info().await.state.subjects_count, 2);
    });
}

#[test]
#[ignore = "real tier"]
fn a_letter_of_any_size_fits() {
    run_with(async |url| {
        let letters = letters(&url).await;
        let limit = letters.queue.client.max_payload();
        for spare in [0, 40, 100, 250, 1000] {
            let subject = format!("{}.a", letters.queue.name);
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", format!("m{spare}"));
            // 12 bytes of the frame, 11 of the name, 4 of separators.
            let size = limit - spare - 27 - format!("m{spare}").len();
            let publish =
                letters.queue.context.publish_with_headers(subject, headers, vec![b'1'; size].into());
            publish.await.unwrap().await.unwrap();
        }
        letters.run().await;
        let info = letters.dead.info().await;
        assert_eq!(info.state.messages, 5);
        let stream = letters.dead.context.get_stream(&letters.dead.name).await.unwrap();
        let mut reasons = 0;
        for sequence in 1..6 {
            let letter = stream.get_raw_message(sequence).await.unwrap();
            assert!(letter.payload.len() > limit - 1100);
            reasons += usize::from(letter.headers.get("Evenkeel-Reason").is_some());
        }
        assert!((1..5).contains(&reasons), "{reasons}");
    });
}
