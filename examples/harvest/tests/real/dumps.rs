//! Dumps of a run: which task waits for what.

use std::{net::TcpListener, process::Stdio, time::Duration};

use reqwest::{Client, Response};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
    time::timeout,
};

use crate::{
    blocking_api::BlockingApi,
    interrupted::signal,
    workdir::{Workdir, text},
};

/// Reads lines of this output up to one that begins so, and returns its rest.
async fn rest_of(output: impl tokio::io::AsyncRead + Unpin, begin: &str) -> String {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(rest) = line.strip_prefix(begin) {
            return rest.to_owned();
        }
    }
    panic!("it ended without {begin:?}")
}

/// Starts a run whose four calls in flight wait for the test, and returns the URL of its dumps as well.
async fn start(workdir: &Workdir, api: &BlockingApi, flags: &str) -> (Child, String) {
    // Three documents, and the second page.
    let flags = format!("--concurrency 4 --inspect 127.0.0.1:0 {flags}");
    let mut child = api.harvest(workdir, &flags, 3).await;
    let url = rest_of(child.stdout.as_mut().unwrap(), "dumps: ").await;
    (child, url)
}

async fn get(url: &str) -> Response {
    Client::new().get(url).send().await.unwrap()
}

/// Stops a run that can end, and waits for its end.
async fn stop(child: Child, api: &BlockingApi) {
    signal(&child, "-TERM").await;
    api.released.send_replace(10);
    let output = timeout(Duration::from_secs(20), child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[tokio::test]
#[ignore = "real tier"]
async fn they_name_what_the_run_waits_for() {
    let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
    let (child, url) = start(&workdir, &api, "").await;
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/debug/evenkeel"), "{url}");
    let page = get(&url).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    assert!(
        page.starts_with("<!doctype html>") && page.contains("concurrency limit &#39;calls in flight&#39;")
    );
    let text = get(&format!("{url}?format=text")).await.text().await.unwrap();
    assert!(text.starts_with("nothing is known to stand still: "), "{text}");
    for part in
        ["concurrency limit 'calls in flight'", "parallel map (", "drain (", "task 'dumps'", "task harvest"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = get(&format!("{url}?format=json")).await.text().await.unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), 0, "{json}");
    let resources = json["resources"].as_array().unwrap();
    let calls = resources.iter().find(|resource| resource["name"] == "calls in flight").unwrap();
    assert_eq!(calls["capacity"], 4, "{json}");
    assert_eq!(get(url.trim_end_matches("/debug/evenkeel")).await.status(), 404);
    stop(child, &api).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_stages_of_a_queue_are_named() {
    let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
    let (child, url) = start(&workdir, &api, "--queue memory").await;
    let text = get(&format!("{url}?format=text")).await.text().await.unwrap();
    for part in ["stage 'read'", "stage 'store'", "source (", "concurrency limit 'calls in flight'"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    stop(child, &api).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_signal_prints_one() {
    let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
    let (mut child, _) = start(&workdir, &api, "").await;
    signal(&child, "-USR1").await;
    let printed = rest_of(child.stderr.as_mut().unwrap(), "concurrency limit 'calls in flight': ").await;
    assert!(printed.contains(" of 4 in use"), "{printed}");
    stop(child, &api).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn an_address_that_cannot_be_had_is_told_before_the_work() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flags, reasons) in [
        (format!("--inspect {taken}"), ["harvest: cannot serve dumps at ", "in use"]),
        (
            "--inspect 192.0.2.1:0 --inspect-public".to_owned(),
            ["cannot serve dumps at 192.0.2.1:0: ", "assign"],
        ),
        ("--inspect 0.0.0.0:0".to_owned(), ["0.0.0.0:0 is not a loopback address", "--inspect-public"]),
        ("--inspect nowhere".to_owned(), ["--inspect", "127.0.0.1:0"]),
    ] {
        let output = Workdir::new()
            .harvest(&format!("--users 1 {flags}"))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let line = text(&output);
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
        assert!(reasons.iter().all(|reason| line.contains(reason)), "{line}");
    }
}
