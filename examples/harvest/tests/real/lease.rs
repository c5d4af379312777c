//! Two runs on one store.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    blocking_api::BlockingApi,
    interrupted::signal,
    workdir::{Workdir, text},
};

const SECOND: &str = "--users 3 --latency 1 --faults none";

async fn the_second_is_refused(workdir: Workdir) {
    let api = BlockingApi::start().await;
    let mut first = api.harvest(&workdir, "--concurrency 30", 20).await;
    sleep(Duration::from_millis(1100)).await;
    let pid = first.id().unwrap();
    let output = workdir.harvest(SECOND).output().await.unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let (_, told) = said.split_once(&format!("it is in use by another run, process {pid} on ")).expect(&said);
    let age: u32 = told.split_once(", for ").unwrap().1.split_once(" s;").unwrap().0.parse().unwrap();
    assert!((1..60).contains(&age), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    // A crash releases the lock at once, and nothing is lost.
    first.start_kill().unwrap();
    first.wait().await.unwrap();
    let report = workdir.run(SECOND, 0).await;
    assert_eq!((&report["users"], &report["ended"]), (&3.into(), &"complete".into()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_second_is_refused_on_sqlite() {
    the_second_is_refused(Workdir::new()).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_second_is_refused_on_postgres() {
    let Some(workdir) = Workdir::postgres().await else { return };
    the_second_is_refused(workdir).await;
}

/// Starts two runs on a store that does not exist yet.
async fn of_two_at_once_one_is_refused(workdir: Workdir) {
    let api = BlockingApi::start().await;
    let flags = format!("--url {} --concurrency 30", api.base());
    let [mut one, mut other] = [(); 2].map(|()| workdir.harvest(&flags).spawn().unwrap());
    let pids = [&one, &other].map(|child| child.id().unwrap());
    let (refused, winner) = tokio::select! {
        _ = one.wait() => (one, pids[1]),
        _ = other.wait() => (other, pids[0]),
    };
    let output = refused.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let told = format!("it is in use by another run, process {winner} on ");
    assert!(text(&output).contains(&told), "{}", text(&output));
}

#[tokio::test]
#[ignore = "real tier"]
async fn of_two_at_once_one_is_refused_on_sqlite() {
    for _ in 0..3 {
        of_two_at_once_one_is_refused(Workdir::new()).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn of_two_at_once_one_is_refused_on_postgres() {
    for _ in 0..3 {
        let Some(workdir) = Workdir::postgres().await else { return };
        of_two_at_once_one_is_refused(workdir).await;
    }
}

/// The lock holds for every path to the same file.
#[tokio::test]
#[ignore = "real tier"]
async fn a_link_to_a_store_is_that_store() {
    let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
    let first = api.harvest(&workdir, "--concurrency 30", 20).await;
    std::os::unix::fs::symlink(workdir.path("store.db"), workdir.path("link.db")).unwrap();
    let output =
        workdir.harvest_into(SECOND, &format!("sqlite:{}", workdir.path("link.db"))).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    drop(first);
}

/// An administrator ends the session that holds the lock: a second run takes the store over, and the first one stops
/// before its next write.
#[tokio::test]
#[ignore = "real tier"]
async fn a_run_that_lost_its_session_does_not_write_beside_the_next() {
    let (Some(workdir), api) = (Workdir::postgres().await, BlockingApi::start().await) else { return };
    let first = api.harvest(&workdir, "--concurrency 30", 20).await;
    let pid = first.id().unwrap();
    let kill = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'harvest {pid} lease'"
    );
    assert_eq!(workdir.number(&kill).await, 1);
    let report = workdir.run(SECOND, 0).await;
    assert_eq!((&report["users"], &report["users_before"]), (&3.into(), &0.into()));
    let rows = workdir.dump().await;

    api.released.send_replace(10);
    let output = first.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("another run has taken the store over: process "), "{}", text(&output));
    assert_eq!(workdir.dump().await, rows);
}

/// A process that is stopped by SIGSTOP and continued goes on with its work.
#[tokio::test]
#[ignore = "real tier"]
async fn a_run_that_sleeps_keeps_the_store() {
    let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
    let child = api.harvest(&workdir, "--concurrency 30", 20).await;
    signal(&child, "-STOP").await;
    let output = workdir.harvest(SECOND).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    signal(&child, "-CONT").await;
    signal(&child, "-TERM").await;
    api.released.send_replace(10);
    assert_eq!(child.wait_with_output().await.unwrap().status.code(), Some(0));
}
