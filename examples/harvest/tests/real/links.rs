//! Last pages, and links and redirects to other hosts.

use std::sync::{Arc, Mutex};

use crate::{
    flaws::failures,
    server::{Answer, Server, bare, document, page},
    workdir::{Workdir, text},
};

/// An API whose second page has this link to the next one.
async fn with_second_next(next: &'static str) -> Server {
    Server::start(move |path| async move {
        match path.as_str() {
            "/users.json" => page(1..=2, Some("users-2.json")),
            "/users-2.json" => page(3..=4, Some(next)),
            path => document(path),
        }
    })
    .await
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_last_page_says_so_in_many_ways() {
    for next in ["", " ", "#", "users-2.json", "/users-2.json", "./users-2.json#top"] {
        let (workdir, server) = (Workdir::new(), with_second_next(next).await);
        let report = workdir.run(&format!("--url {} --strict", server.base), 0).await;
        assert_eq!(failures(&report), [], "{next:?}");
        assert_eq!((&report["users"], &report["pages"]), (&4.into(), &2.into()), "{next:?}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_only_page_may_name_itself() {
    for next in ["", "users.json"] {
        let server = Server::start(move |path| async move {
            if path == "/users.json" { page(1..=2, Some(next)) } else { document(&path) }
        });
        let (workdir, server) = (Workdir::new(), server.await);
        let report = workdir.run(&format!("--url {} --strict", server.base), 0).await;
        assert_eq!((&report["users"], &report["ended"]), (&2.into(), &"complete".into()), "{next:?}");
    }
}

/// Records the requests to another host.
async fn another_host() -> (Server, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = heard.clone();
    let server = Server::heard(move |request| {
        log.lock().unwrap().push(format!("{request:?}"));
        async { page(90..=91, None) }
    });
    (server.await, heard)
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_link_to_another_host_is_refused_by_name() {
    let (other, heard) = another_host().await;
    let authority = other.base.trim_start_matches("http://").to_owned();
    for link in [
        format!("http://{authority}/users-2.json"),
        format!("//{authority}/users-2.json"),
        format!("http://user:pass@{authority}/users-2.json"),
        format!("\\\\{authority}\\users-2.json"),
        "ftp://127.0.0.1/users-2.json".to_owned(),
        "https://127.0.0.1/users-2.json".to_owned(),
    ] {
        let (workdir, next) = (Workdir::new(), link.clone());
        let server = Server::start(move |path| {
            let next = next.clone();
            async move {
                match path.trim_end_matches("?key=secret") {
                    "/users.json" => page(1..=3, Some(&next)),
                    path => document(path),
                }
            }
        });
        let server = server.await;
        let report = workdir.run(&format!("--url {}/?key=secret", server.base), 0).await;
        let [(url, reason)] = failures(&report)[..] else { panic!("{report}") };
        assert_eq!(url, format!("{}/users.json?key=secret", server.base));
        let host = link.replace('\\', "/").replace("user:pass", "user").replace("http:", "");
        assert!(
            reason.starts_with("its next page is not read: ") && reason.contains(&host),
            "{link}: {reason}"
        );
        assert_eq!(
            (&report["users"], &report["ended"]),
            (&3.into(), &"complete".into()),
            "the rest is stored"
        );
    }
    assert_eq!(*heard.lock().unwrap(), <[String; 0]>::default());
}

/// An API that redirects each request to a location that depends on its path, and checks that there is no `Referer`.
async fn redirecting(to: impl Fn(&str) -> Option<String> + Clone + Send + 'static) -> Server {
    let answer = move |path: String| -> Answer {
        match (to(&path), path.split('?').next().unwrap()) {
            (Some(location), _) => bare(302, &[("location", &location)]),
            (None, "/users.json") => page(1..=2, None),
            (None, "/v2/users.json") => page(1..=2, Some("users-2.json")),
            (None, "/v2/users-2.json") => page(3..=4, None),
            (None, path) => document(path),
        }
    };
    Server::heard(move |request| {
        assert_eq!(request.headers.get("referer"), None);
        let answer = answer(request.uri.to_string());
        async move { answer }
    })
    .await
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_redirect_to_another_host_is_refused_by_name_and_tells_it_nothing() {
    let ((other, heard), workdir) = (another_host().await, Workdir::new());
    let base = other.base.clone();
    let server =
        redirecting(move |path| path.starts_with("/users/1/prefs.json").then(|| format!("{base}{path}")))
            .await;
    let url = server.base.replace("http://", "http://user:pass@") + "/?key=secret";
    let report = workdir.run(&format!("--url {url}"), 0).await;
    let [(url, reason)] = failures(&report)[..] else { panic!("{report}") };
    assert!(url.ends_with("/users/1/prefs.json?key=secret") && !url.contains("pass"), "{url}");
    let target =
        format!("redirected: the link is on another port: {}/users/1/prefs.json?key=secret", other.base);
    assert_eq!(reason, target);
    assert_eq!((&report["users"], &report["retries"]), (&2.into(), &0.into()));
    assert_eq!(*heard.lock().unwrap(), <[String; 0]>::default());
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_first_page_that_is_elsewhere_is_named() {
    let (other, _) = another_host().await;
    let base = other.base.clone();
    let server = redirecting(move |path| Some(format!("{base}{path}"))).await;
    let output = Workdir::new().harvest(&format!("--url {}", server.base)).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains(&format!("redirected: the link is on another port: {}", other.base)),
        "{}",
        text(&output)
    );
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_redirect_that_stays_is_followed_and_one_in_a_circle_ends() {
    let workdir = Workdir::new();
    let server = redirecting(|path| match path {
        "/users.json" => Some("/v2/users.json".into()),
        "/users/1/prefs.json" => Some("prefs.json?again".into()),
        "/users/1/prefs.json?again" => Some("prefs.json".into()),
        _ => None,
    });
    let server = server.await;
    let report = workdir.run(&format!("--url {}", server.base), 0).await;
    let url = format!("{}/users/1/prefs.json", server.base);
    assert_eq!(failures(&report), [(&*url, "redirected: more than 10 times")]);
    assert_eq!(
        (&report["users"], &report["orders"]),
        (&4.into(), &4.into()),
        "the next page is beside /v2/users.json"
    );
}
