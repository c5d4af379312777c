//! How a robots.txt is asked for, and what follows from the answer.

use serde_json::json;

use crate::{
    server::{Server, answer, bare, html, redirect},
    workdir::{Workdir, broken},
};

const FLAGS: &str = "--rate unlimited --timeout 5s";

/// Returns a server with three pages, and this robots.txt.
async fn site(robots: crate::server::Answer) -> Server {
    Server::of(vec![
        ("/robots.txt", robots),
        ("/", html("<a href=/open><a href=/closed/1>")),
        ("/open", html("")),
        ("/closed/1", html("")),
    ])
    .await
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_path_that_is_forbidden_is_not_asked_for_and_not_broken() {
    let rules =
        "User-agent: *\nDisallow: /\n\nUser-agent: Evenkeel-Crawl\nCrawl-delay: 0.01\nDisallow: /closed/\n";
    let server = site(answer(200, "text/plain", rules)).await;
    let report = Workdir::new().run(&server.url("/"), FLAGS, 0).await;
    assert_eq!((&report["pages"], &report["disallowed"]), (&2.into(), &1.into()), "{report}");
    assert_eq!((server.count("/closed/1"), server.count("/robots.txt")), (0, 1));
    let all = Workdir::new().run(&server.url("/"), &format!("{FLAGS} --no-robots"), 0).await;
    assert_eq!((&all["pages"], server.count("/robots.txt")), (&3.into(), 1));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_4xx_allows_everything() {
    for status in [400, 401, 403, 404, 410, 451] {
        let server = site(bare(status, &[])).await;
        assert_eq!(Workdir::new().run(&server.url("/"), FLAGS, 0).await["pages"], 3, "{status}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_5xx_allows_nothing() {
    let server = site(bare(501, &[])).await;
    let report = Workdir::new().run(&server.url("/"), FLAGS, 1).await;
    assert_eq!(broken(&report), [("robots".to_owned(), "/".to_owned())]);
    assert_eq!(report["broken"][0]["detail"], json!("robots.txt: 501 Not Implemented"));
    assert_eq!(server.total(), 1);
}

#[tokio::test]
#[ignore = "real tier"]
async fn five_redirects_are_followed_across_hosts_and_count_for_the_first_one() {
    let rules = answer(200, "text/plain", "User-agent: *\nDisallow: /closed/\n");
    let last = Server::of(vec![("/rules", rules), ("/robots.txt", bare(500, &[]))]).await;
    let chain = |n: u32| {
        let to = last.url("/rules");
        move |request: hyper::http::request::Parts| {
            let to = to.clone();
            async move {
                let path = request.uri.path().to_owned();
                let hop = path.strip_prefix("/r").and_then(|hop| hop.parse::<u32>().ok()).unwrap_or(1);
                match path.as_str() {
                    "/" => html("<a href=/closed/1>"),
                    "/closed/1" => html(""),
                    _ if hop < n => redirect(&format!("/r{}", hop + 1)),
                    _ => redirect(&to),
                }
            }
        }
    };
    for (redirects, disallowed) in [(1, 1), (5, 1), (6, 0)] {
        let server = Server::start(chain(redirects)).await;
        let report = Workdir::new().run(&server.url("/"), FLAGS, 0).await;
        assert_eq!(report["disallowed"], disallowed, "{redirects} redirects: {report}");
    }
    assert_eq!(last.count("/robots.txt"), 0);
}

#[tokio::test]
#[ignore = "real tier"]
async fn each_port_has_its_own_rules() {
    let other = site(answer(200, "text/plain", "User-agent: *\nDisallow: /\n")).await;
    let page = format!("<a href={}/open>", other.base);
    let server = Server::start(move |request| {
        let page = page.clone();
        async move { if request.uri.path() == "/" { html(page) } else { bare(404, &[]) } }
    })
    .await;
    let host = other.base.trim_start_matches("http://");
    let report = Workdir::new().run(&server.url("/"), &format!("{FLAGS} --host {host}"), 0).await;
    assert_eq!((&report["pages"], &report["disallowed"]), (&1.into(), &1.into()));
    assert_eq!((server.count("/robots.txt"), other.count("/robots.txt")), (1, 1));
}
