//! The promises of every limit, with Redis.

#[path = "../it/distributed/every_store.rs"]
mod every_store;

use std::time::Duration;

use evenkeel_limit::{
    Rate, Reason,
    distributed::{Distributed, Error, store::Store},
};
use futures::future::join_all;
use redis::cmd;

use self::every_store::{Clock, suite};
use crate::redis::{connect, key, run, run_alone, store};

/// A limit whose calls do not time out on a busy machine.
fn patient(redis: impl Store, key: impl Into<String>, rate: Rate) -> Distributed {
    Distributed::new(redis, key, rate).timeout(Duration::from_secs(5))
}

/// The most by which the server's clock and ours may drift apart in a test.
const APART: Duration = Duration::from_millis(3);

#[test]
#[ignore = "real tier"]
fn the_suite_holds_with_redis() {
    run(async |url| {
        let redis = store(&url);
        let limit = |rate, burst| patient(redis.clone(), key(), rate).burst(burst);
        suite(Clock::Real(APART), limit).await;
    });
}

#[test]
#[ignore = "real tier"]
fn the_suite_holds_with_a_connection_manager() {
    run(async |url| {
        let redis = connect(&url);
        let limit = |rate, burst| patient(redis.clone(), key(), rate).burst(burst);
        suite(Clock::Real(APART), limit).await;
    });
}

#[test]
#[ignore = "real tier"]
fn the_suite_holds_with_redis_and_leases() {
    run(async |url| {
        let redis = store(&url);
        let limit = |rate, burst| patient(redis.clone(), key(), rate).burst(burst).lease(2);
        suite(Clock::Real(APART), limit).await;
    });
}

/// Eight clients on connections of their own get exactly the available permits.
#[test]
#[ignore = "real tier"]
fn those_who_ask_at_the_same_time_share() {
    run(async |url| {
        let (key, rate) = (key(), Rate::every(Duration::from_secs(3600)));
        let all = join_all((0..8).map(async |_| {
            let quota = patient(store(&url), &key, rate).burst(100);
            let mut granted = 0;
            while quota.try_acquire().await.is_ok() {
                granted += 1;
            }
            granted
        }));
        assert_eq!(all.await.into_iter().sum::<u32>(), 100);
    });
}

#[test]
#[ignore = "real tier"]
fn a_script_that_the_server_has_forgotten_is_loaded_again() {
    run_alone(async |server| {
        let redis = connect(&server.url());
        let quota = patient(store(&server.url()), key(), Rate::per_second(1)).burst(3);
        for _ in 0..3 {
            assert!(quota.acquire().await.is_ok());
            cmd("SCRIPT").arg("FLUSH").exec_async(&mut redis.clone()).await.unwrap();
        }
        assert_eq!(quota.snapshot().failures, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_key_lives_until_its_bucket_is_full() {
    run(async |url| {
        let (redis, key) = (connect(&url), key());
        let quota = patient(store(&url), &key, Rate::per_second(1)).burst(100);
        let lives = async || -> i64 { cmd("PTTL").arg(&key).query_async(&mut redis.clone()).await.unwrap() };
        assert_eq!(lives().await, -2);
        quota.acquire_many(10).await.unwrap();
        assert!((5_000..=10_002).contains(&lives().await));
        quota.refund(10);
        quota.close().await;
        assert!((-2..=500).contains(&lives().await));
    });
}

/// A key that holds something else is an error with a clear text.
#[test]
#[ignore = "real tier"]
fn what_redis_says_is_the_cause() {
    run(async |url| {
        let (redis, key) = (connect(&url), key());
        cmd("LPUSH").arg(&key).arg("x").exec_async(&mut redis.clone()).await.unwrap();
        let error = patient(store(&url), &key, Rate::per_second(1)).acquire().await.unwrap_err();
        cmd("DEL").arg(&key).exec_async(&mut redis.clone()).await.unwrap();
        let Error::Misconfigured { cause, .. } = error else { panic!("{error:?}") };
        assert!(cause.to_string().contains("WRONGTYPE"), "{cause}");
    });
}

#[test]
#[ignore = "real tier"]
fn a_text_of_others_is_not_written_over() {
    run(async |url| {
        let (redis, key) = (connect(&url), key());
        cmd("SET").arg(&key).arg("not ours").exec_async(&mut redis.clone()).await.unwrap();
        let error = patient(store(&url), &key, Rate::per_second(1)).acquire().await.unwrap_err();
        let text: String = cmd("GETDEL").arg(&key).query_async(&mut redis.clone()).await.unwrap();
        let Error::Misconfigured { cause, .. } = error else { panic!("{error:?}") };
        assert!(cause.to_string().contains("something else than a bucket"), "{cause}");
        assert_eq!(text, "not ours");
    });
}

/// As after a failover to a server whose clock is behind: the bucket fills by its clock.
#[test]
#[ignore = "real tier"]
fn a_clock_that_was_ahead_locks_nobody_out() {
    run(async |url| {
        let (redis, key) = (connect(&url), key());
        let (seconds, micros): (u64, u64) = cmd("TIME").query_async(&mut redis.clone()).await.unwrap();
        let ahead = (seconds + 3_600) * 1_000_000 + micros;
        let level = format!("1000000/50000@{ahead}");
        cmd("SET").arg(&key).arg(level).arg("EX").arg(7_200).exec_async(&mut redis.clone()).await.unwrap();
        let quota = patient(store(&url), &key, Rate::per_second(20)).burst(20);
        assert!(quota.try_acquire().await.is_err());
        tokio::time::timeout(Duration::from_secs(5), quota.acquire()).await.unwrap().unwrap();
    });
}

/// The program runs without the server, and connects when the server starts.
#[test]
#[ignore = "real tier"]
fn a_server_that_comes_late_is_found() {
    run_alone(async |mut server| {
        server.kill();
        let quota = Distributed::new(store(&server.url()), key(), Rate::per_second(1000));
        assert!(matches!(quota.acquire().await, Err(Error::Unavailable { .. })));
        server.restart().await;
        loop {
            match quota.acquire().await {
                Ok(()) => break,
                Err(error) => tokio::time::sleep(error.retry_after().unwrap()).await,
            }
        }
        assert!(
            matches!(quota.acquire_many(1001).await, Err(Error::Denied(denied)) if denied.reason == Reason::NeverFits)
        );
    });
}
