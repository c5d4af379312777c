//! Connections that are closed, idle, cut, late and silent.

use std::{
    io::Read as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, Error, OnFailure, store::Store},
};
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::{
    redis::{comes_back, connect, key, run_alone, run_alone_with, store},
    server::Server,
};

fn patient(store: impl Store) -> Distributed {
    Distributed::new(store, key(), Rate::per_second(1000)).timeout(Duration::from_secs(5))
}

#[test]
#[ignore = "real tier"]
fn an_idle_connection_that_the_server_closes_costs_no_call() {
    run_alone_with(&["--timeout", "1"], async |server| {
        let [two, three] = ["resp2", "resp3"].map(|protocol| format!("{}?protocol={protocol}", server.url()));
        let quotas =
            [patient(store(&two)), patient(store(&three)), patient(connect(&two)), patient(connect(&three))];
        for idle in [Duration::ZERO, Duration::from_millis(2_500), Duration::from_millis(2_500)] {
            sleep(idle).await;
            for quota in &quotas {
                quota.acquire().await.unwrap();
                assert_eq!(quota.snapshot().failures, 0);
            }
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_connection_that_is_killed_costs_no_call() {
    run_alone(async |server| {
        for protocol in ["resp2", "resp3"] {
            let url = format!("{}?protocol={protocol}", server.url());
            let quotas = [patient(store(&url)), patient(connect(&url))];
            for _ in 0..10 {
                for quota in &quotas {
                    quota.acquire().await.unwrap();
                    assert_eq!(quota.snapshot().failures, 0);
                }
                server.admin("CLIENT KILL TYPE normal SKIPME yes").await;
            }
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_server_that_is_restarted_costs_no_call() {
    run_alone(async |mut server| {
        let quota = patient(store(&server.url()));
        for _ in 0..3 {
            quota.acquire().await.unwrap();
            server.kill();
            server.restart().await;
        }
        quota.acquire().await.unwrap();
        assert_eq!(quota.snapshot().failures, 0);
    });
}

/// Permits that are returned to a server twice would be granted twice.
#[test]
#[ignore = "real tier"]
fn what_is_given_back_on_a_broken_connection_is_not_given_back_twice() {
    run_alone(async |server| {
        let (key, rate) = (key(), Rate::every(Duration::from_secs(3600)));
        let quota = |store| Distributed::new(store, &*key, rate).burst(10).timeout(Duration::from_secs(5));
        let first = quota(store(&server.url()));
        first.acquire_many(10).await.unwrap();
        first.refund(4);
        server.admin("CLIENT KILL TYPE normal SKIPME yes").await;
        first.close().await;
        // It is unknown whether they arrived, and it is no outage.
        assert_eq!(first.snapshot().failures, 0);
        assert!(quota(store(&server.url())).try_acquire_many(5).await.is_err());
    });
}

#[test]
#[ignore = "real tier"]
fn a_user_who_is_missing_for_a_while_is_an_outage() {
    run_alone(async |server| {
        let add = "ACL SETUSER u reset on >secret ~* +@all";
        for protocol in ["resp2", "resp3"] {
            server.admin(add).await;
            let store = store(&server.url_of("u", "secret", protocol));
            let quota = |policy| {
                let quota = Distributed::new(store.clone(), key(), Rate::per_second(1000));
                quota.timeout(Duration::from_secs(5)).on_failure(policy)
            };
            let (open, closed) = (quota(OnFailure::Open), quota(OnFailure::Closed));
            open.acquire().await.unwrap();
            closed.acquire().await.unwrap();
            server.admin("ACL DELUSER u").await;
            for _ in 0..12 {
                open.acquire().await.unwrap();
                let error = closed.acquire().await.unwrap_err();
                assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
                sleep(Duration::from_millis(100)).await;
            }
            server.admin(add).await;
            comes_back(&open).await;
            comes_back(&closed).await;
        }
    });
}

/// 2,000 limits that begin at the same time, on a store that has still to connect, and on a connected one.
#[test]
#[ignore = "real tier"]
fn none_of_two_thousand_limits_times_out() {
    async fn all_at_once(store: &(impl Store + Clone)) {
        let limits: Vec<Distributed> =
            (0..2_000).map(|_| Distributed::new(store.clone(), key(), Rate::per_second(10))).collect();
        let granted = join_all(limits.iter().map(Distributed::acquire)).await;
        let failed: Vec<&Error> = granted.iter().filter_map(|granted| granted.as_ref().err()).collect();
        assert!(failed.is_empty(), "{} of 2000: {:?}", failed.len(), failed[0]);
    }
    run_alone(async |server| {
        for protocol in ["resp2", "resp3"] {
            let url = format!("{}?protocol={protocol}", server.url());
            let store = store(&url);
            all_at_once(&store).await;
            all_at_once(&store).await;
            server.admin("SCRIPT FLUSH").await;
            all_at_once(&store).await;
            server.admin("SCRIPT FLUSH").await;
            all_at_once(&connect(&url)).await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_server_that_is_paused_is_an_outage_that_ends() {
    run_alone(async |server| {
        let quota = Distributed::new(store(&server.url()), key(), Rate::per_second(1000));
        quota.acquire().await.unwrap();
        server.admin("CLIENT PAUSE 2500 ALL").await;
        let error = quota.acquire().await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        comes_back(&quota).await;
    });
}

/// Trouble of the server itself is an outage, not a mistake.
#[test]
#[ignore = "real tier"]
fn what_passes_is_an_outage_under_every_policy() {
    async fn passes(server: &Server, trouble: &str, says: &str, end: &str) {
        let store = store(&server.url());
        let quota = |policy| {
            let quota = Distributed::new(store.clone(), key(), Rate::per_second(1000));
            quota.timeout(Duration::from_secs(5)).on_failure(policy)
        };
        let all = [OnFailure::Open, OnFailure::LocalShare(2), OnFailure::Closed].map(quota);
        server.admin(trouble).await;
        all[0].acquire().await.unwrap();
        all[1].acquire().await.unwrap();
        let error = all[2].acquire().await.unwrap_err();
        let Error::Unavailable { cause, .. } = error else { panic!("{trouble}: {error:?}") };
        assert!(cause.to_string().contains(says), "{cause}");
        server.admin(end).await;
        for quota in &all {
            comes_back(quota).await;
        }
    }
    run_alone(async |server| {
        passes(&server, "CONFIG SET maxmemory 1", "OOM", "CONFIG SET maxmemory 0").await;
        let replicas = "CONFIG SET min-replicas-to-write";
        passes(&server, &format!("{replicas} 1"), "NOREPLICAS", &format!("{replicas} 0")).await;
        // A script that runs for ever.
        server.admin("CONFIG SET lua-time-limit 20").await;
        let client = redis::Client::open(server.url()).unwrap();
        let quota = patient(store(&server.url()));
        quota.acquire().await.unwrap();
        let busy = tokio::spawn(async move {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let mut script = redis::cmd("EVAL");
            script.arg("while true do end").arg(0);
            drop(timeout(Duration::from_secs(1), script.exec_async(&mut connection)).await);
        });
        sleep(Duration::from_millis(500)).await;
        let error = quota.acquire().await.unwrap_err();
        let Error::Unavailable { cause, .. } = error else { panic!("{error:?}") };
        assert!(cause.to_string().contains("BUSY"), "{cause}");
        server.admin("SCRIPT KILL").await;
        comes_back(&quota).await;
        busy.await.unwrap();
    });
}

/// A store that was first used in a runtime that has ended, and in one that is not driven.
#[test]
#[ignore = "real tier"]
fn a_connection_does_not_end_with_its_runtime() {
    run_alone(async |server| {
        for ends in [true, false] {
            let store = store(&server.url());
            let first = store.clone();
            let runtime = thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { patient(first).acquire().await.unwrap() });
                runtime
            });
            let runtime = runtime.join().unwrap();
            let kept = match ends {
                true => {
                    runtime.shutdown_background();
                    None
                }
                false => Some(runtime),
            };
            let quota = Distributed::new(store, key(), Rate::per_second(1000));
            comes_back(&quota).await;
            if let Some(runtime) = kept {
                runtime.shutdown_background();
            } else {
                assert_eq!(quota.snapshot().failures, 0);
            }
        }
    });
}

/// A hundred limits on a server that hangs up at once reconnect at a limited rate.
#[test]
#[ignore = "real tier"]
fn connections_that_fail_are_paced() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for connection in listener.incoming() {
            counted.fetch_add(1, Relaxed);
            drop(connection.map(|mut connection| connection.read(&mut [0; 10])));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = store(&url);
        let limits: Vec<Distributed> = (0..100)
            .map(|_| Distributed::new(store.clone(), key(), Rate::per_second(10)).on_failure(OnFailure::Open))
            .collect();
        for _ in 0..40 {
            for limit in &limits {
                limit.acquire().await.unwrap();
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    // In 2 s there are six connections: at 0, 50, 150, 350, 750 and 1,550 ms. A busy machine takes longer.
    let count = count.load(Relaxed);
    assert!((2..=20).contains(&count), "{count}");
}
