//! The live page of a run: its server, and how the page looks in a browser.

use std::{process::Output, time::Duration};

use reqwest::{Client, Response};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::Child,
    time::timeout,
};

use crate::{
    blocking_api::BlockingApi,
    browser::Browser,
    server::{Server, answer, document, page},
    workdir::{Workdir, text},
};

/// A run whose documents wait for the test, and its page.
struct Run {
    workdir: Workdir,
    api: BlockingApi,
    child: Child,
    url: String,
}

impl Run {
    /// Starts a run that has requested three documents.
    async fn start() -> Self {
        let (workdir, api) = (Workdir::new(), BlockingApi::start().await);
        let mut child = api.harvest(&workdir, "--concurrency 4 --page 127.0.0.1:0", 3).await;
        let url = url_of(&mut child).await;
        Self { workdir, api, child, url }
    }

    async fn get(&self, path: &str) -> Response {
        Client::new().get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn state(&self) -> Value {
        serde_json::from_slice(&self.get("state.json").await.bytes().await.unwrap()).unwrap()
    }

    /// Stops the run and waits for its end.
    async fn stop(self) -> Output {
        crate::interrupted::signal(&self.child, "-TERM").await;
        self.api.released.send_replace(10);
        timeout(Duration::from_secs(20), self.child.wait_with_output()).await.unwrap().unwrap()
    }
}

/// Returns the URL that the program prints.
async fn url_of(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(url) = line.strip_prefix("live page: ") {
            return url.to_owned();
        }
    }
    panic!("it ended without a page")
}

/// Reads a stream of events up to this text.
async fn read_until(events: &mut Response, end: &str) -> String {
    let mut read = String::new();
    while !read.contains(end) {
        let piece = timeout(Duration::from_secs(10), events.chunk()).await.unwrap().unwrap();
        read += &String::from_utf8_lossy(&piece.expect("there are more events"));
    }
    read
}

#[tokio::test]
#[ignore = "real tier"]
async fn it_shows_the_stages_of_the_run_and_follows_it_to_its_end() {
    let run = Run::start().await;
    assert!(run.url.starts_with("http://127.0.0.1:"), "{}", run.url);
    let mut events = run.get("events").await;
    let first = read_until(&mut events, "in flight").await;
    assert!(first.starts_with("event: state\ndata: <h1>0 of "), "{first}");

    read_until(&mut events, "<h1>0 of 10 users stored</h1>").await;
    let state = run.state().await;
    let names: Vec<_> =
        state["sums"]["stages"].as_array().unwrap().iter().map(|stage| &stage["name"]).collect();
    assert_eq!(names, ["pages", "documents", "store"]);
    assert_eq!(state["store"], run.workdir.store());
    assert_eq!(state["workers"].as_array().unwrap().len(), 1, "{state}");
    let html = run.get("").await.text().await.unwrap();
    for part in ["<h2>Stages</h2>", "documents wait for a call to end", "<td class=\"head\"", "this run"] {
        assert!(html.contains(part), "{part}: {html}");
    }

    run.api.released.send_replace(1);
    read_until(&mut events, "<h1>1 of 10 users stored</h1>").await;
    let output = run.stop().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let rest = read_until(&mut events, "event: end\n").await;
    assert!(rest.contains("It was asked to stop, and finished what it had begun."), "{rest}");
    assert_eq!(events.chunk().await.unwrap(), None);
}

#[tokio::test]
#[ignore = "real tier"]
async fn readers_that_take_and_send_nothing_do_not_keep_the_run() {
    let run = Run::start().await;
    let address = run.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(TcpStream::connect(&address).await.unwrap());
    }
    let stuck = run.get("events").await;
    let output = run.stop().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    drop((stuck, readers));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_password_is_not_shown_and_texts_of_others_are_not_read_as_html() {
    let server = Server::start(async |path: String| match path.as_str() {
        "/users.json" => page(1..=2, Some("users-2.json")),
        "/users-2.json" => std::future::pending().await,
        "/users/1/prefs.json" => answer(200, "text/<b>html</b>&", ""),
        path => document(path),
    });
    let (server, workdir) = (server.await, Workdir::new());
    let base = server.base.replace("http://", "http://somebody:secret@");
    let mut child = workdir.harvest(&format!("--url {base} --page 127.0.0.1:0")).spawn().unwrap();
    let url = url_of(&mut child).await;
    let mut events = Client::new().get(format!("{url}events")).send().await.unwrap();
    let seen = read_until(&mut events, "the content type is").await;
    assert!(seen.contains("the content type is text/&lt;b&gt;html&lt;/b&gt;&amp;, not JSON"), "{seen}");
    let state = Client::new().get(format!("{url}state.json")).send().await.unwrap().text().await.unwrap();
    for shown in [&seen, &state] {
        assert!(shown.contains("@127.0.0.1:") && !shown.contains("secret"), "{shown}");
    }
    child.kill().await.unwrap();
}

#[tokio::test]
#[ignore = "real tier"]
async fn an_address_that_cannot_be_had_is_told_before_the_work() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (address, reason) in [(&*address, "in use"), ("192.0.2.1:0", "annot assign")] {
        let workdir = Workdir::new();
        let output = workdir.harvest(&format!("--users 1 --page {address}")).output().await.unwrap();
        let line = text(&output);
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
        let start = format!("harvest: cannot show a page at {address}: ");
        assert!(line.starts_with(&start) && line.contains(reason), "{line}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_browser_shows_it_at_each_width_and_follows_it() {
    let Some(mut browser) = Browser::start().await else { return };
    let run = Run::start().await;
    browser.open(&run.url, 1400).await;
    browser.until("document.querySelector('h1').textContent", "0 of 10 users stored").await;
    browser.evaluate("window.stays = 'as it was'").await;
    run.api.released.send_replace(3);
    browser.until("document.querySelector('h1').textContent", "3 of 10 users stored").await;
    assert_eq!(browser.evaluate("window.stays").await, "as it was", "it was not loaded again");
    assert_eq!(browser.evaluate("document.title").await, "3 of 10 users stored");
    for width in [1400, 390] {
        for scheme in ["light", "dark"] {
            browser.resize(width, scheme).await;
            browser.screenshot(&format!("live-{width}-{scheme}")).await;
            browser.assert_fits().await;
        }
    }
    let output = run.stop().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let note = "document.querySelector('#connection').textContent";
    browser.until(note, "The run has ended, and the server of this page with it.").await;
    let last = browser.evaluate("document.querySelector('main p').textContent").await;
    assert!(last.as_str().unwrap().starts_with("It was asked to stop"), "{last}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "real tier"]
async fn without_scripts_the_page_is_whole_and_loads_itself_again() {
    let Some(mut browser) = Browser::start().await else { return };
    browser.without_scripts().await;
    let run = Run::start().await;
    browser.open(&run.url, 390).await;
    // Scripts of the protocol run in any case.
    browser.until("document.querySelector('h1').textContent", "0 of 10 users stored").await;
    browser.screenshot("live-390-without-scripts").await;
    run.api.released.send_replace(3);
    browser.until("document.querySelector('h1').textContent", "3 of 10 users stored").await;
    run.stop().await;
}
