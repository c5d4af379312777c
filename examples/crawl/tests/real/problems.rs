//! Every kind of problem is in the report, with the pages that link to it.

use std::{fs, time::Duration};

use http_body_util::Full;
use hyper::Response;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    server::{Server, answer, bare, html, redirect},
    workdir::{Workdir, broken, text},
};

const FLAGS: &str = "--rate unlimited --timeout 300ms --max-body 1000";

#[tokio::test]
#[ignore = "real tier"]
async fn each_kind_of_problem_is_told_by_its_target() {
    let server = Server::start(async |request| match request.uri.path() {
        "/" => html(
            "<p id=here><a href=#here><a href=#gone><a href=/404><a href=/slow><a href=/large><a href=/page#no>\
             <a href=/page#yes><a href=/one><a href=/circle><a href=/to-404><a href=/img.png#x>\
             <a href=https://other.example/><script src=/missing.js></script>",
        ),
        "/page" => html("<a name=yes href=/404>"),
        "/slow" => {
            sleep(Duration::from_secs(60)).await;
            html("")
        }
        "/large" => html("x".repeat(1001)),
        "/one" => redirect("/two"),
        "/two" => redirect("/three"),
        "/three" => redirect("/page"),
        "/circle" => redirect("/elcric"),
        "/elcric" => redirect("/circle"),
        "/to-404" => redirect("/404"),
        "/img.png" => answer(200, "image/png", "png"),
        "/robots.txt" => bare(404, &[]),
        path => answer(if path == "/404" { 404 } else { 410 }, "text/plain", "no"),
    })
    .await;
    let workdir = Workdir::new();
    let report = workdir.run(&server.url("/"), &format!("{FLAGS} --max-redirects 2"), 1).await;
    let right = [
        ("status", "/404"),
        ("status", "/missing.js"),
        ("fragment", "/#gone"),
        ("fragment", "/page#no"),
        ("redirect", "/circle"),
        ("redirect", "/elcric"),
        ("redirect", "/one"),
        ("redirect", "/to-404"),
        ("timeout", "/slow"),
        ("too large", "/large"),
    ];
    assert_eq!(broken(&report), right.map(|(kind, link)| (kind.to_owned(), link.to_owned())), "{report:#}");
    let pages_of = |link: &str| {
        let found =
            report["broken"].as_array().unwrap().iter().find(|found| found["url"] == server.url(link));
        found.unwrap()["pages"].clone()
    };
    assert_eq!(pages_of("/404"), json!([server.url("/"), server.url("/page"), server.url("/to-404")]));
    // Each URL was asked for once, but the slow one, which was tried again.
    for (path, count) in server.requests() {
        assert_eq!(count, if path == "/slow" { 4 } else { 1 }, "{path}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_host_without_tls_or_without_a_server_is_told() {
    let plain = Server::of(vec![]).await;
    let port = plain.base.rsplit(':').next().unwrap();
    let page = format!("<a href=https://127.0.0.1:{port}/x><a href=http://127.0.0.1:1/>");
    let server = Server::start(move |request| {
        let page = page.clone();
        async move { if request.uri.path() == "/" { html(page) } else { bare(404, &[]) } }
    })
    .await;
    let workdir = Workdir::new();
    let hosts = format!("--host 127.0.0.1:{port} --host 127.0.0.1:1 --no-robots {FLAGS}");
    let report = workdir.run(&server.url("/"), &hosts, 1).await;
    let right = [("tls", "/x"), ("unreachable", "/")];
    assert_eq!(broken(&report), right.map(|(kind, link)| (kind.to_owned(), link.to_owned())), "{report:#}");
    // A handshake that fails is not tried again.
    assert!(!report["broken"][0]["detail"].as_str().unwrap().contains("attempt"), "{report:#}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_fragment_goes_with_a_redirect_and_one_of_its_own_replaces_it() {
    let server = Server::of(vec![
        ("/", html("<a href=old#a><a href=old#no><a href=named#no><a href=bad#a>")),
        ("/old", redirect("/page")),
        ("/named", redirect("/page#a")),
        ("/bad", redirect("/page#none")),
        ("/page", html("<p id=a>")),
    ])
    .await;
    let report = Workdir::new().run(&server.url("/"), FLAGS, 1).await;
    let right = ["/bad#a", "/old#no", "/page#none"].map(|link| ("fragment".to_owned(), link.to_owned()));
    assert_eq!(broken(&report), right, "{report:#}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn what_matches_a_pattern_is_not_reported() {
    let server = Server::of(vec![
        ("/", html("<a href=src/a.html#12-34><a href=src/a.html#x><a href=old/1>")),
        ("/src/a.html", html("")),
    ])
    .await;
    let workdir = Workdir::new();
    let ignore = r"--ignore /src/.*#[0-9]+(-[0-9]+)?$ --ignore /old/ --rate unlimited";
    let report = workdir.run(&server.url("/"), ignore, 1).await;
    assert_eq!(broken(&report), [("fragment".to_owned(), "/src/a.html#x".to_owned())]);
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_reports_say_the_same() {
    let server = Server::of(vec![("/", html("<a href='/x?a=1&b=<i>'>"))]).await;
    let workdir = Workdir::new();
    let page = workdir.path("report.html");
    let output =
        workdir.crawl(&server.url("/"), &format!("--rate unlimited --report {page}")).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("status: 1") && text(&output).contains("404 Not Found"),
        "{}",
        text(&output)
    );
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("/x?a=1&amp;b=%3Ci%3E") && page.contains("404 Not Found") && !page.contains("<i>"));
    assert_eq!(broken(&workdir.report()), [("status".to_owned(), "/x?a=1&b=%3Ci%3E".to_owned())]);
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_compressed_page_is_read_and_its_size_is_that_of_the_page() {
    let zipped = |page: &[u8]| {
        let answer =
            Response::builder().header("content-type", "text/html").header("content-encoding", "gzip");
        answer.body(Full::from(stored_gzip(page))).unwrap()
    };
    let server = Server::of(vec![
        ("/", zipped(b"<a href=/b><a href=/large>")),
        ("/b", html("")),
        ("/large", zipped("large".repeat(300).as_bytes())),
    ])
    .await;
    let report = Workdir::new().run(&server.url("/"), FLAGS, 1).await;
    assert_eq!(broken(&report), [("too large".to_owned(), "/large".to_owned())]);
    assert_eq!(report["pages"], 2);
}

/// Returns a gzip file whose content is stored as it is.
fn stored_gzip(content: &[u8]) -> Vec<u8> {
    let crc = content.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let size = content.len() as u16;
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    file.extend(size.to_le_bytes());
    file.extend((!size).to_le_bytes());
    file.extend(content);
    file.extend((!crc).to_le_bytes());
    file.extend(u32::from(size).to_le_bytes());
    file
}
