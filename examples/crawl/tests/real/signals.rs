//! Ctrl-C and SIGTERM in the middle of the work.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use crate::{
    interrupted::signal,
    server::{Server, answer, html},
    workdir::{Workdir, text},
};

/// Returns a site whose pages, but the first, are answered when the sender says so.
async fn blocking() -> (Server, watch::Sender<bool>) {
    let (sender, released) = watch::channel(false);
    let server = Server::start(move |request| {
        let mut released = released.clone();
        async move {
            if request.uri.path() == "/" {
                return html((1..=20).map(|n| format!("<a href={n}>")).collect::<String>());
            }
            let _ = released.wait_for(|is_released| *is_released).await;
            html("")
        }
    })
    .await;
    (server, sender)
}

const FLAGS: &str = "--rate unlimited --no-robots --per-host 3";

#[tokio::test]
#[ignore = "real tier"]
async fn the_first_signal_finishes_what_was_begun_and_begins_nothing() {
    for name in ["-TERM", "-INT"] {
        let ((server, released), workdir) = (blocking().await, Workdir::new());
        let child = workdir.crawl(&server.url("/"), FLAGS).spawn().unwrap();
        server.wait_for(4).await;
        signal(&child, name).await;
        sleep(Duration::from_millis(300)).await;
        released.send_replace(true);
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        let report = workdir.report();
        assert_eq!((&report["ended"], &report["pages"], server.total()), (&"stopped".into(), &4.into(), 4));
        assert_eq!(report["queued"], 17, "{report}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn an_error_that_arrives_after_the_signal_is_an_outcome() {
    let (sender, released) = watch::channel(false);
    let server = Server::start(move |request| {
        let mut released = released.clone();
        async move {
            if request.uri.path() == "/" {
                return html((1..=10).map(|n| format!("<a href={n}>")).collect::<String>());
            }
            let _ = released.wait_for(|is_released| *is_released).await;
            answer(404, "text/plain", "no")
        }
    })
    .await;
    let (workdir, flags) = (Workdir::new(), "--rate unlimited --no-robots --per-host 10");
    let child = workdir.crawl(&server.url("/"), flags).spawn().unwrap();
    server.wait_for(11).await;
    signal(&child, "-TERM").await;
    sleep(Duration::from_millis(300)).await;
    sender.send_replace(true);
    assert_eq!(child.wait_with_output().await.unwrap().status.code(), Some(3));
    assert_eq!(workdir.report()["failed"], 10);
    let report = workdir.run(&server.url("/"), flags, 1).await;
    assert_eq!((&report["failed"], &report["requests"], server.total()), (&10.into(), &0.into(), 11));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_second_signal_and_the_end_of_the_grace_period_abort() {
    for (flags, signals) in [("--grace 1m", 2), ("--grace 300ms", 1)] {
        let ((server, _released), workdir) = (blocking().await, Workdir::new());
        let child = workdir.crawl(&server.url("/"), &format!("{FLAGS} {flags}")).spawn().unwrap();
        server.wait_for(4).await;
        for _ in 0..signals {
            signal(&child, "-TERM").await;
            // A signal within 200 ms is a copy of the first.
            sleep(Duration::from_millis(400)).await;
        }
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(128 + 15), "{}", text(&output));
        let report = workdir.report();
        assert_eq!((&report["ended"], &report["pages"]), (&"aborted".into(), &1.into()));
    }
}
