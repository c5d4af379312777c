//! An API with a limit, in the forms of real APIs.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    flaws::failures,
    server::{Answer, Server, bare, document, page},
    workdir::Workdir,
};

/// Runs against an API that answers the first call for a document with this, and all later ones well.
async fn at_first(users: u64, first: impl Fn() -> Answer + Clone + Send + Sync + 'static) -> Value {
    let (workdir, asked) = (Workdir::new(), Arc::new(Mutex::new(HashMap::new())));
    let server = Server::start(move |path: String| {
        let mut asked = asked.lock().unwrap();
        let times: &mut u32 = asked.entry(path.clone()).or_default();
        *times += 1;
        let answer = match path.as_str() {
            "/users.json" => page(1..=users, None),
            "/users/1/prefs.json" if *times == 1 => first(),
            path => document(path),
        };
        async { answer }
    });
    let server = server.await;
    workdir.run(&format!("--url {}", server.base), 0).await
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_limit_is_waited_for() {
    for status in [403, 429] {
        for headers in [
            &[("retry-after", "1")][..],
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")],
            &[("ratelimit", r#""minute";r=0;t=1"#)],
            &[("anthropic-ratelimit-tokens-remaining", "0"), ("anthropic-ratelimit-tokens-reset", "1s")],
            &[("retry-after-ms", "1000")],
        ] {
            let report = at_first(3, move || bare(status, headers)).await;
            assert_eq!(failures(&report), [], "{status} {headers:?}");
            assert_eq!(
                (&report["users"], &report["retries"]),
                (&3.into(), &1.into()),
                "{status} {headers:?}"
            );
            assert!(report["seconds"].as_f64().unwrap() >= 1.0, "{status} {headers:?}: {report}");
        }
        let unknown = at_first(3, move || bare(status, &[("x-ratelimit-remaining", "0")])).await;
        assert_eq!((failures(&unknown).len(), &unknown["retries"]), (0, &1.into()), "when is not known");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn what_is_forbidden_stays_so() {
    for headers in [&[][..], &[("x-ratelimit-remaining", "17"), ("x-ratelimit-reset", "1")]] {
        let report = at_first(3, move || bare(403, headers)).await;
        let [(url, "403 Forbidden")] = failures(&report)[..] else { panic!("{report}") };
        assert!(url.ends_with("/users/1/prefs.json"));
        assert_eq!((&report["users"], &report["retries"]), (&3.into(), &0.into()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn what_passes_is_asked_for_again() {
    for status in [408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529] {
        let report = at_first(1, move || bare(status, &[])).await;
        assert_eq!((failures(&report).len(), &report["retries"]), (0, &1.into()), "{status}");
    }
    for status in [400, 401, 404, 410, 501, 525, 530] {
        let report = at_first(1, move || bare(status, &[])).await;
        assert_eq!((failures(&report).len(), &report["retries"]), (1, &0.into()), "{status}");
    }
}

/// Of eight calls at a time three per second get through, and the others use up no attempts.
#[tokio::test]
#[ignore = "real tier"]
async fn a_tight_limit_costs_time_and_nothing_else() {
    let (workdir, window) = (Workdir::new(), Arc::new(Mutex::new((Instant::now(), 0))));
    let server = Server::start(move |path: String| {
        let mut window = window.lock().unwrap();
        if window.0.elapsed() >= Duration::from_secs(1) {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        let answer = match path.as_str() {
            "/users.json" => page(1..=10, None),
            _ if window.1 > 3 => bare(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")]),
            path => document(path),
        };
        async { answer }
    });
    let server = server.await;
    let report = workdir.run(&format!("--url {}", server.base), 0).await;
    assert_eq!(failures(&report), []);
    assert_eq!((&report["users"], &report["orders"]), (&10.into(), &10.into()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_limit_under_which_nothing_gets_through_is_given_up() {
    let (workdir, asked) = (Workdir::new(), Arc::new(AtomicU32::new(0)));
    let count = asked.clone();
    let server = Server::start(move |path: String| {
        let answer = match path.as_str() {
            "/users.json" => page([1], None),
            _ => {
                count.fetch_add(1, Relaxed);
                bare(429, &[("retry-after", "0.1")])
            }
        };
        async { answer }
    });
    let server = server.await;
    let report = workdir.run(&format!("--url {}", server.base), 0).await;
    assert_eq!((asked.load(Relaxed), failures(&report).len()), (10, 2), "{report}");
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "real tier"]
async fn a_stop_does_not_wait_for_a_limit() {
    let (workdir, asked) = (Workdir::new(), Arc::new(tokio::sync::Notify::new()));
    let told = asked.clone();
    let server = Server::start(move |path: String| {
        let answer = match path.as_str() {
            "/users.json" => page(1..=2, None),
            "/users/1/prefs.json" => {
                told.notify_one();
                bare(429, &[("retry-after", "600")])
            }
            path => document(path),
        };
        async { answer }
    });
    let server = server.await;
    let flags = format!("--url {} --grace 2m", server.base);
    let child = workdir.harvest(&flags).spawn().unwrap();
    asked.notified().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    crate::interrupted::signal(&child, "-TERM").await;
    let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await;
    assert_eq!(output.expect("not after 600 s").unwrap().status.code(), Some(0));
    let report = workdir.report();
    assert_eq!(
        (&report["ended"], &report["users"], &report["unfinished"]),
        (&"drained".into(), &1.into(), &1.into())
    );
    assert_eq!(failures(&report), []);
}
