//! Ctrl-C and SIGTERM in the middle of the work.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
    time::sleep,
};

use crate::{
    blocking_api::BlockingApi,
    interrupted::signal,
    workdir::{Workdir, text},
};

/// Waits until the program prints that it is stopping.
async fn is_stopping(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("stopping") {
            return;
        }
    }
    panic!("it ended without a word");
}

/// Waits for the end of the program, and returns its exit code and its report.
async fn ended(child: Child, workdir: &Workdir) -> (Option<i32>, Value) {
    let output = child.wait_with_output().await.unwrap();
    let report = workdir.report();
    assert_eq!(report["users"], workdir.number("SELECT count(*) FROM users").await, "{}", text(&output));
    assert_eq!(report["orders"], workdir.number("SELECT count(*) FROM orders").await, "{}", text(&output));
    assert_eq!(report["users"].as_u64().unwrap() + report["unfinished"].as_u64().unwrap(), 10, "{report}");
    (output.status.code(), report)
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_first_signal_finishes_what_was_begun_and_begins_nothing() {
    for name in ["-TERM", "-INT"] {
        let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
        let mut child = api.harvest(&workdir, "--concurrency 4", 3).await;
        signal(&child, name).await;
        is_stopping(&mut child).await;
        api.released.send_replace(10);
        let (code, report) = ended(child, &workdir).await;
        assert_eq!((code, &report["ended"]), (Some(0), &"drained".into()));
        // The documents of 4 users are begun; the second page may have one of the 4 slots for calls.
        assert!((2..=4).contains(&report["users"].as_u64().unwrap()), "{report}");
        assert_eq!(report["failures"].as_array().unwrap().len(), 0, "{report}");
    }
}

/// The next run begins again, as after any complete one; so it must not be said that the rest is left for it.
#[tokio::test]
#[ignore = "real tier"]
async fn a_stop_that_leaves_nothing_is_a_complete_run() {
    let (workdir, api) = (Workdir::new(), BlockingApi::of_one_page().await);
    let mut child = api.harvest(&workdir, "--concurrency 30", 20).await;
    signal(&child, "-TERM").await;
    is_stopping(&mut child).await;
    api.released.send_replace(10);
    let (code, report) = ended(child, &workdir).await;
    assert_eq!((code, &report["ended"], &report["unfinished"]), (Some(0), &"complete".into(), &0.into()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_second_signal_aborts_and_says_what_was_left() {
    let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
    let mut child = api.harvest(&workdir, "--concurrency 4 --grace 2m", 3).await;
    signal(&child, "-TERM").await;
    is_stopping(&mut child).await;
    // A signal within 200 ms is a copy of the first.
    sleep(Duration::from_millis(500)).await;
    signal(&child, "-TERM").await;
    let (code, report) = ended(child, &workdir).await;
    assert_eq!((code, &report["ended"]), (Some(128 + 15), &"aborted".into()));
    assert_eq!(report["unfinished"], 10);
}

#[tokio::test]
#[ignore = "real tier"]
async fn what_hangs_is_aborted_after_the_grace_period_and_the_rest_is_stored() {
    let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
    let mut child = api.harvest(&workdir, "--concurrency 30 --grace 1s", 20).await;
    signal(&child, "-TERM").await;
    is_stopping(&mut child).await;
    api.released.send_replace(1);
    let (code, report) = ended(child, &workdir).await;
    assert_eq!((code, &report["ended"]), (Some(128 + 15), &"aborted".into()));
    assert_eq!((&report["users"], &report["orders"]), (&1.into(), &1.into()));
}
