//! Dumps of a crawl: which task waits for what.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::watch,
    time::timeout,
};

use crate::{
    interrupted::signal,
    server::{Server, html},
    workdir::{Workdir, text},
};

async fn get(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

#[tokio::test]
#[ignore = "real tier"]
async fn they_name_what_the_crawl_waits_for() {
    let (sender, released) = watch::channel(false);
    let server = Server::start(move |request| {
        let mut released = released.clone();
        async move {
            if request.uri.path() != "/" {
                let _ = released.wait_for(|is_released| *is_released).await;
            }
            html("<a href=a>")
        }
    });
    let (server, workdir) = (server.await, Workdir::new());
    let flags = "--rate unlimited --no-robots --inspect 127.0.0.1:0";
    let mut child = workdir.crawl(&server.url("/"), flags).spawn().unwrap();
    server.wait_for(2).await;
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let url = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(url) = line.strip_prefix("dumps: ") {
            break url.to_owned();
        }
    };
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/debug/evenkeel"), "{url}");
    assert!(get(&url).await.starts_with("<!doctype html>"));
    let dump = get(&format!("{url}?format=text")).await;
    for part in
        ["nothing is known to stand still: ", "pool 'store'", "parallel map (", "drain (", "task 'crawl'"]
    {
        assert!(dump.contains(part), "{part}: {dump}");
    }
    let json: Value = serde_json::from_str(&get(&format!("{url}?format=json")).await).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), 0, "{json}");
    signal(&child, "-TERM").await;
    sender.send_replace(true);
    let output = timeout(Duration::from_secs(20), child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.code().is_some(), "{}", text(&output));
}

#[tokio::test]
#[ignore = "real tier"]
async fn an_address_that_cannot_be_had_is_told_before_the_work() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let flags = format!("--inspect {}", taken.local_addr().unwrap());
    for (flags, part) in [(&*flags, "in use"), ("--inspect 0.0.0.0:0", "--inspect-public")] {
        let output = Workdir::new().crawl("http://127.0.0.1:9/", flags).output().await.unwrap();
        let line = text(&output);
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
        assert!(line.contains(part), "{line}");
    }
}
