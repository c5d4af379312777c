//! A test that fails prints the end of its timeline, and writes all of it.

use std::{fs, sync::Arc};

use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_task::{Group, group};
use evenkeel_testkit::{World, timeline};
use tokio::time::sleep;

use super::scenes::ms;
use crate::{is_child, run_child};

/// Returns the output of a child whose world fails, and the file that it names.
fn failed(test: &str) -> (String, Option<String>) {
    let output = run_child(&format!("timeline::failing::{test}"), &[("RUST_BACKTRACE", "0")]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    let path = text.lines().find_map(|line| line.strip_prefix("all of it: "));
    (text.clone(), path.map(|path| fs::read_to_string(path).expect("a file")))
}

#[test]
fn a_body_that_panics() {
    if is_child() {
        World::run(async |_| {
            let api = Arc::new(ConcurrencyLimiter::new(1).named("api"));
            let waiting = tokio::spawn(group(async move |g: Group| {
                for name in ["reader", "writer"] {
                    let api = api.clone();
                    g.task(name).spawn(async move {
                        let _permit = api.acquire().await;
                        sleep(ms(1_000)).await;
                    });
                }
                Ok(())
            }));
            sleep(ms(250)).await;
            timeline::mark("before the panic");
            assert!(waiting.is_finished(), "the assertion of the test");
        });
    }
    let (text, svg) = failed("a_body_that_panics");
    assert!(text.contains("timeline of timeline::failing::a_body_that_panics (3 tasks, 250 ms):"), "{text}");
    assert!(text.contains("      250 ms  body                ^ before the panic"), "{text}");
    assert!(text.contains("at the end: writer waits for permit of api (held by reader) since 0 s"), "{text}");
    assert!(text.contains("      250 ms  body                panicked"), "{text}");
    let svg = svg.expect("a file");
    assert!(svg.starts_with("<svg") && svg.contains(">writer</text>"));
    assert!(!svg.contains("cancelled"), "they were alive when it failed");
}

#[test]
fn a_deadlock_ends_where_nothing_could_run() {
    if is_child() {
        World::run(async |_| {
            let api = ConcurrencyLimiter::new(1).named("api");
            let _first = api.acquire().await;
            sleep(ms(40)).await;
            let _second = api.acquire().await;
        });
    }
    let (text, svg) = failed("a_deadlock_ends_where_nothing_could_run");
    assert!(
        text.contains("timeline of timeline::failing::a_deadlock_ends_where_nothing_could_run (40 ms):"),
        "{text}"
    );
    assert!(text.contains("at the end: body waits for permit of api since 40 ms"), "{text}");
    assert!(!text.contains("panicked\nat the end"), "the body waits: {text}");
    assert!(svg.expect("a file").contains("permit of api"));
}

#[test]
fn a_world_in_which_nothing_was_seen_prints_nothing() {
    if is_child() {
        World::run(async |_| panic!("at once"));
    }
    let (text, svg) = failed("a_world_in_which_nothing_was_seen_prints_nothing");
    assert!(!text.contains("timeline of") && svg.is_none(), "{text}");
}

#[test]
fn only_the_last_events_are_printed() {
    if is_child() {
        World::run(async |_| {
            for step in 0..100 {
                timeline::mark(format!("step {step}"));
                sleep(ms(1)).await;
            }
            panic!("late");
        });
    }
    let (text, svg) = failed("only_the_last_events_are_printed");
    assert!(
        text.contains("… 82 events before") && !text.contains("step 80") && text.contains("step 81"),
        "{text}"
    );
    assert!(text.contains("      100 ms  body                panicked"), "{text}");
    assert!(svg.expect("a file").contains("step 0"));
}
