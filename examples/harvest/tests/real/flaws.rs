//! APIs with the flaws of real ones.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use serde_json::{Value, json};

use crate::{
    server::{Answer, Server, answer, bare, document, json, page},
    workdir::{Workdir, text},
};

async fn flawed(path: String) -> Answer {
    match path.as_str() {
        "/api/users.json?key=1" => page(1..=3, Some("users-2.json?key=1")),
        "/api/users-2.json?key=1" => page(4..=6, None),
        "/api/users/1/prefs.json?key=1" => answer(404, "text/html", "<html>"),
        "/api/users/2/orders.json?key=1" => answer(200, "application/json", r#"{"user": 2, "orders": ["#),
        "/api/users/3/prefs.json?key=1" => answer(200, "text/html; charset=utf-8", "<html>"),
        "/api/users/4/orders.json?key=1" => json(&json!({ "user": 5, "orders": [] })),
        path => document(path.trim_start_matches("/api").trim_end_matches("?key=1")),
    }
}

pub(crate) fn failures(report: &Value) -> Vec<(&str, &str)> {
    let failures = report["failures"].as_array().unwrap().iter();
    let mut failures: Vec<_> = failures
        .map(|failure| (failure["url"].as_str().unwrap(), failure["reason"].as_str().unwrap()))
        .collect();
    failures.sort_unstable();
    failures
}

#[tokio::test]
#[ignore = "real tier"]
async fn flawed_documents_are_listed_and_the_rest_is_stored() {
    let (workdir, server) = (Workdir::new(), Server::start(flawed).await);
    let base = &server.base;
    let flags = format!("--url {base}/api/?key=1");
    let report = workdir.run(&flags, 0).await;
    assert_eq!(
        failures(&report),
        [
            (&*format!("{base}/api/users/1/prefs.json?key=1"), "404 Not Found"),
            (
                &*format!("{base}/api/users/2/orders.json?key=1"),
                "not valid JSON: EOF while parsing a list at line 1 column 23"
            ),
            (
                &*format!("{base}/api/users/3/prefs.json?key=1"),
                "the content type is text/html; charset=utf-8, not JSON"
            ),
            (&*format!("{base}/api/users/4/orders.json?key=1"), "it is of user 5"),
        ]
    );
    assert_eq!((&report["users"], &report["orders"], &report["retries"]), (&6.into(), &4.into(), &0.into()));
    assert_eq!(
        workdir.number("SELECT count(*) FROM users WHERE theme IS NULL AND newsletter IS NULL").await,
        2
    );
    assert_eq!(workdir.number("SELECT count(*) FROM orders").await, 4);

    let dump = workdir.dump().await;
    workdir.run(&format!("{flags} --strict"), 1).await;
    assert_eq!(workdir.dump().await, dump);
}

#[tokio::test]
#[ignore = "real tier"]
async fn failures_are_named_below_the_table() {
    let (workdir, server) = (Workdir::new(), Server::start(flawed).await);
    let output = workdir.harvest(&format!("--url {}/api?key=1", server.base)).output().await.unwrap();
    assert!(text(&output).contains("failed: "), "{}", text(&output));
    assert!(text(&output).contains("/api/users/1/prefs.json?key=1: 404 Not Found"), "{}", text(&output));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_later_page_that_fails_is_the_last() {
    for (second, reason, users) in [
        (answer(200, "text/html", "<html>"), "the content type is text/html, not JSON", 5),
        (answer(200, "application/json", r#"{"items": 7}"#), "its `items`: not a list", 5),
        (answer(200, "application/json", r#"{"error": {"code": 500}}"#), "it has no `items`", 5),
        (answer(206, "application/json", r#"{"items": []}"#), "206 Partial Content", 5),
        (bare(204, &[]), "204 No Content", 5),
        (
            bare(200, &[("content-type", "application/json"), ("content-encoding", "gzip")]),
            "the content encoding is gzip, which was not asked for",
            5,
        ),
    ] {
        let workdir = Workdir::new();
        let server = Server::start(move |path| {
            let second = second.clone();
            async move {
                match path.as_str() {
                    "/users.json" => page(1..=5, Some("users-2.json")),
                    "/users-2.json" => second,
                    path => document(path),
                }
            }
        });
        let server = server.await;
        let report = workdir.run(&format!("--url {}", server.base), 0).await;
        let [(url, told)] = failures(&report)[..] else { panic!("{report}") };
        assert!(url == format!("{}/users-2.json", server.base) && told.starts_with(reason), "{told}");
        assert_eq!((&report["users"], &report["orders"]), (&users.into(), &users.into()));
        assert_eq!((&report["unfinished"], &report["ended"]), (&0.into(), &"complete".into()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn pages_in_a_circle_end_and_are_listed() {
    let workdir = Workdir::new();
    let server = Server::start(async |path: String| match path.as_str() {
        "/users.json" => page(1..=2, Some("users-2.json")),
        "/users-2.json" => page(3..=4, Some("users-3.json")),
        "/users-3.json" => page(5..=6, Some("users-2.json")),
        path => document(path),
    });
    let server = server.await;
    let report = workdir.run(&format!("--url {}", server.base), 0).await;
    assert_eq!(workdir.number("SELECT count(*) FROM users").await, 6);
    assert_eq!(failures(&report).len(), 1);
    assert!(failures(&report)[0].1.contains("leads back"), "{report}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_server_that_is_down_is_not_overrun_with_retries() {
    let workdir = Workdir::new();
    let server = Server::start(async |path: String| match path.as_str() {
        "/users.json" => page(1..=200, None),
        _ => answer(503, "text/plain", "down"),
    });
    let server = server.await;
    let report = workdir.run(&format!("--url {} --concurrency 4", server.base), 0).await;
    let number = |name: &str| report[name].as_u64().unwrap();
    // The reserve of 50, a quarter of the calls, and one each second; without a budget 1600.
    let most = 50 + 401 / 4 + report["seconds"].as_f64().unwrap() as u64 + 1;
    assert!(number("retries") <= most, "{report}");
    assert_eq!(number("calls"), 401 + number("retries"));
    assert!(number("refused_by_budget") > 200, "{report}");
    assert_eq!((failures(&report).len(), number("users")), (400, 200));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_server_that_stays_busy_is_given_up_with_the_reason() {
    let workdir = Workdir::new();
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let server = Server::start(move |path| {
        let count = count.clone();
        async move {
            match path.as_str() {
                "/users.json" => page(1..=2, None),
                "/users/1/prefs.json" => {
                    count.fetch_add(1, Relaxed);
                    answer(503, "text/plain", "busy")
                }
                path => document(path),
            }
        }
    });
    let server = server.await;
    let report = workdir.run(&format!("--url {}", server.base), 0).await;
    assert_eq!(asked.load(Relaxed), 5);
    assert_eq!(report["retries_by_reason"], json!({ "503 Service Unavailable": 4 }));
    let url = format!("{}/users/1/prefs.json", server.base);
    assert_eq!(failures(&report), [(&*url, "503 Service Unavailable, at attempt 5")]);
}
