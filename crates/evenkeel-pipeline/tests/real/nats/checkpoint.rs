//! The position of a log: it survives, and never goes back.

use evenkeel_pipeline::nats::Checkpoint;

use super::harness::run;

#[test]
#[ignore = "real tier"]
fn a_position_is_kept_and_never_goes_back() {
    run(async |queue| {
        let open = async || Checkpoint::open(queue.client.clone(), &queue.name, "log.a").await.unwrap();
        let checkpoint = open().await;
        assert_eq!(checkpoint.load().await.unwrap(), None);
        for (position, stored) in [(5, 5), (3, 5), (5, 5), (9, 9)] {
            checkpoint.store(position).await.unwrap();
            assert_eq!(open().await.load().await.unwrap(), Some(stored));
        }
        let other = Checkpoint::open(queue.client.clone(), &queue.name, "log.b").await.unwrap();
        assert_eq!(other.load().await.unwrap(), None);
        // Of several that store at the same time, the highest stays.
        let stores = (10..30).map(|position| {
            let checkpoint = &checkpoint;
            async move { checkpoint.store(position).await.unwrap() }
        });
        futures::future::join_all(stores).await;
        assert_eq!(checkpoint.load().await.unwrap(), Some(29));

        let subject = format!("$KV.{}.log.b", queue.name);
        queue.context.publish(subject, "x".into()).await.unwrap().await.unwrap();
        for error in [other.load().await.unwrap_err(), other.store(1).await.unwrap_err()] {
            assert!(!error.is_transient() && error.to_string().contains("holds no position"), "{error}");
        }
        for (bucket, key) in [("a.b", "c"), ("", "c"), ("a", ""), ("a", "b..c"), ("a", "b c"), ("a/b", "c")] {
            let error = Checkpoint::open(queue.client.clone(), bucket, key).await.unwrap_err();
            assert!(!error.is_transient(), "{error}");
        }
    });
}
