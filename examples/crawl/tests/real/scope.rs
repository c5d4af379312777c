//! Which URLs are followed, which are checked, and which are left alone.

use crate::{
    server::{Server, html},
    workdir::Workdir,
};

const FLAGS: &str = "--rate unlimited --no-robots";

#[tokio::test]
#[ignore = "real tier"]
async fn a_prefix_bounds_what_is_followed_and_not_what_is_checked() {
    let server = Server::of(vec![
        ("/start", html("<a href=/std/>")),
        ("/std/", html("<a href=/std/a><a href=/book/#x>")),
        ("/std/a", html("")),
        ("/book/", html("<p id=x><a href=/book/2>")),
    ])
    .await;
    let report = Workdir::new().run(&server.url("/start"), &format!("{FLAGS} --prefix /std/"), 0).await;
    assert_eq!((&report["pages"], &report["checked"], server.total()), (&3.into(), &1.into(), 4));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_depth_is_that_of_the_shortest_way() {
    // The way over /slow is shorter, and /x is found later on it.
    let server = Server::start(async |request| {
        let page = match request.uri.path() {
            "/" => "<a href=/1><a href=/slow>",
            "/1" => "<a href=/2>",
            "/2" => "<a href=/x>",
            "/slow" => {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                "<a href=/x>"
            }
            "/x" => "<a href=/y>",
            _ => "",
        };
        html(page)
    })
    .await;
    for (depth, urls) in [(0, 1), (1, 3), (2, 5), (3, 6)] {
        let report = Workdir::new().run(&server.url("/"), &format!("{FLAGS} --depth {depth}"), 0).await;
        assert_eq!(report["urls"], urls, "{depth}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn other_hosts_are_asked_only_if_they_are_named() {
    let other = Server::of(vec![("/", html("<a href=/1>")), ("/1", html(""))]).await;
    let page = format!("<a href={}/><a href=mailto:a@b.example><a href=javascript:x()>", other.base);
    let server = Server::start(move |_| std::future::ready(html(page.clone()))).await;
    let report = Workdir::new().run(&server.url("/"), FLAGS, 0).await;
    assert_eq!((&report["external"], other.total()), (&1.into(), 0));
    let host = other.base.trim_start_matches("http://");
    let report = Workdir::new().run(&server.url("/"), &format!("{FLAGS} --host {host}"), 0).await;
    assert_eq!((&report["external"], &report["pages"], other.total()), (&0.into(), &3.into(), 2));
}
