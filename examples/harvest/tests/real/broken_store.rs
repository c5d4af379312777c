//! A database that stops accepting writes. It takes half a minute, so its name comes early: tests begin in this order.

use rusqlite::Connection;

use crate::{blocking_api::BlockingApi, workdir::Workdir};

#[tokio::test]
#[ignore = "real tier"]
async fn a_store_that_breaks_ends_the_run_with_a_report() {
    let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
    let child = api.harvest(&workdir, "--concurrency 30", 20).await;
    let database = Connection::open(workdir.path("store.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    api.released.send_replace(10);

    // The program waits a second for the other writer at each attempt, until they or its time are used up.
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("harvest: cannot store a batch: database is locked"), "{stderr}");
    let report = workdir.report();
    assert_eq!((&report["ended"], &report["users"]), (&"aborted".into(), &0.into()));
    assert_eq!(report["unfinished"], 10);
}
