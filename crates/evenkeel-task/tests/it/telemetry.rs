//! Spans, events and counters, behind the features `tracing` and `metrics`.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use evenkeel_task::{Blocking, BoxError, GroupError, background, blocking, first_ok, group, shield};
use evenkeel_testkit::World;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata as About, Recorder, SharedString, Unit};
use tokio::time::{sleep, timeout};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_core::span::Current;

use crate::{err, ms, throw};

/// Runs one task of each outcome: finished, failed, cancelled, panicked, and a section that is overdue.
async fn one_of_each() -> GroupError {
    struct Sore;
    impl Drop for Sore {
        fn drop(&mut self) {
            throw("sore")
        }
    }
    group(async |g| {
        let _ = timeout(ms(1), shield(ms(5), pending::<()>())).await;
        g.task("good").spawn(async {});
        g.task("deaf").spawn(pending::<()>());
        g.task("sore").spawn(async {
            let _sore = Sore;
            pending::<()>().await;
        });
        tracing::info_span!("outer").in_scope(|| {
            g.task("bad").spawn(async {
                tracing::info!("within");
                sleep(ms(2)).await;
                err("bad")
            });
        });
        Ok(())
    })
    .await
    .unwrap_err()
}

#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Counts {
    fn lines(&self) -> Vec<String> {
        let counts = self.0.lock().unwrap();
        counts.iter().map(|(name, count)| format!("{name} {}", count.load(Ordering::Relaxed))).collect()
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &About<'_>) -> Counter {
        let labels: Vec<_> =
            key.labels().map(|label| format!(" {}={}", label.key(), label.value())).collect();
        let name = format!("{}{}", key.name(), labels.concat());
        Counter::from_arc(self.0.lock().unwrap().entry(name).or_default().clone())
    }
    fn register_gauge(&self, _: &Key, _: &About<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &About<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn tasks_are_counted_by_their_outcome() {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || World::run(async |_| drop(one_of_each().await)));
    let expected = [
        "evenkeel_task_ended_total outcome=cancelled 1",
        "evenkeel_task_ended_total outcome=failed 1",
        "evenkeel_task_ended_total outcome=finished 1",
        "evenkeel_task_ended_total outcome=overdue 1",
        "evenkeel_task_ended_total outcome=panicked 1",
        "evenkeel_task_spawned_total 5",
    ];
    assert_eq!(counts.lines(), expected);
}

struct PanicsAtFailures;

impl Recorder for PanicsAtFailures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &About<'_>) -> Counter {
        assert!(key.labels().all(|label| label.value() != "failed"), "the recorder is broken");
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &About<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &About<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_recorder_that_panics_loses_no_failure() {
    let run = async |_: World| {
        let run = group(async |g| {
            g.task("fails").spawn(async { Err::<(), _>("no disk") });
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!(error.first().name.as_deref(), Some("fails"));
        assert_eq!(error.source().unwrap().to_string(), "no disk");
    };
    let world = World::builder().allow_panics(1);
    metrics::with_local_recorder(&PanicsAtFailures, || world.run(run));
}

#[test]
fn the_winner_of_a_race_has_finished_and_the_losers_are_cancelled() {
    let counts = Counts::default();
    let race = async |_: World| {
        let entrant = |at| async move {
            sleep(ms(at)).await;
            Ok::<_, &str>(at)
        };
        assert_eq!(first_ok([entrant(2), entrant(1), entrant(3)]).await, Ok(1));
    };
    metrics::with_local_recorder(&counts, || World::run(race));
    let expected = [
        "evenkeel_task_ended_total outcome=cancelled 2",
        "evenkeel_task_ended_total outcome=finished 1",
        "evenkeel_task_spawned_total 3",
    ];
    assert_eq!(counts.lines(), expected);
}

#[test]
fn a_group_that_is_left_over_is_not_counted_as_a_task() {
    let counts = Counts::default();
    let run = async |_: World| {
        let run = group(async |_g| {
            let inner = group(async |g| {
                g.spawn(pending::<()>());
                pending::<Result<(), BoxError>>().await
            });
            let _ = timeout(ms(1), inner).await;
            Ok(())
        });
        run.await.unwrap();
    };
    metrics::with_local_recorder(&counts, || World::run(run));
    let counts = counts.0.lock().unwrap();
    let total: u64 = counts.values().map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!((counts.len(), total), (2, 2), "one was spawned and one was cancelled");
}

/// Records events, with the depth of their spans.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    depth: i32,
    span: Option<&'static Metadata<'static>>,
    lines: Vec<String>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !matches!(field.name(), "place") {
            self.0 += &format!(" {}={value:?}", field.name());
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.is_span() || about.target().starts_with("evenkeel_task") || about.target().starts_with("it")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.lock().unwrap().span = Some(span.metadata());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        let mut taken = self.0.lock().unwrap();
        let line = format!("{} {}", taken.depth, text.0);
        taken.lines.push(line);
    }
    fn enter(&self, _: &Id) {
        self.0.lock().unwrap().depth += 1;
    }
    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().depth -= 1;
    }
    fn current_span(&self) -> Current {
        let taken = self.0.lock().unwrap();
        match taken.span {
            Some(span) if taken.depth > 0 => Current::new(Id::from_u64(1), span),
            _ => Current::none(),
        }
    }
}

#[test]
fn tasks_run_in_the_span_of_their_spawner_and_tell_their_end() {
    // Registers the events with tracing first, as other tests register them at the same time.
    World::run(async |_| drop(one_of_each().await));
    let recorded = || {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.clone(), || {
            World::run(async |_| drop(one_of_each().await));
        });
        lines.0.lock().unwrap().lines.clone()
    };
    let ended = |level, name, after, outcome| {
        let depth = i32::from(name == "bad");
        format!("{depth} {level} message=task ended name={name:?} after={after} outcome={outcome:?}")
    };
    let expected = [
        ended("DEBUG", "good", "0ns", "finished"),
        "1 INFO message=within".to_owned(),
        ended("WARN", "bad", "2ms", "failed"),
        ended("DEBUG", "deaf", "2ms", "cancelled"),
        ended("WARN", "sore", "2ms", "panicked"),
        ended("WARN", "shield", "5ms", "overdue"),
    ];
    // An event that a test on another thread registers just now may be off for a moment.
    let mut lines = recorded();
    for _ in 0..20 {
        if lines.len() == expected.len() {
            break;
        }
        lines = recorded();
    }
    assert_eq!(lines, expected);
}

#[test]
fn what_is_begun_for_a_caller_runs_in_its_span() {
    async fn within(n: u32) {
        tracing::info!(n, "begins");
        tokio::task::yield_now().await;
        tracing::info!(n, "ends");
    }
    async fn all_of_them() {
        background(async |_stop| within(1).await).await.unwrap();
        blocking(|_stop| tracing::info!(n = 2, "called")).await;
        Blocking::new(1).run(|_stop| tracing::info!(n = 3, "called")).await;
        // The caller is dropped, and there is no group.
        let mut rest = Box::pin(shield(ms(5), within(4)));
        assert!(crate::poll(&mut rest).is_pending());
        drop(rest);
        sleep(ms(1)).await;
    }
    // A blocking call takes real time, and another thread: it needs the subscriber, too.
    let runtime = |lines: Option<Lines>| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        if let Some(lines) = lines {
            builder.on_thread_start(move || {
                std::mem::forget(tracing::subscriber::set_default(lines.clone()));
            });
        }
        builder.enable_time().build().unwrap()
    };
    runtime(None).block_on(all_of_them());
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        runtime(Some(lines.clone())).block_on(async {
            let span = tracing::info_span!("caller");
            tracing::Instrument::instrument(all_of_them(), span).await;
        });
    });
    let lines = lines.0.lock().unwrap().lines.clone();
    let numbers: Vec<_> = lines.iter().filter_map(|line| line.split_once(" n=").map(|(_, n)| n)).collect();
    assert_eq!(numbers, ["1", "1", "2", "3", "4", "4"], "{lines:?}");
    assert!(lines.iter().all(|line| !line.starts_with('0')), "{lines:?}");
}
