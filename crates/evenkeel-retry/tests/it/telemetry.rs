//! Events and counters of `tracing` and `metrics`, name by name.

use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use evenkeel_retry::{Budget, Hedge, Policy};
use evenkeel_testkit::World;

use crate::{Refused, doubling, ms};

type Lines = Arc<Mutex<Vec<String>>>;

/// A call that is retried and gives up, one that succeeds at once, and a hedge that wins.
async fn calls() {
    let fail = || ready(Err::<(), _>(Refused(1)));
    doubling().max_attempts(3).run(fail).await.unwrap_err();
    doubling().run(fail).when(|_| false).await.unwrap_err();
    let empty = Budget::percent(0).per_second(0).reserve(1);
    empty.try_withdraw().unwrap().spend();
    Policy::fixed(ms(1)).budget(empty).run(fail).await.unwrap_err();
    doubling().run(|| ready(Ok::<_, Refused>(()))).await.unwrap();
    let mut times = [1000, 10].into_iter();
    let slow_at_first = || {
        let sleep = tokio::time::sleep(ms(times.next().unwrap()));
        async {
            sleep.await;
            Ok::<_, Refused>(())
        }
    };
    Hedge::after(ms(100)).run(slow_at_first).await.unwrap();
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_count_retries_ends_and_hedges() {
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
            Counter::from_arc(Arc::new(Named(format!("{}{labels:?}", key.name()), self.0.clone())))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    let lines = Lines::default();
    with_local_recorder(&Log(lines.clone()), || World::run(async |_| calls().await));
    let expected = [
        r#"evenkeel_retry_retries_total[] 1"#,
        r#"evenkeel_retry_retries_total[] 1"#,
        r#"evenkeel_retry_gave_up_total["reason=attempts"] 1"#,
        r#"evenkeel_retry_gave_up_total["reason=permanent"] 1"#,
        r#"evenkeel_retry_gave_up_total["reason=budget"] 1"#,
        r#"evenkeel_retry_hedges_total[] 1"#,
        r#"evenkeel_retry_hedges_won_total[] 1"#,
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
    with_default(Log(lines.clone()), || World::run(async |_| calls().await));
    let expected = [
        "evenkeel::retry DEBUG message=retry attempt=1 delay=100ms",
        "evenkeel::retry DEBUG message=retry attempt=2 delay=200ms",
        "evenkeel::retry DEBUG message=gave up attempts=3 reason=\"attempts\"",
        "evenkeel::retry DEBUG message=gave up attempts=1 reason=\"permanent\"",
        "evenkeel::retry DEBUG message=gave up attempts=1 reason=\"budget\"",
        "evenkeel::retry DEBUG message=hedge",
        "evenkeel::retry DEBUG message=hedge won",
    ];
    assert_eq!(*lines.lock().unwrap(), expected);
}
