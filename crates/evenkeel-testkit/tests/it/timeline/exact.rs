//! The times of a timeline are those of the program.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::{ConcurrencyLimiter, RateLimiter};
use evenkeel_pool::Pool;
use evenkeel_task::{Group, group};
use evenkeel_testkit::{World, timeline};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use super::{
    scenes::{self, Units, ms},
    slices::{Slice, events, slice, slices},
};

const MS: u64 = 1_000_000;

fn of_category(slices: &[Slice], category: &str) -> Vec<Slice> {
    slices.iter().filter(|slice| slice.category == category).cloned().collect()
}

#[test]
fn permits_are_waited_for_and_held() {
    let slices = slices(&scenes::permits());
    let permit = "permit of api";
    assert_eq!(
        of_category(&slices, "hold"),
        [
            slice("orders", "hold", permit, 0, 300 * MS),
            slice("prices", "hold", permit, 0, 200 * MS),
            slice("stock", "hold", permit, 300 * MS, 450 * MS),
            slice("users", "hold", permit, 200 * MS, 450 * MS),
        ]
    );
    let held = "permit of api (held by orders, prices)";
    assert_eq!(
        of_category(&slices, "wait"),
        [
            slice("body", "wait", "its tasks", 0, 450 * MS),
            slice("stock", "wait", held, 0, 300 * MS),
            slice("users", "wait", held, 0, 200 * MS),
        ]
    );
    assert_eq!(
        of_category(&slices, "task"),
        [("body", 450), ("orders", 300), ("prices", 200), ("stock", 450), ("users", 450)]
            .map(|(name, end)| slice(name, "task", name, 0, end * MS))
    );
}

#[test]
fn retries_wait_between_their_attempts() {
    let slices = slices(&scenes::retries());
    assert_eq!(
        of_category(&slices, "wait"),
        [
            slice("body", "wait", "attempt 2 of orders, after Error", 50 * MS, 250 * MS),
            slice("body", "wait", "attempt 3 of orders, after Error", 300 * MS, 700 * MS),
        ]
    );
    assert_eq!(
        of_category(&slices, "fault"),
        [
            slice("body", "fault", "GET /orders → 503", 0, 50 * MS),
            slice("body", "fault", "GET /orders → 503", 250 * MS, 300 * MS),
        ]
    );
    assert_eq!(
        of_category(&slices, "span"),
        [slice("body", "span", "GET /orders → 200", 700 * MS, 750 * MS)]
    );
}

#[test]
fn tasks_say_how_they_ended_and_how_often_they_were_polled() {
    let drawn = scenes::failure();
    let ends: Vec<_> = (events(&drawn).iter())
        .filter(|event| event["cat"] == "task")
        .map(|event| {
            let args = &event["args"];
            (
                event["name"].as_str().unwrap().to_owned(),
                args["end"].as_str().unwrap().to_owned(),
                args["polls"].as_u64(),
            )
        })
        .collect();
    let (unnamed, end, polls) = &ends[4];
    assert!(unnamed.starts_with("crates/evenkeel-testkit/tests/it/timeline/scenes.rs:"), "{unnamed}");
    assert_eq!((&**end, *polls), ("done", Some(2)));
    let named: Vec<_> = ends[..4].iter().map(|(name, end, polls)| (&**name, &**end, *polls)).collect();
    assert_eq!(
        named,
        [
            ("body", "done", Some(3)),
            ("reader", "cancelled", Some(2)),
            ("writer", "failed", Some(2)),
            ("watcher", "cancelled", Some(5)),
        ]
    );
    let restarts = slices(&drawn);
    let restarts = of_category(&restarts, "wait").into_iter().filter(|wait| wait.track == "watcher");
    assert_eq!(
        restarts.collect::<Vec<_>>(),
        [
            slice("watcher", "wait", "restart", 120 * MS, 220 * MS),
            slice("watcher", "wait", "restart", 340 * MS, 400 * MS),
        ]
    );
}

#[test]
fn a_task_that_panics_and_one_that_never_runs_have_their_ends() {
    let drawn = World::builder().allow_panics(1).timeline(async |_| {
        let panics = group(async |g: Group| {
            g.task("panics").spawn(async {
                sleep(ms(5)).await;
                panic!("boom");
            });
            Ok(())
        });
        panics.await.unwrap_err();
        let fails = group(async |g: Group| {
            g.task("late").spawn(async {});
            Err::<(), _>(std::io::Error::other("no").into())
        });
        fails.await.unwrap_err();
    });
    let ends: Vec<_> = (events(&drawn).iter())
        .filter(|event| event["cat"] == "task")
        .map(|event| {
            (
                event["name"].to_string(),
                event["ts"].as_u64(),
                event["args"]["end"].to_string(),
                event["args"]["polls"].as_u64(),
            )
        })
        .collect();
    let end =
        |name: &str, at, end: &str, polls| (format!("{name:?}"), Some(at), format!("{end:?}"), Some(polls));
    assert_eq!(
        ends,
        [end("body", 0, "done", 3), end("panics", 0, "panicked", 2), end("late", 5_000, "cancelled", 1)]
    );
}

#[test]
fn a_task_waits_for_its_slot() {
    let drawn = World::timeline(async |_| {
        Group::builder()
            .limit(1)
            .run(async |g: Group| {
                for name in ["first", "second"] {
                    g.task(name).spawn(async { sleep(ms(70)).await });
                }
                Ok(())
            })
            .await
            .unwrap();
    });
    let waits = of_category(&slices(&drawn), "wait");
    assert_eq!(
        waits,
        [
            slice("body", "wait", "its tasks", 0, 140 * MS),
            slice("second", "wait", "slot of its group", 0, 70 * MS),
        ]
    );
}

#[test]
fn a_service_drains() {
    let drawn = scenes::stop();
    let slices = slices(&drawn);
    let tasks: Vec<_> = of_category(&slices, "task");
    assert_eq!(
        tasks,
        [
            slice("body", "task", "body", 0, 2_300 * MS),
            slice("consumer", "task", "consumer", 0, 1_800 * MS),
            slice("server", "task", "server", 0, 2_300 * MS),
        ]
    );
    assert_eq!(
        of_category(&slices, "wait"),
        [slice("task 1", "wait", "the tasks and guards (server, consumer)", 1_500 * MS, 2_300 * MS)]
    );
    let asked = events(&drawn).into_iter().find(|event| event["ph"] == "i").unwrap();
    assert_eq!(
        (asked["name"].as_str(), asked["ts"].as_u64()),
        (Some("asked to stop: SIGTERM"), Some(1_500_000))
    );
}

#[test]
fn a_static_that_an_earlier_world_has_used_is_seen_again() {
    static API: ConcurrencyLimiter = ConcurrencyLimiter::new(1).named("api of two worlds");
    let scene = || {
        World::timeline(async |_| {
            let other = tokio::spawn(async {
                let _permit = API.acquire().await;
                sleep(ms(30)).await;
            });
            tokio::task::yield_now().await;
            drop(API.acquire().await);
            other.await.unwrap();
        })
    };
    let first = scene();
    assert_eq!(
        of_category(&slices(&first), "wait"),
        [slice("body", "wait", "permit of api of two worlds (held by task 1)", 0, 30 * MS)]
    );
    assert_eq!(scene().to_json(), first.to_json());
}

#[test]
fn nanoseconds_are_kept() {
    let drawn = World::timeline(async |_| {
        let start = Instant::now();
        let rate = RateLimiter::per_second(3).burst(1);
        rate.acquire().await;
        rate.acquire().await;
        timeline::mark(format!("{:?}", start.elapsed()));
    });
    let waits = of_category(&slices(&drawn), "wait");
    assert_eq!((waits[0].from, waits.len()), (0, 1));
    assert_eq!(waits[0].to, 334 * MS, "timers are exact to the millisecond");
    assert!(drawn.to_text().contains("334 ms"), "{drawn}");
}

/// A step of a task.
#[derive(Clone, Debug)]
enum Step {
    Sleep(u64),
    Permit {
        hold: u64,
    },
    /// Gives up after some time.
    PermitWithin {
        within: u64,
        hold: u64,
    },
    Lease {
        hold: u64,
    },
    Rate,
    Span(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = || 0..40_u64;
    let step = prop_oneof![
        length().prop_map(Step::Sleep),
        length().prop_map(|hold| Step::Permit { hold }),
        (length(), length()).prop_map(|(within, hold)| Step::PermitWithin { within, hold }),
        length().prop_map(|hold| Step::Lease { hold }),
        Just(Step::Rate),
        length().prop_map(Step::Span),
    ];
    prop::collection::vec(step, 0..6)
}

/// The log that each task keeps by itself: what it did, from when to when.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Slice>>>);

/// An entry of the log that ends when it is dropped, as a task that is aborted ends what it does.
struct Entry {
    log: Log,
    start: Instant,
    track: String,
    category: &'static str,
    from: Instant,
    name: String,
}

impl Log {
    fn begin(&self, start: Instant, track: &str, category: &'static str, name: &str) -> Entry {
        let (track, name) = (track.to_owned(), name.to_owned());
        Entry { log: self.clone(), start, track, category, from: Instant::now(), name }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let nanos = |at: Instant| (at - self.start).as_nanos() as u64;
        let (from, to) = (nanos(self.from), nanos(Instant::now()));
        // A span may be as short as it likes.
        if from < to || self.category == "span" {
            self.log.0.lock().expect("no panic").push(slice(
                &self.track,
                self.category,
                &self.name,
                from,
                to,
            ));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn a_timeline_tells_what_a_program_did(
        tasks in prop::collection::vec(steps(), 0..7),
        permits in 1..4_u32,
        leases in 1..3_usize,
        aborted_after in prop::option::of(0..150_u64),
    ) {
        let log = Log::default();
        let logged = log.clone();
        let drawn = World::timeline(async move |_| {
            let start = Instant::now();
            let api = Arc::new(ConcurrencyLimiter::new(permits).named("api"));
            let rate = Arc::new(RateLimiter::per_second(100).burst(1).named("mails"));
            let db = Pool::builder(Units).max(leases).named("db").build().unwrap();
            let all = group(async |g: Group| {
                for (number, steps) in tasks.into_iter().enumerate() {
                    let (log, api, rate, db) = (log.clone(), api.clone(), rate.clone(), db.clone());
                    let track = format!("t{number}");
                    g.task(track.clone()).spawn(async move {
                        let _task = log.begin(start, &track, "task", &track);
                        let entry = |category, name| log.begin(start, &track, category, name);
                        for step in steps {
                            match step {
                                Step::Sleep(length) => sleep(ms(length)).await,
                                Step::Permit { hold } => {
                                    let wait = entry("wait", "permit of api");
                                    let permit = api.acquire().await;
                                    drop(wait);
                                    let _entry = entry("hold", "permit of api");
                                    sleep(ms(hold)).await;
                                    drop(permit);
                                }
                                Step::PermitWithin { within, hold } => {
                                    let wait = entry("wait", "permit of api");
                                    let permit = timeout(ms(within), api.acquire()).await;
                                    drop(wait);
                                    if let Ok(permit) = permit {
                                        let _entry = entry("hold", "permit of api");
                                        sleep(ms(hold)).await;
                                        drop(permit);
                                    }
                                }
                                Step::Lease { hold } => {
                                    let wait = entry("wait", "lease of db");
                                    let lease = db.get().await.unwrap();
                                    drop(wait);
                                    let _entry = entry("hold", "lease of db");
                                    sleep(ms(hold)).await;
                                    drop(lease);
                                }
                                Step::Rate => {
                                    let _wait = entry("wait", "rate of mails");
                                    rate.acquire().await;
                                }
                                Step::Span(length) => {
                                    let _entry = entry("span", "a span");
                                    let _span = timeline::span("a span");
                                    sleep(ms(length)).await;
                                }
                            }
                        }
                    });
                }
                Ok(())
            });
            match aborted_after {
                Some(after) => drop(timeout(ms(after), all).await),
                None => drop(all.await),
            }
            let _closed = db.close(Duration::from_secs(60)).await;
        });
        let mut expected = logged.0.lock().unwrap().clone();
        expected.sort_unstable();
        let without_holders = |mut slice: Slice| {
            if let Some((name, _)) = slice.name.split_once(" (held by") {
                slice.name = name.to_owned();
            }
            slice
        };
        let of_tasks = |slice: &Slice| slice.track.starts_with('t') && (slice.category != "task" || slice.from < slice.to);
        let mut told: Vec<_> = slices(&drawn).into_iter().map(without_holders).filter(of_tasks).collect();
        told.sort_unstable();
        prop_assert_eq!(told, expected, "{}", drawn);
    }
}
