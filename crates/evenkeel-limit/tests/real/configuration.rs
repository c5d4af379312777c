//! Mistakes in the configuration: rights, users, keys, servers. They are reported at once, under every policy.

use std::time::Duration;

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, Error, OnFailure, store::Store},
};
use redis::Value;

use crate::{
    redis::{comes_back, connect, key, run_alone, run_alone_with, store},
    server::Server,
};

const POLICIES: [OnFailure; 3] = [OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(2)];

/// The rights that the documentation of `RedisStore` names.
const RIGHTS: [&str; 7] = ["~limit:*", "+evalsha", "+script|load", "+time", "+get", "+set", "+del"];

fn limit(store: impl Store, key: &str, policy: OnFailure) -> Distributed {
    let quota = Distributed::new(store, key, Rate::per_second(1000)).burst(10);
    quota.timeout(Duration::from_secs(5)).on_failure(policy)
}

/// The error of the first use of a limit.
async fn mistake(store: impl Store, key: &str, policy: OnFailure) -> String {
    let quota = limit(store, key, policy);
    let error = quota.acquire().await.unwrap_err();
    let Error::Misconfigured { cause, .. } = &error else { panic!("{policy:?}: {error:?}") };
    assert!(error.to_string().contains(&cause.to_string()));
    // And again, during the pause between calls.
    assert!(matches!(quota.try_acquire().await, Err(Error::Misconfigured { .. })));
    assert_eq!((quota.snapshot().calls, quota.snapshot().refused), (1, 2));
    cause.to_string()
}

/// Every policy, with both kinds of stores.
async fn is_told(url: &str, key: &str, says: &str) {
    for policy in POLICIES {
        let told = mistake(store(url), key, policy).await;
        assert!(told.contains(says), "{told}");
        let told = mistake(connect(url), key, policy).await;
        assert!(told.contains(says), "{told}");
    }
}

async fn set_user<'a>(server: &Server, rights: impl IntoIterator<Item = &'a str>) {
    let rights: Vec<&str> = rights.into_iter().collect();
    server.admin(&format!("ACL SETUSER u reset on >secret {}", rights.join(" "))).await;
}

fn key_of_user() -> String {
    format!("limit:{}", key())
}

#[test]
#[ignore = "real tier"]
fn the_rights_that_the_documentation_names_suffice() {
    run_alone(async |server| {
        set_user(&server, RIGHTS).await;
        for protocol in ["resp2", "resp3"] {
            server.admin("SCRIPT FLUSH").await;
            let quota =
                limit(store(&server.url_of("u", "secret", protocol)), &key_of_user(), OnFailure::Closed);
            quota.acquire_many(7).await.unwrap();
            assert!(quota.try_acquire_many(10).await.is_err());
            quota.refund(10);
            quota.close().await;
            assert_eq!(quota.snapshot().failures, 0);
            // With a password the server denies a greeting that the client sends after `AUTH`; nothing depends on it.
            if protocol == "resp3" {
                let denials = server.admin("ACL LOG").await;
                assert_eq!(denials, Value::Array(vec![]), "{denials:?}");
            }
            server.admin("ACL LOG RESET").await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_right_that_is_missing_is_told_at_once() {
    run_alone(async |server| {
        let url = server.url_of("u", "secret", "resp2");
        for missing in RIGHTS.into_iter().filter(|&right| right != "+del") {
            set_user(&server, RIGHTS.into_iter().filter(|&right| right != missing)).await;
            server.admin("SCRIPT FLUSH").await;
            if !["~limit:*", "+evalsha", "+script|load"].contains(&missing) {
                // Denied inside of the script.
                store_loads(&server).await;
            }
            is_told(&url, &key_of_user(), "").await;
        }
        // This right is needed only for returned permits.
        set_user(&server, RIGHTS.into_iter().filter(|&right| right != "+del")).await;
        let quota = limit(store(&url), &key_of_user(), OnFailure::Open);
        quota.acquire().await.unwrap();
        quota.refund(1);
        quota.close().await;
        assert_eq!(quota.snapshot().failures, 1);
    });
}

/// Loads the script as another user.
async fn store_loads(server: &Server) {
    limit(store(&server.url()), &key(), OnFailure::Closed).acquire().await.unwrap();
}

#[test]
#[ignore = "real tier"]
fn a_mistake_that_is_mended_is_forgotten() {
    run_alone(async |server| {
        set_user(&server, RIGHTS.into_iter().filter(|&right| right != "+get")).await;
        for policy in POLICIES {
            let quota = limit(store(&server.url_of("u", "secret", "resp2")), &key_of_user(), policy);
            assert!(matches!(quota.acquire().await, Err(Error::Misconfigured { .. })));
            set_user(&server, RIGHTS).await;
            comes_back(&quota).await;
            set_user(&server, RIGHTS.into_iter().filter(|&right| right != "+get")).await;
        }
    });
}

/// A right that is revoked later does not come back by itself, either.
#[test]
#[ignore = "real tier"]
fn a_right_that_is_taken_away_is_told() {
    run_alone(async |server| {
        set_user(&server, RIGHTS).await;
        let quota = limit(store(&server.url_of("u", "secret", "resp2")), &key_of_user(), OnFailure::Open);
        quota.acquire().await.unwrap();
        set_user(&server, RIGHTS.into_iter().filter(|&right| right != "+evalsha")).await;
        let told = loop {
            match quota.acquire().await {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert!(matches!(told, Error::Misconfigured { .. }), "{told:?}");
        set_user(&server, RIGHTS).await;
        comes_back(&quota).await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_key_that_holds_something_else_is_told() {
    run_alone(async |server| {
        let key = key();
        server.admin(&format!("LPUSH {key} x")).await;
        is_told(&server.url(), &key, "wrong kind of value").await;
        server.admin(&format!("DEL {key}")).await;
        server.admin(&format!("SET {key} not-ours")).await;
        is_told(&server.url(), &key, "something else than a bucket").await;
        assert_eq!(server.admin(&format!("GET {key}")).await, Value::BulkString(b"not-ours".to_vec()));
    });
}

#[test]
#[ignore = "real tier"]
fn a_wrong_password_is_told() {
    run_alone_with(&["--requirepass", "secret"], async |server| {
        for protocol in ["resp2", "resp3"] {
            is_told(&server.url_of("default", "wrong", protocol), &key(), "").await;
            is_told(&server.url_of("nobody", "secret", protocol), &key(), "").await;
            let quota = limit(store(&server.url_of("default", "secret", protocol)), &key(), OnFailure::Open);
            quota.acquire().await.unwrap();
            assert_eq!(quota.snapshot().failures, 0);
        }
        is_told(&server.url(), &key(), "NOAUTH").await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_database_that_there_is_not_is_told() {
    run_alone(async |server| {
        is_told(&format!("{}?db=99", server.url()), &key(), "DB index is out of range").await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_server_without_the_command_is_told() {
    run_alone_with(&["--rename-command", "EVALSHA", ""], async |server| {
        is_told(&server.url(), &key(), "unknown command").await;
    });
}

/// A node of a cluster that does not have the key, and one that has no slots yet.
#[test]
#[ignore = "real tier"]
fn a_cluster_is_told() {
    run_alone_with(&["--port", "0", "--cluster-enabled", "yes", "--cluster-port", "1"], async |server| {
        let quota = limit(store(&server.url()), "limit:{k}", OnFailure::Closed);
        let error = quota.acquire().await.unwrap_err();
        let Error::Unavailable { cause, .. } = error else { panic!("{error:?}") };
        assert!(cause.to_string().contains("ClusterDown"), "{cause}");
    });
}
