//! What `tracing` and `metrics` are told, name by name.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::{ConcurrencyLimiter, Keyed, RateLimiter};
use evenkeel_testkit::World;
use tokio::time::Instant;

type Lines = Arc<Mutex<Vec<String>>>;

/// A refusal, a wait and a pause; each kind of limit; and every reason.
async fn requests() {
    let rate = RateLimiter::per_second(10).burst(1).max_waiters(1);
    rate.acquire().await;
    rate.try_acquire().unwrap_err();
    rate.try_acquire_many(2).unwrap_err();
    rate.acquire_by(Instant::now()).await.unwrap_err();
    let (waited, refused) = tokio::join!(rate.acquire_many(1), rate.acquire_many(1));
    assert!(waited.is_ok() && refused.is_err());
    rate.penalize(Duration::from_secs(3));
    let (closed, ()) = tokio::join!(rate.acquire_many(1), async { rate.close() });
    closed.unwrap_err();

    let keyed = Keyed::<u8>::per_second(1).burst(1);
    keyed.try_acquire(&1).unwrap();
    keyed.try_acquire(&1).unwrap_err();

    let concurrency = ConcurrencyLimiter::new(1);
    let permit = concurrency.acquire().await.unwrap();
    concurrency.try_acquire().unwrap_err();
    concurrency.acquire().by(Instant::now() + Duration::from_millis(1)).await.unwrap_err();
    drop(permit);
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_count_waits_refusals_and_pauses() {
    use metrics::{
        Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
        with_local_recorder,
    };

    #[derive(Debug)]
    struct Log(Lines);
    struct Named(String, Lines);

    impl CounterFn for Named {
        fn increment(&self, value: u64) {
            self.1.lock().unwrap().push(format!("{} {value}", self.0));
        }
        fn absolute(&self, _: u64) {}
    }

    impl Recorder for Log {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<String> = key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
            Counter::from_arc(Arc::new(Named(format!("{} {}", key.name(), labels.join(" ")), self.0.clone())))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    let lines = Lines::default();
    with_local_recorder(&Log(lines.clone()), || World::run(async |_| requests().await));
    let expected = [
        "evenkeel_limit_refused_total kind=rate reason=busy 1",
        "evenkeel_limit_refused_total kind=rate reason=never_fits 1",
        "evenkeel_limit_refused_total kind=rate reason=deadline 1",
        "evenkeel_limit_waits_total kind=rate 1",
        "evenkeel_limit_refused_total kind=rate reason=queue_full 1",
        "evenkeel_limit_pauses_total  1",
        "evenkeel_limit_waits_total kind=rate 1",
        "evenkeel_limit_refused_total kind=rate reason=closed 1",
        "evenkeel_limit_refused_total kind=key reason=busy 1",
        "evenkeel_limit_refused_total kind=concurrency reason=busy 1",
        "evenkeel_limit_waits_total kind=concurrency 1",
        "evenkeel_limit_refused_total kind=concurrency reason=deadline 1",
    ];
    assert_eq!(*lines.lock().unwrap(), expected);
}

#[cfg(feature = "tracing")]
#[test]
fn tracing_has_an_event_for_each() {
    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span::{Attributes, Id, Record},
        subscriber::with_default,
    };

    struct Log(Lines);
    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0 += &format!(" {}={value:?}", field.name());
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with("evenkeel")
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(format!("{} {}", event.metadata().target(), event.metadata().level()));
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    let lines = Lines::default();
    // With one subscriber alone, tracing asks that of the thread that comes to an event first, and there it has none.
    let _second = tracing::Dispatch::new(Log(Lines::default()));
    with_default(Log(lines.clone()), || World::run(async |_| requests().await));
    let expected = [
        r#"message=refused kind="rate" reason="busy" retry_after=Some(100ms)"#,
        r#"message=refused kind="rate" reason="never_fits" retry_after=None"#,
        r#"message=refused kind="rate" reason="deadline" retry_after=Some(100ms)"#,
        r#"message=waits kind="rate""#,
        r#"message=refused kind="rate" reason="queue_full" retry_after=Some(200ms)"#,
        "message=paused pause=3s",
        r#"message=waits kind="rate""#,
        r#"message=refused kind="rate" reason="closed" retry_after=None"#,
        r#"message=refused kind="key" reason="busy" retry_after=Some(1s)"#,
        r#"message=refused kind="concurrency" reason="busy" retry_after=None"#,
        r#"message=waits kind="concurrency""#,
        r#"message=refused kind="concurrency" reason="deadline" retry_after=None"#,
    ];
    assert_eq!(*lines.lock().unwrap(), expected.map(|line| format!("evenkeel::limit DEBUG {line}")));
}
