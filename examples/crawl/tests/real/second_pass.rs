//! A run after a complete one asks only for changes.

use std::sync::{Arc, Mutex};

use crate::{
    server::{Answer, Server, bare, html},
    workdir::{Workdir, broken},
};

const FLAGS: &str = "--rate unlimited";

/// A site that changes, and the headers of conditional requests that it saw.
type Pages = Arc<Mutex<Vec<(&'static str, &'static str, &'static str)>>>;

async fn serve(pages: Pages) -> Server {
    Server::start(move |request| {
        let pages = pages.clone();
        async move {
            let pages = pages.lock().unwrap();
            let page = pages.iter().find(|(path, ..)| *path == request.uri.path());
            page.map_or_else(|| bare(404, &[]), |(_, tag, body)| respond(&request, tag, body))
        }
    })
    .await
}

fn respond(request: &hyper::http::request::Parts, tag: &'static str, body: &'static str) -> Answer {
    let (name, condition) =
        if tag.starts_with('"') { ("etag", "if-none-match") } else { ("last-modified", "if-modified-since") };
    if request.headers.get(condition).is_some_and(|value| value == tag) {
        return bare(304, &[]);
    }
    let mut answer = html(body);
    if !tag.is_empty() {
        answer.headers_mut().insert(name, tag.parse().unwrap());
    }
    answer
}

async fn changes(workdir: &Workdir) {
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let pages: Pages = Arc::new(Mutex::new(vec![
        ("/", "\"1\"", "<a href=/same#a><a href=/changed><a href=/plain><a href=/leaves>"),
        ("/same", DATE, "<p id=a><a href=/deep>"),
        ("/deep", "\"d\"", "<a href=/same#gone>"),
        ("/changed", "\"c1\"", "<a href=/only-old>"),
        ("/plain", "", "<p>"),
        ("/only-old", "\"o\"", "<a href=/missing>"),
        ("/leaves", "\"l\"", "<p>"),
    ]));
    let server = serve(pages.clone()).await;
    let report = workdir.run(&server.url("/"), FLAGS, 1).await;
    assert_eq!((&report["pages"], &report["pass"], &report["unchanged"]), (&7.into(), &1.into(), &0.into()));
    let [fragment, missing] = [("fragment", "/same#gone"), ("status", "/missing")];
    let owned = |(kind, link): (&str, &str)| (kind.to_owned(), link.to_owned());
    assert_eq!(broken(&report), [missing, fragment].map(owned));

    // Nothing has changed: the same rows, and no page but the one without a validator is sent again.
    let before = workdir.dump().await;
    let report = workdir.run(&server.url("/"), FLAGS, 1).await;
    assert_eq!((&report["pass"], &report["unchanged"], &report["pages"]), (&2.into(), &6.into(), &7.into()));
    assert_eq!(workdir.dump().await, before);

    for page in pages.lock().unwrap().iter_mut() {
        match page.0 {
            "/changed" => *page = ("/changed", "\"c2\"", "<a href=/new>"),
            "/leaves" => *page = ("/new", "\"n\"", "<p>"),
            _ => {}
        }
    }
    let report = workdir.run(&server.url("/"), FLAGS, 1).await;
    assert_eq!((&report["unchanged"], &report["pages"]), (&3.into(), &6.into()), "{report}");
    assert_eq!(broken(&report), [("status", "/leaves"), fragment].map(owned));
    // It is as if it had never been otherwise.
    let fresh = Workdir::new();
    fresh.run(&server.url("/"), FLAGS, 1).await;
    assert_eq!(workdir.dump().await, fresh.dump().await);
}

#[tokio::test]
#[ignore = "real tier"]
async fn on_sqlite_it_is_as_if_the_site_had_never_been_otherwise() {
    changes(&Workdir::new()).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn on_postgres_it_is_as_if_the_site_had_never_been_otherwise() {
    let Some(workdir) = Workdir::postgres().await else { return };
    changes(&workdir).await;
}
