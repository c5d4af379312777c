//! The comparison with a committed timeline.

use std::{env, fs, path::Path};

use evenkeel_testkit::{World, assert_timeline, timeline};
use tokio::time::sleep;

use super::scenes::{self, ms};
use crate::{is_child, panic_of, run_child};

#[test]
fn a_timeline_is_that_of_the_file() {
    assert_timeline!(scenes::permits(), "four_calls");
    assert_timeline!(scenes::failure(), "failure");
}

/// Returns the output of a child in which a test fails, and nothing is written.
fn failed(test: &str) -> String {
    let output = run_child(
        &format!("timeline::committed::{test}"),
        &[("EVENKEEL_UPDATE", "0"), ("RUST_BACKTRACE", "0")],
    );
    assert!(!output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_timeline_that_differs_shows_where() {
    if is_child() {
        let shorter = World::timeline(async |_| sleep(ms(5)).await).titled("Four calls, two permits");
        assert_timeline!(shorter, "four_calls");
    }
    let message = failed("a_timeline_that_differs_shows_where");
    assert!(
        message.contains("the timeline is not that of ") && message.contains("four_calls.txt\n"),
        "{message}"
    );
    assert!(message.contains("\n- Four calls, two permits: 4 tasks, 450 ms\n"), "{message}");
    assert!(message.contains("\n+ Four calls, two permits: 5 ms\n"), "{message}");
    assert!(message.contains("\naccept it with EVENKEEL_UPDATE=1\n"), "{message}");
}

#[test]
fn a_file_that_is_missing_is_a_failure() {
    if is_child() {
        assert_timeline!(scenes::retries(), "missing");
    }
    let message = failed("a_file_that_is_missing_is_a_failure");
    assert!(message.contains("missing.txt\nwrite it with EVENKEEL_UPDATE=1\n"), "{message}");
}

#[test]
fn a_name_is_that_of_a_file() {
    let drawn = World::timeline(async |_| {});
    for name in ["", "../up", "a/b", "a b"] {
        assert!(panic_of(|| assert_timeline!(drawn, name)).contains("a timeline is a file"), "{name}");
    }
}

#[test]
fn a_file_is_written_where_that_is_asked_for() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("written");
    if is_child() {
        let drawn = World::timeline(async |_| timeline::mark("written"));
        timeline::assert_committed(&drawn, "new", path.to_str().unwrap(), "tests/it.rs");
        return;
    }
    let _ = fs::remove_dir_all(&path);
    let test = "timeline::committed::a_file_is_written_where_that_is_asked_for";
    assert!(!run_child(test, &[("EVENKEEL_UPDATE", "0")]).status.success());
    assert!(run_child(test, &[("EVENKEEL_UPDATE", "1")]).status.success());
    assert!(fs::read_to_string(path.join("tests/timelines/new.txt")).unwrap().contains("^ written"));
    assert!(run_child(test, &[("EVENKEEL_UPDATE", "0")]).status.success());
}
