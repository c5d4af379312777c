//! The next run continues an unfinished one.

use crate::{
    interrupted::{Signal, again_and_again, at_random},
    server::{Server, html},
    workdir::{Workdir, text},
};

const SEEDS: [u64; 3] = [101, 102, 103];

#[tokio::test]
#[ignore = "real tier"]
async fn after_sigterm_on_sqlite() {
    for seed in SEEDS {
        at_random(&Workdir::new(), Signal::Term, seed).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_sigterm_on_postgres() {
    for seed in SEEDS {
        let Some(workdir) = Workdir::postgres().await else { return };
        at_random(&workdir, Signal::Term, seed).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_a_crash_on_sqlite() {
    for seed in SEEDS {
        at_random(&Workdir::new(), Signal::Kill, seed).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_a_crash_on_postgres() {
    for seed in SEEDS {
        let Some(workdir) = Workdir::postgres().await else { return };
        at_random(&workdir, Signal::Kill, seed).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_many_crashes() {
    again_and_again(&Workdir::new(), 104).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn another_job_begins_from_the_beginning() {
    let server =
        Server::of(vec![("/a", html("<a href=b>")), ("/b", html("<a href=c>")), ("/c", html(""))]).await;
    let workdir = Workdir::new();
    assert_eq!(workdir.run(&server.url("/a"), "--rate unlimited", 0).await["urls"], 3);
    let report = workdir.run(&server.url("/b"), "--rate unlimited", 0).await;
    assert_eq!((&report["urls"], &report["pass"]), (&2.into(), &1.into()));
    assert_eq!(
        workdir.query("SELECT url FROM urls ORDER BY url").await,
        [server.url("/b"), server.url("/c")]
    );
}

#[tokio::test]
#[ignore = "real tier"]
async fn one_run_at_a_time_has_a_store() {
    for workdir in [Some(Workdir::new()), Workdir::postgres().await].into_iter().flatten() {
        let server = Server::start(async |_| std::future::pending().await).await;
        let first = workdir.crawl(&server.url("/a"), "").spawn().unwrap();
        server.wait_for(1).await;
        let second = workdir.crawl(&server.url("/a"), "").output().await.unwrap();
        assert_eq!(second.status.code(), Some(2), "{}", text(&second));
        assert!(text(&second).contains("in use by another run"), "{}", text(&second));
        drop(first);
    }
}
