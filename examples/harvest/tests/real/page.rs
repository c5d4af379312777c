//! The page that shows a run.

use std::fs;

use crate::{
    server::{Server, answer, document, page},
    workdir::{Workdir, text},
};

/// Runs the program, and returns the page.
async fn shown(flags: &str) -> String {
    let workdir = Workdir::new();
    let path = workdir.path("report.html");
    let output = workdir.harvest(flags).args(["--report", &path]).output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    fs::read_to_string(path).unwrap()
}

/// The page loads nothing and runs no scripts.
fn assert_self_contained(page: &str) {
    for foreign in
        ["<script", "<link", "<img", "<iframe", "@import", "url(", "href=", "src=", "onload", "onclick"]
    {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(!page.contains("NaN") && !page.contains("inf"), "a number is none");
}

#[tokio::test]
#[ignore = "real tier"]
async fn it_shows_calls_and_retries_and_needs_nothing_else() {
    let page = shown("--users 60 --page-size 7 --latency 5 --concurrency 20 --seed 3").await;
    assert_self_contained(&page);
    for part in ["Every call", "Rate", "What documents waited for", "Latency", "Failures"] {
        assert!(page.contains(&format!("<h2>{part}</h2>")), "{part}");
    }
    for class in ["answer", "failed", "rest", "users"] {
        assert!(page.contains(&format!("<path class=\"{class}\" d=\"M")), "{class}");
    }
    assert!(page.contains("<h1>60 users and "), "{page}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_run_of_many_calls_is_a_page_of_the_same_size() {
    let page = shown("--users 10000 --page-size 1000 --latency 1 --concurrency 300 --faults none").await;
    assert_self_contained(&page);
    assert!(page.len() <= 300_000, "{} bytes", page.len());
    assert!(page.contains("<h1>10000 users and "));
}

#[tokio::test]
#[ignore = "real tier"]
async fn texts_of_others_are_not_read_as_html() {
    let server = Server::start(async |path: String| match path.as_str() {
        "/users.json" => page(1..=2, None),
        "/users/1/prefs.json" => answer(200, "text/<b>html</b>&", ""),
        path => document(path),
    });
    let server = server.await;
    let page = shown(&format!("--url {}", server.base)).await;
    assert_self_contained(&page);
    assert!(page.contains("the content type is text/&lt;b&gt;html&lt;/b&gt;&amp;, not JSON"), "{page}");
}
