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

#[test]
fn a_timeline_that_differs_shows_where() {
    let shorter = World::timeline(async |_| sleep(ms(5)).await).titled("Four calls, two permits");
    let message = panic_of(|| assert_timeline!(shorter, "four_calls"));
    assert!(
        message.contains("the timeline is not that of ") && message.contains("timelines/four_calls.txt"),
        "{message}"
    );
    assert!(message.contains("\n- Four calls, two permits: 4 tasks, 450 ms\n"), "{message}");
    assert!(message.contains("\n+ Four calls, two permits: 5 ms\n"), "{message}");
    assert!(message.ends_with("accept it with EVENKEEL_UPDATE=1"), "{message}");
}

#[test]
fn a_file_that_is_missing_is_a_failure() {
    let message = panic_of(|| assert_timeline!(scenes::retries(), "missing"));
    assert!(message.contains("timelines/missing.txt\nwrite it with EVENKEEL_UPDATE=1"), "{message}");
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
    assert!(!run_child(test, &[]).status.success());
    assert!(run_child(test, &[("EVENKEEL_UPDATE", "1")]).status.success());
    assert!(fs::read_to_string(path.join("tests/timelines/new.txt")).unwrap().contains("^ written"));
    assert!(run_child(test, &[]).status.success());
}
