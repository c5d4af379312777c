//! A name that leads to another server, while the connection to the previous one stays open.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, store::Store},
};

use crate::{
    redis::{comes_back, connect, key, run_alone, skip, store},
    server::Server,
};

/// A name of a server, as from a load balancer or DNS.
struct Name(PathBuf);

impl Name {
    fn of(server: &Server) -> Self {
        let name = Self(server.socket().with_file_name("name"));
        symlink(server.socket(), &name.0).unwrap();
        name
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.0.display())
    }

    fn now_means(&self, server: &Server) {
        fs::remove_file(&self.0).unwrap();
        symlink(server.socket(), &self.0).unwrap();
    }
}

/// Limits at the name of a server; after `trouble` with that server, the name leads to another one.
async fn fails_over<S: Store>(old: &Server, connect: impl Fn(&str) -> S, trouble: impl AsyncFn(&Server)) {
    let Some(new) = Server::start(&old.url(), &[]).await else { return skip("no second server") };
    let name = Name::of(old);
    let (key, rate) = (key(), Rate::per_second(1000));
    let quota = Distributed::new(connect(&name.url()), &*key, rate).burst(10);
    quota.acquire().await.unwrap();
    trouble(old).await;
    // Before the name has changed there are no permits.
    for _ in 0..3 {
        assert!(quota.acquire().await.is_err());
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    name.now_means(&new);
    comes_back(&quota).await;
    quota.acquire().await.unwrap();
    assert!(!quota.snapshot().store_down);
    fs::remove_file(&name.0).unwrap();
}

#[test]
#[ignore = "real tier"]
fn a_primary_that_becomes_a_replica_is_left() {
    run_alone(async |server| {
        for protocol in ["resp2", "resp3"] {
            let with = |url: &str| format!("{url}?protocol={protocol}");
            fails_over(
                &server,
                |url| store(&with(url)),
                async |old| {
                    old.admin("REPLICAOF 127.0.0.1 1").await;
                },
            )
            .await;
            server.admin("REPLICAOF NO ONE").await;
            fails_over(
                &server,
                |url| connect(&with(url)),
                async |old| {
                    old.admin("REPLICAOF 127.0.0.1 1").await;
                },
            )
            .await;
            server.admin("REPLICAOF NO ONE").await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_replica_that_has_lost_its_primary_is_left() {
    run_alone(async |server| {
        fails_over(&server, store, async |old| {
            old.admin("CONFIG SET replica-serve-stale-data no").await;
            old.admin("REPLICAOF 127.0.0.1 1").await;
        })
        .await;
    });
}

/// The machine vanishes without closing its connections, as after a power failure.
#[test]
#[ignore = "real tier"]
fn a_server_that_is_silent_is_left() {
    run_alone(async |server| {
        fails_over(&server, store, async |old| old.pause()).await;
        server.resume();
    });
}
