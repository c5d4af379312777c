//! The rate, the pauses and the retries, as a server sees them and as the log has them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    interrupted::signal,
    server::{Server, answer, bare, html},
    site::site,
    workdir::{Workdir, broken},
};

/// Checks that any two requests of the log are at least the interval apart.
fn check_distance(log: &[(u64, String)], interval: Duration) {
    for pair in log.windows(2) {
        let distance = Duration::from_micros(pair[1].0 - pair[0].0);
        // The log has whole microseconds.
        assert!(distance + Duration::from_micros(1) >= interval, "{distance:?} between {pair:?}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn no_window_of_the_log_has_more_than_the_rate() {
    let server = site().await;
    let workdir = Workdir::new();
    workdir.run(&server.url("/p0"), "--rate 200 --per-host 8", 1).await;
    let log = workdir.log();
    assert_eq!(log.len() as u32, server.total());
    check_distance(&log, Duration::from_millis(5));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_delay_of_a_robots_txt_is_kept() {
    let server = Server::of(vec![
        ("/robots.txt", answer(200, "text/plain", "User-agent: evenkeel-crawl\nCrawl-delay: 0.2\n")),
        ("/", html("<a href=a><a href=b>")),
        ("/a", html("")),
        ("/b", html("")),
    ])
    .await;
    let workdir = Workdir::new();
    workdir.run(&server.url("/"), "--rate unlimited", 0).await;
    check_distance(&workdir.log(), Duration::from_millis(200));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_server_that_asks_for_a_pause_gets_it_from_all_requests() {
    let refused = Arc::new(std::sync::Mutex::new(None::<Instant>));
    let again = refused.clone();
    let server = Server::start(move |request| {
        let refused = again.clone();
        async move {
            let mut refused = refused.lock().unwrap();
            match (request.uri.path(), *refused) {
                ("/", _) => html("<a href=1><a href=2><a href=3>"),
                ("/1", None) => {
                    *refused = Some(Instant::now());
                    bare(429, &[("retry-after", "1")])
                }
                ("/robots.txt", _) => bare(404, &[]),
                (_, Some(at)) if at.elapsed() < Duration::from_millis(900) => bare(403, &[]),
                _ => html(""),
            }
        }
    })
    .await;
    let report = Workdir::new().run(&server.url("/"), "--rate unlimited --per-host 1", 0).await;
    assert_eq!((&report["pages"], &report["retries"]), (&4.into(), &1.into()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_server_that_fails_for_a_moment_is_asked_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let server = Server::start(move |request| {
        let calls = calls.clone();
        async move {
            match request.uri.path() {
                "/robots.txt" => bare(404, &[]),
                "/" if calls.fetch_add(1, Relaxed) < 2 => bare(503, &[]),
                "/" => html("<a href=/down>"),
                _ => bare(502, &[]),
            }
        }
    })
    .await;
    let report = Workdir::new().run(&server.url("/"), "--rate unlimited", 1).await;
    assert_eq!(broken(&report), [("status".to_owned(), "/down".to_owned())]);
    assert_eq!(report["broken"][0]["detail"], "502 Bad Gateway, at attempt 4");
    assert_eq!((server.count("/"), server.count("/down")), (3, 4));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_distance_is_kept_over_a_restart() {
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = times.clone();
    let server =
        Server::start(move |request| {
            seen.lock().unwrap().push(Instant::now());
            async move {
                if request.uri.path() == "/" { html("<a href=1><a href=2><a href=3>") } else { html("") }
            }
        })
        .await;
    let workdir = Workdir::new();
    let child = workdir.crawl(&server.url("/"), "--rate 1 --no-robots").spawn().unwrap();
    server.wait_for(2).await;
    signal(&child, "-TERM").await;
    assert_eq!(child.wait_with_output().await.unwrap().status.code(), Some(3));
    let report = workdir.run(&server.url("/"), "--rate 1 --no-robots", 0).await;
    assert_eq!(report["pages"], 4);
    let times = times.lock().unwrap();
    // A request takes a little longer to arrive than another one.
    let is_apart = |pair: &[Instant]| pair[1] - pair[0] > Duration::from_millis(900);
    assert!(times.len() == 4 && times.windows(2).all(is_apart), "{times:?}");
}
