//! The events of `tracing` and the counters of `metrics`, name by name.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::{
    ConcurrencyLimiter, Keyed, Rate, RateLimiter,
    distributed::{Distributed, OnFailure},
};
use evenkeel_testkit::World;
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

#[cfg(feature = "metrics")]
use crate::distributed::misconfigured::{Refusal, Scripted, quota};
use crate::{
    distributed::fixtures::{Fault, FaultyStore, ms, process},
    fixtures::ByHand,
};

type Lines = Arc<Mutex<Vec<String>>>;

thread_local! {
    /// A limit that the subscriber looks at during each event.
    static LOOKED_AT: RefCell<Option<Arc<Distributed>>> = const { RefCell::new(None) };
}

/// Records an event. It would hang here if the event were emitted under a lock.
fn note(lines: &Lines, line: String) {
    lines.lock().unwrap().push(line);
    LOOKED_AT.with_borrow(|quota| quota.as_ref().map(|quota| quota.snapshot()));
}

/// A refusal, a wait and a pause; each kind of limit; and every reason.
async fn requests() {
    let rate = RateLimiter::per_second(10).burst(1).max_waiters(1);
    rate.acquire().await;
    rate.try_acquire().unwrap_err();
    rate.try_acquire_many(2).unwrap_err();
    rate.acquire().by(Instant::now()).await.unwrap_err();
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

    let lifted = RateLimiter::per_second(1);
    lifted.set_pause(Duration::from_secs(2));
    assert!(lifted.resume() && !lifted.resume());
}

/// Leases, without events for grants from them; refusals; and an outage with three failures.
async fn quotas() {
    let store = FaultyStore::new();
    let quota = Arc::new(process(&store, Rate::per_second(10)).burst(5).lease(4));
    LOOKED_AT.set(Some(Arc::clone(&quota)));
    for _ in 0..4 {
        quota.acquire().await.unwrap();
    }
    quota.try_acquire_many(6).await.unwrap_err();
    quota.try_acquire_many(2).await.unwrap_err();

    store.always(Some(Fault::Error));
    quota.acquire().await.unwrap_err();
    quota.try_acquire().await.unwrap_err();
    sleep(ms(50)).await;
    quota.try_acquire().await.unwrap_err();
    sleep(ms(100)).await;
    quota.try_acquire().await.unwrap_err();
    store.always(None);
    sleep(ms(200)).await;
    quota.acquire().await.unwrap();
    yield_now().await;
    quota.close().await;
    quota.acquire().await.unwrap_err();
    LOOKED_AT.take();
}

/// Grants of a local share have no events of another limiter; a call that is cut off at the end has none, either.
async fn shares() {
    let store = FaultyStore::new();
    store.always(Some(Fault::Hang));
    let quota = process(&store, Rate::per_second(10)).timeout(ms(30)).on_failure(OnFailure::LocalShare(2));
    quota.acquire().await.unwrap();
    quota.try_acquire().await.unwrap_err();
    store.always(None);
    sleep(ms(300)).await;
    quota.acquire_many(7).await.unwrap();
    store.always(Some(Fault::Hang));
    let waiting = ByHand::queued(quota.acquire());
    yield_now().await;
    drop(waiting);
    drop(quota);
    yield_now().await;
}

#[cfg(feature = "metrics")]
fn counted(scenario: impl AsyncFnOnce()) -> Vec<String> {
    use metrics::{
        Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
        with_local_recorder,
    };

    #[derive(Debug)]
    struct Log(Lines);
    struct Named(String, Lines);

    impl CounterFn for Named {
        fn increment(&self, value: u64) {
            note(&self.1, format!("{} {value}", self.0));
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
    with_local_recorder(&Log(lines.clone()), || World::run(async |_| scenario().await));
    let lines = lines.lock().unwrap();
    lines.clone()
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_count_waits_refusals_and_pauses() {
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
        "evenkeel_limit_pauses_total  1",
        "evenkeel_limit_resumes_total  1",
    ];
    assert_eq!(counted(requests), expected);
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_count_leases_failures_and_outages() {
    let expected = [
        "evenkeel_limit_waits_total kind=distributed 1",
        "evenkeel_limit_leased_permits_total  4",
        "evenkeel_limit_refused_total kind=distributed reason=never_fits 1",
        "evenkeel_limit_refused_total kind=distributed reason=busy 1",
        "evenkeel_limit_waits_total kind=distributed 1",
        "evenkeel_limit_store_failures_total  1",
        "evenkeel_limit_outages_began_total  1",
        "evenkeel_limit_refused_total kind=distributed reason=unavailable 1",
        "evenkeel_limit_refused_total kind=distributed reason=unavailable 1",
        "evenkeel_limit_store_failures_total  1",
        "evenkeel_limit_refused_total kind=distributed reason=unavailable 1",
        "evenkeel_limit_store_failures_total  1",
        "evenkeel_limit_refused_total kind=distributed reason=unavailable 1",
        "evenkeel_limit_waits_total kind=distributed 1",
        "evenkeel_limit_leased_permits_total  1",
        "evenkeel_limit_outages_ended_total  1",
        "evenkeel_limit_refused_total kind=distributed reason=closed 1",
    ];
    assert_eq!(counted(quotas), expected);
}

#[cfg(feature = "metrics")]
#[test]
fn a_share_is_counted_as_the_limit_that_it_is_a_part_of() {
    let expected = [
        "evenkeel_limit_waits_total kind=distributed 1",
        "evenkeel_limit_store_failures_total  1",
        "evenkeel_limit_outages_began_total  1",
        "evenkeel_limit_store_failures_total  1",
        "evenkeel_limit_refused_total kind=distributed reason=busy 1",
        "evenkeel_limit_store_failures_total  1",
        "evenkeel_limit_waits_total kind=distributed 1",
        "evenkeel_limit_leased_permits_total  1",
        "evenkeel_limit_outages_ended_total  1",
        "evenkeel_limit_leased_permits_total  6",
        "evenkeel_limit_waits_total kind=distributed 1",
    ];
    assert_eq!(counted(shares), expected);
}

#[cfg(feature = "tracing")]
fn traced(scenario: impl AsyncFnOnce()) -> Vec<String> {
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
            let metadata = event.metadata();
            assert_eq!(metadata.target(), "evenkeel::limit");
            let mut fields = Fields(metadata.level().to_string());
            event.record(&mut fields);
            note(&self.0, fields.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    let lines = Lines::default();
    // With only one subscriber, tracing asks the thread that reaches an event first, which has none.
    let _second = tracing::Dispatch::new(Log(Lines::default()));
    with_default(Log(lines.clone()), || World::run(async |_| scenario().await));
    let lines = lines.lock().unwrap();
    lines.clone()
}

#[cfg(feature = "tracing")]
#[test]
fn tracing_has_an_event_for_each() {
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
        "message=paused pause=2s",
        "message=resumed",
    ];
    assert_eq!(traced(requests), expected.map(|line| format!("DEBUG {line}")));
}

/// A missing right, under a policy that grants everything in an outage.
#[cfg(feature = "metrics")]
#[test]
fn metrics_name_a_mistake() {
    let scenario = async || {
        let store = Scripted::new(Some(Refusal::NoRight), Duration::ZERO);
        quota(&store, OnFailure::Open).acquire().await.unwrap_err();
    };
    let expected = [
        "evenkeel_limit_waits_total kind=distributed 1",
        "evenkeel_limit_store_failures_total  1",
        "evenkeel_limit_outages_began_total  1",
        "evenkeel_limit_refused_total kind=distributed reason=misconfigured 1",
    ];
    assert_eq!(counted(scenario), expected);
}

#[cfg(feature = "tracing")]
#[test]
fn tracing_has_an_event_for_each_lease_failure_and_outage() {
    let expected = [
        r#"DEBUG message=waits kind="distributed""#,
        r#"DEBUG message=leased key="quota" permits=4"#,
        r#"DEBUG message=refused kind="distributed" reason="never_fits" retry_after=None"#,
        r#"DEBUG message=refused kind="distributed" reason="busy" retry_after=Some(100ms)"#,
        r#"DEBUG message=waits kind="distributed""#,
        r#"DEBUG message=store failed key="quota" cause=connection refused"#,
        r#"WARN message=outage began key="quota" cause=connection refused"#,
        r#"DEBUG message=refused kind="distributed" reason="unavailable" retry_after=Some(50ms)"#,
        r#"DEBUG message=refused kind="distributed" reason="unavailable" retry_after=Some(50ms)"#,
        r#"DEBUG message=store failed key="quota" cause=connection refused"#,
        r#"DEBUG message=refused kind="distributed" reason="unavailable" retry_after=Some(100ms)"#,
        r#"DEBUG message=store failed key="quota" cause=connection refused"#,
        r#"DEBUG message=refused kind="distributed" reason="unavailable" retry_after=Some(200ms)"#,
        r#"DEBUG message=waits kind="distributed""#,
        r#"DEBUG message=leased key="quota" permits=1"#,
        r#"INFO message=outage ended key="quota" lasted=350ms"#,
        r#"DEBUG message=refused kind="distributed" reason="closed" retry_after=None"#,
    ];
    assert_eq!(traced(quotas), expected);
}

#[cfg(feature = "tracing")]
#[test]
fn a_share_is_told_of_as_the_limit_that_it_is_a_part_of() {
    let expected = [
        r#"DEBUG message=waits kind="distributed""#,
        r#"DEBUG message=store failed key="quota" cause=no answer within 30ms"#,
        r#"WARN message=outage began key="quota" cause=no answer within 30ms"#,
        r#"DEBUG message=store failed key="quota" cause=no answer within 30ms"#,
        r#"DEBUG message=refused kind="distributed" reason="busy" retry_after=Some(200ms)"#,
        r#"DEBUG message=store failed key="quota" cause=no answer within 30ms"#,
        r#"DEBUG message=waits kind="distributed""#,
        r#"DEBUG message=leased key="quota" permits=1"#,
        r#"INFO message=outage ended key="quota" lasted=500ms"#,
        r#"DEBUG message=leased key="quota" permits=6"#,
        r#"DEBUG message=waits kind="distributed""#,
    ];
    assert_eq!(traced(shares), expected);
}
