//! A site of many pages, with faults of every kind that a report names and a server can have.

use std::time::Duration;

use tokio::time::sleep;

use crate::server::{Answer, Server, answer, html, redirect};

/// The number of pages.
pub(crate) const PAGES: u32 = 150;

/// Serves the site; every answer takes some time.
pub(crate) async fn site() -> Server {
    Server::start(async |request| {
        sleep(Duration::from_millis(2)).await;
        respond(request.uri.path())
    })
    .await
}

fn respond(path: &str) -> Answer {
    if let Some(number) = path.strip_prefix("/p").and_then(|number| number.parse::<u32>().ok())
        && number < PAGES
    {
        return html(page(number));
    }
    match path {
        "/old" => redirect("/p1"),
        "/lost" => redirect("/gone-7"),
        "/style.css" => answer(200, "text/css", "a { color: red }"),
        _ => answer(404, "text/plain", "no"),
    }
}

/// A page with links to its children in a tree, to pages before it, to fragments and to faults.
fn page(number: u32) -> String {
    let mut page = format!(
        "<link rel=stylesheet href=style.css><h1 id=top-{number}>{number}</h1><a href='https://other.example/{number}'></a>"
    );
    let children = [2 * number + 1, 2 * number + 2].into_iter().filter(|child| *child < PAGES);
    for child in children.chain([number / 3, (number * 7) % PAGES]) {
        page += &format!("<a href=p{child}#top-{child}>child</a> ");
    }
    if number.is_multiple_of(10) {
        page += &format!("<a href=p{}#missing-{number}>x</a><a href=/gone-{}>y</a>", number / 2, number % 4);
    }
    if number.is_multiple_of(25) {
        page += "<a href=/old#top-1>a</a><a href=/old#no>b</a><a href=/lost>c</a>";
    }
    page
}
